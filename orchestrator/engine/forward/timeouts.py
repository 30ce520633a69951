"""What has run out of time: leases, timeouts, waits, the run itself (definitions.md §7.2)."""

from datetime import datetime

from orchestrator.engine.definition.durations import MalformedTime, parse_until, parse_wait_duration
from orchestrator.engine.definition.graph import Node
from orchestrator.engine.definition.model import TaskPolicy, TimeoutPolicy
from orchestrator.engine.events import Event
from orchestrator.engine.forward import attempts
from orchestrator.engine.snapshot import StepRun
from orchestrator.engine.states import (
    Direction,
    ErrorClass,
    ExecutionState,
    ForwardResult,
    StepState,
)
from orchestrator.engine.steps import base, marks, watch
from orchestrator.engine.work import Stop, Work


def step_due(work: Work, node: Node, run: StepRun) -> None:
    """Look at a step run that something said was due; nothing happens before its time."""
    if run.state.is_settled:
        return
    policy = base.task_policy(work, node, run)
    if run.state is StepState.RETRY_WAIT and run.type in watch.STARTED_BY_TIMER:
        # What the engine begins by itself waits for the end of a pause; `decide._pause` rings
        # again.
        if _reached(work, run.due_at) and _may_begin(work, run):
            attempts.restart(work, node, run)
            return
    elif run.state is StepState.WAITING and run.type == "WAIT" and _reached(work, _wait_end(run)):
        base.complete(work, run)
        return
    if run.direction is not Direction.FORWARD:
        return
    if work.execution.paused:
        # The end of the pause sets the clock of attempts again (saga-semantics §10.6).
        _look_again(work, node, policy, run, alerted=True)
        return
    passed = [limit for limit in watch.limits(work, policy, run) if limit.at <= work.now]
    binding = [limit for limit in passed if limit.policy is not TimeoutPolicy.ALERT_ONLY]
    if binding:
        attempts.time_out(work, node, run, binding[0].name, binding[0].policy)
        return
    for limit in passed:
        work.tell("step.timeout_alert", run, reason=f"{limit.name} of {run.reference} has passed")
    _look_again(work, node, policy, run, alerted=bool(passed))


def _may_begin(work: Work, run: StepRun) -> bool:
    """Tell whether the engine may begin something now; an undo's step is bound by its plan."""
    is_forward = run.direction is Direction.FORWARD
    is_open = work.in_state(ExecutionState.RUNNING) or not is_forward
    return is_open and not work.execution.paused and not marks.is_barred(work, run)


def _look_again(work: Work, node: Node, policy: TaskPolicy, run: StepRun, *, alerted: bool) -> None:
    """Set the next moment to look at a step run that goes on."""
    if run.state is not StepState.DISPATCHED:
        watch.watch(work, policy, run, also=_wait_end(run) if run.type == "WAIT" else None)
    elif not _reached(work, run.due_at):
        return
    elif run.queue or not alerted:
        attempts.lose(work, node, run)
    else:
        later = [limit.at for limit in watch.limits(work, policy, run) if limit.at > work.now]
        work.change(run, due_at=min(later, default=None))


def _reached(work: Work, moment: datetime | None) -> bool:
    return moment is not None and moment <= work.now


def _wait_end(run: StepRun) -> datetime | None:
    """Return when a WAIT ends by itself, read from its input."""
    try:
        if run.input.get("duration"):
            return run.scheduled_at + parse_wait_duration(str(run.input["duration"]))
        if run.input.get("until"):
            return parse_until(str(run.input["until"]))
    except MalformedTime:
        return None
    return None


def run_due(work: Work) -> None:
    """Take the deadline of the run: it governs forward work only (saga-semantics §10.5)."""
    definition = work.graph.definition
    if not work.in_state(ExecutionState.RUNNING) or "pivot_doubt" in work.frontier:
        if "part" in work.frontier or "pivot_doubt" in work.frontier:
            work.frontier["overdue"] = True
        return
    reason = f"Workflow timed out after {definition.timeout_seconds} seconds"
    if definition.timeout_policy is TimeoutPolicy.ALERT_ONLY:
        work.record(Event(type="execution.timeout_alert", data={"reason": reason}))
        return
    failure = {
        "stepId": None,
        "taskReferenceName": None,
        "errorClass": ErrorClass.TIMED_OUT.value,
        "message": reason,
        "reason": reason,
    }
    work.stop = Stop(
        trigger="TIMEOUT", outcome=ForwardResult.TIMED_OUT, failure=failure, reason=reason
    )
