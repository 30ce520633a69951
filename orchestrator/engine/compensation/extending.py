"""A second trigger while a plan runs: the plan grows, it never shrinks (saga-semantics §5).

The new plan is a superset with a number, hash and fence of its own. Entries that were in the old
one keep their state, round and key; those that were not yet sent wait for what is new after them.
"""

from collections.abc import Collection, Mapping
from typing import Any

from orchestrator.engine import order, origins
from orchestrator.engine.commands import EndPlan
from orchestrator.engine.compensation import (
    confirming_plan,
    pivots,
    plan,
    planning,
    sealing,
)
from orchestrator.engine.snapshot import StepRun
from orchestrator.engine.states import EntryState, ExecutionState
from orchestrator.engine.work import Work


def extend(
    work: Work,
    trigger: str,
    *,
    actor: str,
    reason: str,
    wanted: Collection[str] | None = None,
    on_request: bool = False,
    override: bool = False,
) -> bool:
    """Add to the plan what this trigger wants undone; False if there is nothing to add."""
    if not work.snapshot.whole:
        work.needs.whole = True
        return False
    current = work.active_plan()
    if current is None:
        return False
    if current.entries is None:
        work.needs.plan_entries = True
        return False
    sealing.seal_overdue(work)
    choosable = plan.choosable(on_request=on_request, override=override and wanted is not None)
    added = _to_add(work, choosable, wanted, override=override)
    if work.needs or not added:
        return False
    made = plan.make(work.runs, work.node, wanted=added, choosable=choosable, kept=current.entries)
    kept = confirming_plan.kept_states(work, added)
    origins.keep(work, [key for key in current.entries if _is_open(work.runs[key])], current)
    work.do(EndPlan(id=current.id, state="EXTENDED"))
    planning.activate(work, made, trigger, actor=actor, reason=reason, extends=current.id)
    _place(work, made, added)
    if override:
        work.frontier["undo"]["override"] = True
        # Two persons have answered: there is no dead end to come back to (§11).
        work.frontier.get("stop", {}).pop("dead_end", None)
    if work.in_state(ExecutionState.PLANNING):
        confirming_plan.grown(work, made, kept)
    return True


def _is_open(run: StepRun) -> bool:
    return run.entry_state is not None and run.entry_state.is_open


def _to_add(
    work: Work,
    choosable: Collection[EntryState],
    wanted: Collection[str] | None,
    *,
    override: bool,
) -> list[str]:
    """Return what can be added; an outcome that somebody must first tell is left out."""
    allowed = None if override else pivots.allowed(work.runs, work.node)
    found = [
        run
        for run in work.runs.values()
        if run.entry_state in choosable
        and (wanted is None or run.id in wanted)
        and (allowed is None or run.id in allowed)
    ]
    return [run.id for run in found if not planning.waits_for_answer(work.node(run), run)]


def _place(work: Work, made: plan.Plan, added: Collection[str]) -> None:
    """Give every open entry of the larger plan its place; the settled ones hold nobody back."""
    fresh = set(added)
    ids = [entry["id"] for entry in made.entries]
    open_ids = [key for key in ids if key in fresh or _is_open(work.runs[key])]
    waits, following = _places(work, open_ids)
    for key in open_ids:
        entry = work.runs[key]
        if key in fresh:
            planning.place(work, entry, waits=waits[key], following=tuple(following[key]))
        else:
            work.change(entry, undo_waits=waits[key], undo_next=tuple(following[key]))
    undo = work.frontier["undo"]
    assert work.plan is not None
    undo["plan"] = work.plan.id
    undo["left"] += len(fresh)
    undo["free"] = [
        key
        for key in open_ids
        if work.runs[key].entry_state is EntryState.PLANNED and not waits[key]
    ]


def _places(work: Work, ids: list[str]) -> tuple[dict[str, int], dict[str, list[str]]]:
    forward = plan.forward_runs(work.runs)
    nodes = {run.id: work.node(run) for run in forward.values()}
    passed = {key for key in ids if _let_others_go(work, work.runs[key])}
    chosen: Mapping[str, StepRun] = {key: work.runs[key] for key in ids}
    edges: Any = plan.edges_between(forward, nodes, chosen, passed=passed)
    if work.graph.definition.saga.serial:
        free = passed | {key for key in ids if planning.is_independent(work, key)}
        edges = order.serial_edges(ids, edges, free)
    return planning.counted(ids, edges)


def _let_others_go(work: Work, entry: StepRun) -> bool:
    """Tell whether a failed undo has already let go what waited for it (`onFailure: CONTINUE`)."""
    node = work.node(entry)
    compensation = node.step.compensation if node else None
    if compensation is None or compensation.blocks_on_failure:
        return False
    has_failed = entry.entry_state is EntryState.COMPENSATION_FAILED or entry.undo_attempts > 0
    return has_failed and entry.undo_next == ()
