"""What must be undone before what: reverse dependency order (saga-semantics §4).

`a -> b` means that b was enabled, directly or through others, after a settled. It is read from the
stored `caused_by` edges of step runs, never from clocks. undo(a) waits for undo(b).
"""

import heapq
from collections.abc import Collection, Iterable, Mapping, Sequence

from orchestrator.engine.snapshot import StepRun

Edge = tuple[str, str]
"""(waits, for): the undo of the first entry waits until that of the second is settled."""


def order_edges(
    runs: Mapping[str, StepRun],
    chosen: Collection[str],
    *,
    independent: Collection[str] = (),
    after: Iterable[Edge] = (),
) -> tuple[Edge, ...]:
    """Return the edges between chosen entries; what follows from others is left out.

    Args:
        runs: All forward step runs of the execution, by id.
        chosen: Ids of the entries in the plan.
        independent: Entries that nobody waits for (§4.3); they still wait for their own successors.
        after: Extra edges of `compensation.after`.
    """
    nearest = _nearest_entries(runs, frozenset(chosen), frozenset(independent))
    edges = {
        (before, entry) for entry in chosen if entry not in independent for before in nearest[entry]
    }
    edges.update(edge for edge in after if edge[1] not in independent)
    return tuple(sorted(edges))


def _nearest_entries(
    runs: Mapping[str, StepRun], chosen: frozenset[str], independent: frozenset[str]
) -> dict[str, frozenset[str]]:
    """Return, for each step run, the chosen entries that came before it with none in between.

    An independent entry does not hide those before it: what waits for its successors must wait for
    them directly.
    """
    nearest: dict[str, frozenset[str]] = {}
    for run in in_order(runs):
        found: set[str] = set()
        for cause in run.caused_by:
            if cause in chosen:
                found.add(cause)
            if cause not in chosen or cause in independent:
                found |= nearest.get(cause, frozenset())
        nearest[run.id] = frozenset(found)
    return nearest


def in_order(runs: Mapping[str, StepRun]) -> Sequence[StepRun]:
    """Return the step runs so that each comes after what caused it.

    A JOIN, and what a loop enables, get causes that were scheduled later than they were, so the
    order of scheduling alone would not do.
    """
    ordered: list[StepRun] = []
    seen: set[str] = set()
    for start in sorted(runs.values(), key=lambda run: run.seq):
        pending = [(start, False)]
        while pending:
            run, is_ready = pending.pop()
            if is_ready:
                ordered.append(run)
                continue
            if run.id in seen:
                continue
            seen.add(run.id)
            pending.append((run, True))
            causes = (runs[cause] for cause in run.caused_by if cause in runs)
            pending.extend((cause, False) for cause in causes if cause.id not in seen)
    return ordered


def successors(runs: Mapping[str, StepRun], ids: Collection[str]) -> frozenset[str]:
    """Return all step runs that came after any of these, these left out."""
    later: dict[str, list[str]] = {}
    for run in runs.values():
        for cause in run.caused_by:
            later.setdefault(cause, []).append(run.id)
    found: set[str] = set()
    pending = [following for run_id in ids for following in later.get(run_id, ())]
    while pending:
        run_id = pending.pop()
        if run_id not in found:
            found.add(run_id)
            pending.extend(later.get(run_id, ()))
    return frozenset(found)


def serial_edges(
    entries: Sequence[str], edges: Iterable[Edge], independent: Collection[str]
) -> tuple[Edge, ...]:
    """Return edges that let one undo go at a time (§4.3).

    Args:
        entries: The entries of the plan, later settled first: the order, unless an edge asks for
            another.
        edges: The edges of the plan.
        independent: Entries that nobody waits for; they keep the edges they have.
    """
    kept = tuple(edges)
    place = {key: index for index, key in enumerate(entries)}
    waits = dict.fromkeys(entries, 0)
    unblocks: dict[str, list[str]] = {}
    for waiting, awaited in kept:
        waits[waiting] += 1
        unblocks.setdefault(awaited, []).append(waiting)
    free = [place[key] for key, count in waits.items() if not count]
    heapq.heapify(free)
    chain: list[str] = []
    while free:
        key = entries[heapq.heappop(free)]
        if key not in independent:
            chain.append(key)
        for waiting in unblocks.get(key, ()):
            waits[waiting] -= 1
            if not waits[waiting]:
                heapq.heappush(free, place[waiting])
    own = tuple(edge for edge in kept if edge[0] in independent)
    return (*zip(chain[1:], chain, strict=False), *own)


def is_acyclic(entries: Collection[str], edges: Iterable[Edge]) -> bool:
    """Tell whether every entry can be reached in some order (invariant 7)."""
    waits: dict[str, set[str]] = {entry: set() for entry in entries}
    for waiting, awaited in edges:
        waits[waiting].add(awaited)
    free = [entry for entry, awaited in waits.items() if not awaited]
    unblocks: dict[str, list[str]] = {}
    for waiting, awaited_ones in waits.items():
        for awaited in awaited_ones:
            unblocks.setdefault(awaited, []).append(waiting)
    done = 0
    while free:
        entry = free.pop()
        done += 1
        for waiting in unblocks.get(entry, ()):
            waits[waiting].discard(entry)
            if not waits[waiting]:
                free.append(waiting)
    return done == len(waits)
