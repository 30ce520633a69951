"""An outcome that nobody knows: probe, try again with the same key, undo, or ask a person.

saga-semantics §3 (`on_unknown`). A step is UNKNOWN *for good* when none of the ways has helped;
until then it counts as in motion, under `doubts` in the frontier.
"""

from orchestrator.engine.definition.graph import Node
from orchestrator.engine.definition.model import EffectClass, OnUnknown
from orchestrator.engine.outcomes import Failed, Succeeded
from orchestrator.engine.snapshot import StepRun, StepSettled
from orchestrator.engine.states import (
    OPEN_ENTRIES,
    Direction,
    EntryState,
    ErrorClass,
    ExecutionState,
    ForwardResult,
    StepState,
)
from orchestrator.engine.steps import base, entry, marks
from orchestrator.engine.work import Stop, Work

_BEING_UNDONE = OPEN_ENTRIES - {EntryState.LATE_EFFECT}
_SETTLED_BEFORE = frozenset({EntryState.VOID, EntryState.COMPENSATED})
_ANSWERABLE = frozenset({None, EntryState.UNCERTAIN})
"""A question is about an effect that no plan deals with yet."""


def doubt(work: Work, node: Node, run: StepRun, *, may_retry: bool = True) -> None:
    """Walk the ways of settling an unknown outcome, from the start."""
    marks.doubt_pivot(work, node, run)
    _walk(work, node, run, node.step.on_unknown, may_retry=may_retry)


def _walk(
    work: Work, node: Node, run: StepRun, ways: tuple[OnUnknown, ...], *, may_retry: bool
) -> None:
    for index, way in enumerate(ways):
        if way is OnUnknown.PROBE and node.step.probe is not None:
            _probe(work, run, ways[index + 1 :], may_retry=may_retry)
            return
        if way is OnUnknown.RETRY and may_retry and base.may_try_again(work, node, run):
            _retry(work, node, run)
            return
        if way is OnUnknown.COMPENSATE and can_undo_unknown(node):
            _for_good(work, run, ask=False)
            return
        if way is OnUnknown.ASK and _asks(node):
            _for_good(work, run, ask=True)
            return
    _for_good(work, run, ask=_asks(node))


def can_undo_unknown(node: Node) -> bool:
    """Tell whether the undo may be called for something that perhaps never happened."""
    compensation = node.step.compensation
    if compensation is None or OnUnknown.COMPENSATE not in node.step.on_unknown:
        return False
    return bool(compensation.safe_if_not_applied) and not node.undo_reads_output


def _asks(node: Node) -> bool:
    """Tell whether a person is asked: a step with an undo, or a pivot; others are only listed."""
    return (node.has_undo or node.effect is EffectClass.PIVOT) and not node.step.optional


def _retry(work: Work, node: Node, run: StepRun) -> None:
    delay = base.forward_retry_delay(work, node, run)
    work.frontier.get("doubts", {}).pop(run.id, None)
    error = run.error_class or ErrorClass.UNKNOWN.value
    base.try_again(work, run, delay, state=StepState.RETRY_WAIT, error_class=error)


# ---- the probe -------------------------------------------------------------------------------


def _probe(work: Work, run: StepRun, rest: tuple[OnUnknown, ...], *, may_retry: bool) -> None:
    """Ask the participant whether the call took effect."""
    if run.state is not StepState.UNKNOWN:
        run = _mark(work, run)
    doubts = work.frontier.setdefault("doubts", {})
    doubts[run.id] = {"rest": [way.value for way in rest], "retry": may_retry}
    work.fresh_probes.append(run)


def _mark(work: Work, run: StepRun) -> StepRun:
    """Write UNKNOWN without taking the consequences of an end."""
    columns = {"ended_at": work.now, "due_at": None, "wake_at": None}
    if run.settle_seq is None:
        columns["settle_seq"] = work.next_settle_seq()  # type: ignore[assignment]  # a number
    columns |= entry.after(work, run, StepState.UNKNOWN, output=run.output)
    run = work.change(run, state=StepState.UNKNOWN, **columns)
    base.end_attempt(work, run)
    work.tell("step.unknown", run, **base.told(run))
    return run


def probed(work: Work, node: Node, run: StepRun, *, applied: bool | None, output: object) -> None:
    """Take the probe's answer: applied, not applied, or it does not know either."""
    record = work.frontier.get("doubts", {}).pop(run.id, None)
    if record is None or run.state is not StepState.UNKNOWN:
        return
    if applied is True:
        shown = output if isinstance(output, dict) else None
        _settle_known(work, run, StepState.COMPLETED, output=shown)
    elif applied is False:
        _not_applied(work, node, run, may_retry=bool(record["retry"]))
    else:
        rest = tuple(OnUnknown(way) for way in record["rest"])
        _walk(work, node, run, rest, may_retry=bool(record["retry"]))


def _not_applied(work: Work, node: Node, run: StepRun, *, may_retry: bool) -> None:
    """Take "it did not happen" as a definite failure of that attempt: retried by policy."""
    run = work.change(run, doubt=False)
    if may_retry and base.may_try_again(work, node, run):
        _retry(work, node, run)
        return
    _settle_known(work, run, StepState.FAILED)


def _settle_known(
    work: Work,
    run: StepRun,
    state: StepState,
    *,
    output: dict[str, object] | None = None,
    is_followed: bool = False,
) -> StepRun:
    """Move an UNKNOWN step run to what is known now; its consequences become due.

    They have been taken where an optional or permissive step was left unknown and the run went on
    (`is_followed`).
    """
    columns: dict[str, object] = {"doubt": False, "ended_at": work.now}
    if state is StepState.COMPLETED:
        columns |= {"output": output, "reason": "", "error_class": ""}
        _forgive(work, run)
    else:
        columns["error_class"] = ErrorClass.FAILED.value
    columns |= entry.after(work, run, state, output=output)
    columns |= marks.settled(work, run, state)
    run = work.change(run, state=state, **columns)
    work.tell(f"step.{state.value.lower()}", run, **base.told(run))
    if not is_followed:
        work.settled.append(run)
    return run


def _forgive(work: Work, run: StepRun) -> None:
    """Take a permissive step off the failures that count at the end of the run."""
    failures = work.frontier.get("permissive", [])
    left = [failure for failure in failures if failure[2] != run.id]
    if left:
        work.frontier["permissive"] = left
    else:
        work.frontier.pop("permissive", None)


def _was_followed(work: Work, run: StepRun, *, was_open: bool) -> bool:
    """Tell whether what comes after an unknown step run has been enabled already."""
    node = work.node(run)
    is_waiting = any(waiting.id == run.id for waiting in work.settled)
    is_waiting = is_waiting or run.id in work.frontier.get("held", ())
    left = work.frontier.get("stopped", {}).get("unfollowed", ())
    goes_on = node is not None and (node.step.optional or node.step.permissive)
    return is_waiting or run.id in left or (goes_on and not was_open)


# ---- for good --------------------------------------------------------------------------------


def _for_good(work: Work, run: StepRun, *, ask: bool) -> None:
    """Leave the outcome unknown; a person is asked, or the plan deals with it."""
    work.frontier.get("doubts", {}).pop(run.id, None)
    if ask:
        questions = work.frontier.setdefault("questions", [])
        if run.id not in questions:
            questions.append(run.id)
    if run.state is StepState.UNKNOWN:
        work.settled.append(run)
    else:
        base.settle(work, run, StepState.UNKNOWN)


def settled_by_person(work: Work, item: StepSettled) -> None:
    """Take the named answer to "did this happen?" (`steps/{id}/settle`)."""
    run = work.run(item.step_run_id)
    if run is None:
        return
    if run.state is not StepState.UNKNOWN or run.entry_state not in _ANSWERABLE:
        work.refused.append(run.id)
        return
    was_open = _close(work, run)
    state = StepState.COMPLETED if item.applied else StepState.FAILED
    work.tell("step.answered", run, applied=item.applied, by=item.actor, reason=item.reason)
    is_followed = _was_followed(work, run, was_open=was_open)
    _settle_known(work, run, state, output=item.output, is_followed=is_followed)


def _close(work: Work, run: StepRun) -> bool:
    """Forget that an outcome is in doubt; True if ways of settling it were still being tried."""
    questions = work.frontier.get("questions", [])
    if run.id in questions:
        questions.remove(run.id)
    return work.frontier.get("doubts", {}).pop(run.id, None) is not None


def take_late_success(work: Work, run: StepRun, outcome: Succeeded) -> None:
    """Take a success that came after its attempt had been given up (saga-semantics §12)."""
    if run.state is StepState.COMPLETED or not run.state.is_settled:
        # Told twice: that it took effect is known, and the undo reckons with it. Or another attempt
        # with the same key goes on, and will say so itself.
        return
    output: dict[str, object] = dict(outcome.output)
    was_sent = entry.was_sent(work, run) if run.entry_state in _BEING_UNDONE else False
    if was_sent is None:
        return
    if run.state is StepState.UNKNOWN:
        was_open = _close(work, run)
        is_followed = _was_followed(work, run, was_open=was_open)
        run = _settle_known(work, run, StepState.COMPLETED, output=output, is_followed=is_followed)
    elif run.entry_state in _SETTLED_BEFORE:
        # The table keeps FAILED and CANCELLED; an undo of the effect reads what it gave.
        run = work.change(run, output=output)
    if run.entry_state in _SETTLED_BEFORE:
        entry.mark_late(work, run)
    elif was_sent:
        # The undo may have come first: what it comes to says nothing (saga-semantics §2.3).
        late_for = work.frontier.setdefault("late_for", [])
        if run.id not in late_for:
            late_for.append(run.id)


def take_late_failure(work: Work, node: Node, run: StepRun, outcome: Failed) -> None:
    """Take a definite failure that came after its attempt had been given up (§2.2, UNKNOWN).

    It settles the step where that was the only attempt and no plan deals with it yet: VOID means
    that every attempt is known not to have been applied (invariant 4).
    """
    is_open_question = run.state is StepState.UNKNOWN and run.entry_state in _ANSWERABLE
    if not is_open_question or run.attempt > 1 or outcome.partial:
        return
    may_retry = bool(work.frontier.get("doubts", {}).get(run.id, {}).get("retry", False))
    was_open = _close(work, run)
    is_followed = _was_followed(work, run, was_open=was_open)
    run = work.change(run, reason=outcome.reason)
    if was_open and not is_followed:
        _not_applied(work, node, run, may_retry=may_retry and not outcome.terminal)
    else:
        _settle_known(work, run, StepState.FAILED, is_followed=is_followed)


def stop_cancelled(work: Work, run: StepRun) -> None:
    """Stop a run whose worker answered CANCELED: the run ends TERMINATED (definitions.md §7.3)."""
    if run.direction is not Direction.FORWARD or not work.in_state(ExecutionState.RUNNING):
        return
    if work.stop is None:
        outcome = ForwardResult.TERMINATED
        reason = f"Task {run.attempt_id} failed with status: {outcome} and reason: '{run.reason}'"
        failure = {
            "stepId": run.id,
            "taskId": run.attempt_id,
            "taskReferenceName": run.reference,
            "errorClass": ErrorClass.FAILED.value,
            "message": run.reason,
            "reason": reason,
        }
        work.stop = Stop(trigger="FAILURE", outcome=outcome, failure=failure, reason=run.reason)
