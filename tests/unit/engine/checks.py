"""What must hold of an execution after every decision, read from its rows alone."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from orchestrator.engine import order
from orchestrator.engine.canonical import digest
from orchestrator.engine.commands import Decision, StorePlan
from orchestrator.engine.states import (
    Direction,
    EntryState,
    ExecutionState,
    StepState,
)
from tests.unit.engine import structure

if TYPE_CHECKING:
    from orchestrator.engine.snapshot import ExecutionView, StepRun
    from tests.unit.engine.driver import Run

_BEFORE_CONFIRMATION = {EntryState.PLANNED, EntryState.LATE_EFFECT}
_BEFORE_THE_PLAN = (EntryState.TENTATIVE, EntryState.ARMED, EntryState.UNCERTAIN)


def check(run: Run) -> None:
    """Hold the frontier and the states against the rows."""
    check_counters(run)
    check_plan_counters(run)
    check_ledger(run)
    check_end(run)


def check_counters(run: Run) -> None:
    """Counters of the frontier say what the rows say."""
    frontier = run.execution.frontier
    unsettled = [
        step
        for step in run.runs.values()
        if step.direction is Direction.FORWARD and not step.state.is_settled
    ]
    assert frontier.get("active", 0) == len(unsettled), [step.position for step in unsettled]
    ledger = Counter(step.entry_state.value for step in run.runs.values() if step.entry_state)
    assert frontier.get("ledger", {}) == dict(ledger)
    for key in frontier.get("doubts", {}):
        assert run.runs[key].state is StepState.UNKNOWN
    for key in frontier.get("questions", []):
        assert run.runs[key].state is StepState.UNKNOWN, run.runs[key]


def check_plan_counters(run: Run) -> None:
    """`undo` of the frontier says how many entries are open and how many are being undone."""
    undo = run.execution.frontier.get("undo")
    open_entries = [
        step for step in run.runs.values() if step.entry_state and step.entry_state.is_open
    ]
    if undo is None:
        open_entries = [
            step for step in open_entries if step.entry_state is not EntryState.LATE_EFFECT
        ]
        assert not open_entries, [(step.position, step.entry_state) for step in open_entries]
        return
    if run.state is ExecutionState.PLANNING:
        assert {step.entry_state for step in open_entries} <= _BEFORE_CONFIRMATION
        assert undo["flight"] == 0
    else:
        assert run.state in (ExecutionState.COMPENSATING, ExecutionState.NEEDS_ATTENTION)
    assert undo["left"] == len(open_entries)
    in_flight = {
        step.compensates
        for step in run.runs.values()
        if step.direction is Direction.COMPENSATION and not step.state.is_settled
    }
    assert undo["flight"] == len(in_flight | set(undo.get("cascading", ())))
    assert len([plan for plan in run.plans if plan.state == "ACTIVE"]) == 1
    for step in open_entries:
        if step.entry_state is EntryState.READY and step.id not in in_flight:
            assert step.id in undo["ready"], step.position


def check_ledger(run: Run) -> None:
    """Invariants 2 and 3, and that an entry fits its step run."""
    for step in run.runs.values():
        if step.direction is not Direction.FORWARD:
            assert step.entry_state is None
            continue
        node = run.node(step)
        is_replaced = step.entry_state is None and _stands_in_undone_loop(run, step)
        expects = run.execution.is_saga and node.has_undo and not is_replaced
        assert not expects or step.entry_state is not None, step.position
        if step.entry_state is EntryState.TENTATIVE:
            assert not step.state.is_settled, step.position
        if step.entry_state is EntryState.ARMED and step.child_id is None:
            assert step.state is StepState.COMPLETED
        if step.state is StepState.COMPLETED and expects:
            assert step.entry_state not in (
                EntryState.TENTATIVE,
                EntryState.UNCERTAIN,
                EntryState.VOID,
            )
        if step.state is StepState.UNKNOWN and run.execution.is_saga:
            assert step.entry_state is not EntryState.VOID, "invariant 20"


def _stands_in_undone_loop(run: Run, step: StepRun) -> bool:
    return any(run.graph.nodes[loop].step.compensate_once for loop in run.node(step).loops)


def check_end(run: Run) -> None:
    """Invariants 15, 16 and 18: what the end of a run says about its ledger."""
    if not run.state.is_terminal:
        return
    for step in run.runs.values():
        if step.direction is Direction.FORWARD:
            assert step.state.is_settled, step.position
        assert not (step.entry_state and step.entry_state.is_open), step.position
    entries = {step.entry_state for step in run.runs.values() if step.entry_state}
    clean = entries <= {EntryState.COMPENSATED, EntryState.VOID}
    if run.state is ExecutionState.COMPENSATED:
        assert clean
    if run.state is ExecutionState.PARTIALLY_COMPENSATED:
        assert not clean


def check_moves(
    run: Run, before: dict[str, StepRun], was: ExecutionView, decision: Decision
) -> None:
    """What may only change in some ways between two decisions."""
    check_dispatches(run, was, decision)
    if not any(event.data.get("retry") for event in decision.events):
        check_outcome(run, was)
    for key, old in before.items():
        check_settled_entry(old, run.runs[key], run, decision)
    for command in decision.commands:
        if isinstance(command, StorePlan):
            check_plan(run, command)
    check_order(run, before)


def check_dispatches(run: Run, was: ExecutionView, decision: Decision) -> None:
    """Invariant 22: nothing is handed out in a direction that is not open, or while paused."""
    for step in decision.claimed:
        assert not (run.execution.is_saga and was.paused and run.execution.paused)
        if step.direction is Direction.FORWARD:
            assert was.state in (ExecutionState.CREATED, ExecutionState.RUNNING)
        if step.direction is Direction.COMPENSATION:
            assert "undo" in was.frontier
            assert step.compensates is not None
            assert run.runs[step.compensates].entry_state is EntryState.RUNNING


def check_outcome(run: Run, was: ExecutionView) -> None:
    """Invariant 21: outcome and failure are written once; only a retry takes them back."""
    gave_up_retry = "part" in was.frontier and "part" not in run.execution.frontier
    if was.outcome is not None and run.execution.epoch == was.epoch and not gave_up_retry:
        assert (run.execution.outcome, run.execution.failure) == (was.outcome, was.failure)


def check_settled_entry(old: StepRun, new: StepRun, run: Run, decision: Decision) -> None:
    """Invariant 5: settled entries stay as they are, but for what the table allows."""
    if old.entry_state is None or not old.entry_state.is_settled:
        return
    if old.entry_state is new.entry_state:
        return
    allowed = {
        EntryState.VOID: {EntryState.TENTATIVE, EntryState.LATE_EFFECT},
        EntryState.COMPENSATED: {EntryState.LATE_EFFECT},
        EntryState.SKIPPED: {EntryState.PLANNED},
    }
    chain = [event for event in decision.events if event.step_run_id == new.id]
    planned = any(event.type == "entry.planned" for event in chain)
    begun = any(event.type == "step.scheduled" for event in chain)
    moved = new.entry_state in allowed.get(old.entry_state, set())
    if new.entry_state is None and _stands_in_undone_loop(run, new):
        return
    assert moved or planned or begun or new.child_id is not None, (old.entry_state, new)


def check_plan(run: Run, stored: StorePlan) -> None:
    """Invariants 7, 10, 11 and 12 for a plan that has just been made."""
    entries = [dict(entry) for entry in stored.entries]
    assert stored.hash == digest([stored.entries, [list(edge) for edge in stored.edges]])
    assert order.is_acyclic([entry["id"] for entry in entries], stored.edges)
    assert len([plan for plan in run.plans if plan.state == "ACTIVE"]) <= 1
    forward = {key: step for key, step in run.runs.items() if step.direction is Direction.FORWARD}
    is_part = "part" in run.execution.frontier
    scope = {entry["id"] for entry in entries}
    scope |= order.successors(forward, scope)
    for step in forward.values():
        # A JOIN around what a COMPENSATE node undoes, and the node itself, wait on.
        if not is_part or (step.id in scope and step.type not in {"JOIN", "COMPENSATE"}):
            assert step.state.is_settled, "invariant 11"
    chosen = {run.runs[entry["id"]].position for entry in entries}
    found = structure.places(run.tasks)
    live = [
        step.position
        for step in run.runs.values()
        if step.entry_state and step.entry_state.is_undoable and step.position not in chosen
    ]
    if stored.trigger not in ("REQUEST", "LATE_EFFECT"):
        for position in chosen:
            assert not structure.all_before(found, position, live), "invariant 10"


def check_order(run: Run, before: dict[str, StepRun]) -> None:
    """Invariant 8: no undo is sent while one that the shape orders before it is not settled."""
    sent = [
        step
        for step in run.runs.values()
        if step.direction is Direction.COMPENSATION and step.id not in before
    ]
    sent_for_children = [
        step
        for step in run.runs.values()
        if step.entry_state is EntryState.RUNNING
        and step.child_id is not None
        and before.get(step.id, step).entry_state is EntryState.PLANNED
    ]
    if not (sent or sent_for_children):
        return
    found = structure.places(run.tasks)
    waiting = {
        step.position: step
        for step in run.runs.values()
        if step.entry_state and step.entry_state.is_open and not _lets_others_go(run, step)
    }
    for step in (*(run.runs[str(undo.compensates)] for undo in sent), *sent_for_children):
        open_ones = [position for position in waiting if position != step.position]
        early = structure.all_before(found, step.position, open_ones)
        assert not early, f"undo of {step.position} was sent before those of {early}"


def _lets_others_go(run: Run, step: StepRun) -> bool:
    compensation = run.node(step).step.compensation
    if compensation is None:
        return False
    gave_up = step.undo_next == () and not compensation.blocks_on_failure
    return compensation.independent or gave_up
