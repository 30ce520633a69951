"""What must hold of an execution after every decision, read from its rows alone."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from orchestrator.engine.states import (
    Direction,
    EntryState,
    ExecutionState,
    StepState,
)

if TYPE_CHECKING:
    from tests.unit.engine.driver import Run

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
        step
        for step in run.runs.values()
        if step.entry_state
        and step.entry_state.is_open
        and step.entry_state is not EntryState.LATE_EFFECT
    ]
    if undo is None:
        assert not open_entries, [(step.position, step.entry_state) for step in open_entries]
        return
    assert run.state in (ExecutionState.COMPENSATING, ExecutionState.NEEDS_ATTENTION)
    assert undo["left"] == len(open_entries)
    in_flight = {
        step.compensates
        for step in run.runs.values()
        if step.direction is Direction.COMPENSATION and not step.state.is_settled
    }
    assert undo["flight"] == len(in_flight)
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
        expects = run.execution.is_saga and node.has_undo
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
