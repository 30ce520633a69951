"""Which entries a trigger chooses, and in what order they are undone.

Rules: saga-semantics §3 (live entries), §4 (order), §5 (triggers), §11 (pivot, savepoint).
"""

import dataclasses
from collections.abc import Collection, Iterable, Mapping

from tests.model.facts import SETTLED
from tests.model.paths import Place, before


@dataclasses.dataclass(frozen=True)
class Live:
    """An entry as a trigger meets it."""

    place: Place
    state: str
    independent: bool = False
    after: tuple[str, ...] = ()


Edge = tuple[Place, Place]


def live(entries: Iterable[Live]) -> list[Live]:
    """Entries that an automatic plan may take: neither settled nor still in the air (§3)."""
    return [entry for entry in entries if entry.state in {"ARMED", "UNCERTAIN"}]


def whole_scope(entries: Iterable[Live], scope: Place | None = None) -> set[Place]:
    """T1, T2, T4, T5 and T6 without a choice: everything live in the scope."""
    return {
        entry.place
        for entry in live(entries)
        if scope is None or entry.place.turns[: len(scope.turns)] == scope.turns
    }


def guarded(chosen: Collection[Place], pivot: Place | None) -> set[Place]:
    """T1 to T3 after a completed pivot reach only what comes after it (§11, invariant 23)."""
    if pivot is None:
        return set(chosen)
    return {place for place in chosen if before(pivot, place)}


def back_to_savepoint(entries: Iterable[Live], savepoint: Place) -> set[Place]:
    """All live entries p with S -> p, and not what happened later by the clock (§11)."""
    return {entry.place for entry in live(entries) if before(savepoint, entry.place)}


def step_and_after(entries: Iterable[Live], step: Place) -> set[Place]:
    """T3 with a step, T7 with steps: it, and every live entry after it (§5)."""
    return {e.place for e in live(entries) if e.place == step or before(step, e.place)}


def missing_for(chosen: Collection[Place], entries: Iterable[Live]) -> set[Place]:
    """Name the entries that a choice (T5) lacks to be closed under `->` (§5, invariant 10)."""
    return {
        entry.place
        for entry in live(entries)
        if entry.place not in chosen and any(before(place, entry.place) for place in chosen)
    }


def waits_for(chosen: Mapping[Place, Live]) -> set[Edge]:
    """Return every pair (a, b) of a plan where the undo of a must wait for that of b (§4.1, §4.3).

    The pairs that `->` gives, minus those out of an `independent` undo, plus those of `after`.
    """
    edges = {(a, b) for a in chosen for b in chosen if before(a, b) and not chosen[b].independent}
    edges |= {
        (a, b) for a, entry in chosen.items() for b in chosen if b.ref in entry.after and a != b
    }
    return edges


def reach(edges: Iterable[Edge]) -> set[Edge]:
    """The transitive closure: plans may store fewer edges than the order has."""
    closure = set(edges)
    while True:
        more = {(a, d) for a, b in closure for c, d in closure if b == c} - closure
        if not more:
            return closure
        closure |= more


def held_back(
    place: Place, edges: Iterable[Edge], states: Mapping[Place, str], going_on: Collection[Place]
) -> set[Place]:
    """Name what an undo must still wait for (§4.1; §9: `CONTINUE` lets a failed one pass)."""
    return {
        b
        for a, b in edges
        if a == place
        and states[b] not in SETTLED
        and not (states[b] == "COMPENSATION_FAILED" and b in going_on)
    }
