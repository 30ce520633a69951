"""What has run out of time: leases, Conductor's timeouts, waits, the run itself (definitions.md §7.2)."""

from datetime import datetime, timedelta

from orchestrator.engine.definition.durations import MalformedTime, parse_until, parse_wait_duration
from orchestrator.engine.definition.graph import Node
from orchestrator.engine.definition.model import TaskPolicy, TimeoutPolicy
from orchestrator.engine.events import Event
from orchestrator.engine.forward import attempts
from orchestrator.engine.snapshot import StepRun
from orchestrator.engine.states import (
    ErrorClass,
    ExecutionState,
    ForwardResult,
    StepState,
)
from orchestrator.engine.steps import base
from orchestrator.engine.work import Stop, Work


def step_due(work: Work, node: Node, run: StepRun) -> None:
    """Look at a forward step run that something said was due; nothing happens before its time."""
    if run.state.is_settled:
        return
    policy = base.task_policy(work, node)
    if run.state is StepState.RETRY_WAIT and run.type == "SUB_WORKFLOW":
        if _reached(work, run.due_at):
            attempts.restart_child(work, node, run)
        return
    if run.state is StepState.WAITING and run.type == "WAIT" and _reached(work, _wait_end(run)):
        base.complete(work, run)
        return
    passed = _passed(work, policy, run)
    if passed is not None:
        what, timeout_policy = passed
        attempts.time_out(work, node, run, what, timeout_policy)
    elif run.state is StepState.DISPATCHED and _reached(work, run.due_at):
        attempts.lose(work, node, run)


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


def _passed(work: Work, policy: TaskPolicy, run: StepRun) -> tuple[str, TimeoutPolicy] | None:
    """Return which of Conductor's timeouts has passed, and what follows from it."""

    def over(since: datetime | None, seconds: float) -> bool:
        if not since or not seconds:
            return False
        return work.now - since >= timedelta(seconds=seconds)

    if over(run.first_scheduled_at, policy.total_timeout_seconds):
        return "totalTimeoutSeconds", policy.timeout_policy
    if run.queue and run.state is StepState.DISPATCHED:
        return None  # Our own workers keep the deadline themselves; a lease tells if they died.
    is_taken = run.state in (StepState.DISPATCHED, StepState.WAITING)
    if is_taken and over(run.started_at, policy.timeout_seconds):
        return "timeoutSeconds", policy.timeout_policy
    waited = over(run.due_at or run.scheduled_at, policy.poll_timeout_seconds)
    if run.state is StepState.SCHEDULED and waited:
        return "pollTimeoutSeconds", policy.timeout_policy
    is_silent = over(run.updated_at, policy.response_timeout_seconds)
    if run.state is StepState.DISPATCHED and is_silent:
        return "responseTimeoutSeconds", TimeoutPolicy.RETRY
    return None


def run_due(work: Work) -> None:
    """Take the deadline of the run: it governs forward work only (saga-semantics §10.5)."""
    definition = work.graph.definition
    if not work.in_state(ExecutionState.RUNNING):
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
