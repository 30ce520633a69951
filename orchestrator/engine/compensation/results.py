"""What undo, probe and confirm attempts come to, and what votes on an entry add up to."""

from typing import Any, assert_never

from orchestrator.engine.compensation import (
    attached,
    children,
    closing,
    confirm_hooks,
    sealing,
    settling,
    timers,
    tries,
    undo,
)
from orchestrator.engine.definition.graph import Node
from orchestrator.engine.forward import attempts, unknown
from orchestrator.engine.outcomes import Failed, Outcome, Succeeded, Unknown, Waiting
from orchestrator.engine.snapshot import (
    AttemptEnded,
    ChildReported,
    StepRun,
    VerdictReached,
)
from orchestrator.engine.states import (
    Direction,
    EntryState,
    ErrorClass,
    ExecutionState,
    ForwardResult,
    StepState,
)
from orchestrator.engine.steps import base
from orchestrator.engine.steps import entry as ledger
from orchestrator.engine.work import Work

_UNDONE = (ExecutionState.COMPENSATED, ExecutionState.PARTIALLY_COMPENSATED)


def end(work: Work, run: StepRun, item: AttemptEnded) -> None:
    """Take the result of an undo, probe or confirm attempt."""
    entry = work.run(run.compensates or "")
    if entry is None:
        return
    if run.attempt_id != item.attempt_id or run.state not in attempts.OPEN:
        attempts.record_late(work, run, item)
        _take_late_undo(work, run, entry, item.outcome)
        return
    node = work.node(run)
    if node is None:
        return
    _settle(work, run, item.outcome)


def _settle(work: Work, run: StepRun, outcome: Outcome) -> None:
    node = work.node(run)
    assert node is not None
    match outcome:
        case Succeeded(output=output):
            base.complete(work, run, output, reason="", error_class="")
        case Waiting():
            attempts.hand_back(work, node, run, outcome)
        case Failed(reason=reason, terminal=terminal):
            _failed(work, run, reason, terminal=terminal)
        case Unknown(reason=reason):
            _unknown(work, run, reason)
        case _:
            assert_never(outcome)


def _failed(work: Work, run: StepRun, reason: str, *, terminal: bool) -> None:
    if run.direction is Direction.PROBE:
        # A probe that fails does not know; the next way is taken (saga-semantics §3).
        base.settle(work, run, StepState.FAILED, reason=reason, error_class="FAILED")
        return
    if run.direction is Direction.CONFIRM:
        confirm_hooks.attempt_failed(work, run, reason=reason, terminal=terminal)
        return
    tries.attempt_failed(work, run, reason=reason, terminal=terminal)


def _unknown(work: Work, run: StepRun, reason: str) -> None:
    """Take an attempt of which nobody can say whether it was applied (invariant 38 asks)."""
    _failed(work, work.change(run, doubt=True), reason, terminal=False)


def lose(work: Work, run: StepRun) -> None:
    """Take a lease of an undo or probe that ran out: asked again with the same key (§13)."""
    if run.state is StepState.DISPATCHED and run.due_at is not None and run.due_at <= work.now:
        _unknown(work, run, "no answer before the lease ran out")


def restarted(work: Work, run: StepRun) -> None:
    """Let the entry be RUNNING again when the engine has begun the next attempt of its undo."""
    entry = work.run(run.compensates or "")
    is_again = work.runs[run.id].state is StepState.WAITING
    if entry is not None and is_again and entry.entry_state is EntryState.RETRY_WAIT:
        ledger.begin_running(work, entry)


def _take_late_undo(work: Work, run: StepRun, entry: StepRun, outcome: Outcome) -> None:
    """Let a definite late success of the present round settle a failed undo (invariant 37)."""
    is_last = _is_last(work, run)
    failed = entry.entry_state is EntryState.COMPENSATION_FAILED
    if isinstance(outcome, Succeeded) and failed and is_last and run.round == entry.round:
        settling.settle_entry(work, entry, EntryState.COMPENSATED, late=True)


def _is_last(work: Work, run: StepRun) -> bool:
    node = work.node(run)
    return node is not None and node.next is None


def returned(work: Work, run: StepRun) -> None:
    """Take the consequences of an attached step run that has settled."""
    match run.direction:
        case Direction.COMPENSATION:
            undo.returned(work, run)
        case Direction.PROBE:
            _probe_returned(work, run)
        case Direction.CONFIRM:
            confirm_hooks.returned(work, run)
        case _:
            return


def _probe_returned(work: Work, run: StepRun) -> None:
    step_run = work.run(run.compensates or "")
    node = work.node(step_run) if step_run else None
    if step_run is None or node is None:
        return
    applied, output = probe_answer(run)
    unknown.probed(work, node, step_run, applied=applied, output=output)


def probe_answer(run: StepRun) -> tuple[bool | None, Any]:
    """Read `{"applied": true|false|null, "output"?}` from a probe's output (product.md §3)."""
    if run.state is not StepState.COMPLETED:
        return None, None
    output: Any = run.output or {}
    if run.type == "HTTP":
        response = output.get("response")
        output = response.get("body") if isinstance(response, dict) else None
    if not isinstance(output, dict):
        return None, None
    applied = output.get("applied")
    return (applied if isinstance(applied, bool) else None), output.get("output")


# ---- children --------------------------------------------------------------------------------


def child_reported(work: Work, item: ChildReported) -> None:
    """Take the end of a child: of its forward work, or of its undo."""
    run = work.run(item.step_run_id)
    if run is None or run.child_id != item.child_id:
        return
    if run.state is StepState.WAITING:
        _child_ended(work, run, item)
    elif children.is_cascading(work, run):
        children.go_on_after_child(work, run)
    elif not children.follows_child(work, run):
        return
    elif run.entry_state is EntryState.RUNNING:
        children.child_undone(work, run, item.state, item.live)
    elif run.entry_state is EntryState.ARMED and item.state in _UNDONE:
        # The child was undone by itself; the entry ends as the child ended (saga-semantics §3).
        undone = item.state is ExecutionState.COMPENSATED
        _enter(work, run, EntryState.COMPENSATED if undone else EntryState.SKIPPED)


def _child_ended(work: Work, run: StepRun, item: ChildReported) -> None:
    node = work.node(run)
    if node is None:
        return
    output = {**(item.output or {}), "subWorkflowId": item.child_id}
    if item.outcome is ForwardResult.COMPLETED and not item.state.name.endswith("COMPENSATED"):
        if run.direction is Direction.FORWARD:
            base.complete(work, run, output)
        else:
            _settle(work, run, Succeeded(output=output))
        return
    run = work.change(run, output=output)
    if run.direction is not Direction.FORWARD:
        _failed(work, run, item.reason, terminal=False)
        return
    timed_out = item.outcome is ForwardResult.TIMED_OUT or run.error_class == ErrorClass.TIMED_OUT
    if item.outcome is ForwardResult.TERMINATED and not timed_out:
        _child_terminated(work, node, work.change(run, reason=item.reason))
    else:
        # Another child would hide the effects that this one has left behind.
        left_effects = item.state not in _UNDONE and item.live > 0
        reason = run.reason if run.error_class == ErrorClass.TIMED_OUT else item.reason
        failed = Failed(reason=reason, timed_out=timed_out, output=output, terminal=left_effects)
        attempts.settle_attempt(work, node, run, failed)
    _follow_child(work, work.runs[run.id], item)


def _child_terminated(work: Work, node: Node, run: StepRun) -> None:
    if not work.goes_forward(run):
        base.settle(work, run, StepState.CANCELLED)
    else:
        attempts.cancel(work, node, run)


def _enter(work: Work, run: StepRun, state: EntryState) -> None:
    """Move an entry that follows its child, and say so: the journal tells every state (43)."""
    if run.entry_state is not state:
        run = work.change(run, entry_state=state)
        work.tell(f"entry.{state.value.lower()}", run)


def _follow_child(work: Work, run: StepRun, item: ChildReported) -> None:
    """Let the entry of a child that did not complete say what the child's own undo came to."""
    if run.entry_state is None:
        return
    if item.state is ExecutionState.COMPENSATED:
        state = EntryState.COMPENSATED
    elif item.state is ExecutionState.PARTIALLY_COMPENSATED:
        state = EntryState.SKIPPED
    else:
        state = EntryState.ARMED if item.live else EntryState.VOID
    if run.state.is_settled:
        _enter(work, run, state)


# ---- people ----------------------------------------------------------------------------------


def verdict(work: Work, item: VerdictReached) -> None:
    """Take what the votes on an approval add up to (saga-semantics §7)."""
    entry = work.run(item.entry_id)
    if entry is None:
        return
    if (
        entry.entry_state is not EntryState.AWAITING_APPROVAL
        or entry.approval_id != item.approval_id
    ):
        work.refused.append(entry.id)
        return
    by = {"by": item.actor, "reason": item.reason}
    match item.verdict:
        case "APPROVED" if closing.is_waived(work, item.approval_id):
            settling.settle_entry(work, entry, EntryState.SKIPPED, **by)
            work.change(entry, entry_reason=item.reason)
        case "APPROVED":
            undo.approved(work, entry)
        case "SKIP":
            settling.settle_entry(work, entry, EntryState.SKIPPED, **by)
            work.change(entry, entry_reason=item.reason)
        case "MANUAL":
            settling.to_manual(work, entry, reason=item.reason, actor=item.actor)
        case _:
            work.refused.append(entry.id)


def entry_due(work: Work, entry_id: str, purpose: str) -> None:
    """Take a time of an entry that has come: the first or the last at which it may be sent."""
    entry = work.run(entry_id)
    if entry is not None and "undo" in work.frontier:
        timers.fired(work, entry, purpose)
        undo.look_at_clock(work, entry)


def follow_variables(work: Work) -> None:
    """Move every business time that a change of the run's variables moves (invariant 40)."""
    sealing.follow_variables(work)
    for key in timers.timed_entries(work):
        entry = work.run(key)
        if entry is not None:
            undo.look_at_clock(work, entry)


def probe(work: Work, run: StepRun) -> bool:
    """Begin the probe of a step whose outcome is unknown; False if something must be loaded."""
    node = work.node(run)
    if node is None or node.step.probe is None:
        return False
    return attached.enter(work, node, run, node.step.probe.reference)
