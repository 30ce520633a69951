"""Which of Conductor's timeouts count for a step run now, and when (definitions.md §7.2)."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from orchestrator.engine.definition.model import TaskPolicy, TimeoutPolicy
from orchestrator.engine.snapshot import StepRun
from orchestrator.engine.states import Direction, StepState
from orchestrator.engine.steps import pauses
from orchestrator.engine.work import Work

SCRIPT_TYPES = frozenset({"INLINE", "LAMBDA", "JSON_JQ_TRANSFORM"})
STARTED_BY_TIMER = SCRIPT_TYPES | {"SUB_WORKFLOW", "WAIT", "HUMAN"}
"""Types whose next attempt the engine begins by itself when it is due."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One timeout of a step run, with what follows when it passes."""

    name: str
    at: datetime
    policy: TimeoutPolicy


def limits(work: Work, policy: TaskPolicy, run: StepRun) -> list[Limit]:
    """Return the timeouts that count in the state that a forward step run is in.

    Paused time does not count for them (saga-semantics §10.6).
    """
    found: list[Limit] = []

    def add(
        name: str, since: datetime | None, seconds: float, then: TimeoutPolicy | None = None
    ) -> None:
        if since and seconds:
            moment = since + timedelta(seconds=seconds) + pauses.since(work, since)
            found.append(Limit(name=name, at=moment, policy=then or policy.timeout_policy))

    add("totalTimeoutSeconds", run.first_scheduled_at, policy.total_timeout_seconds)
    if run.queue and run.state is StepState.DISPATCHED:
        # Our own workers keep the deadline themselves; a lease tells if they died.
        return found
    if run.state in (StepState.DISPATCHED, StepState.WAITING):
        add("timeoutSeconds", run.started_at, policy.timeout_seconds)
    if run.state in (StepState.SCHEDULED, StepState.RETRY_WAIT):
        add("pollTimeoutSeconds", run.due_at or run.scheduled_at, policy.poll_timeout_seconds)
    if run.state is StepState.DISPATCHED:
        response = policy.response_timeout_seconds
        add("responseTimeoutSeconds", run.updated_at, response, TimeoutPolicy.RETRY)
    return found


def resume(work: Work, policy: TaskPolicy, run: StepRun) -> None:
    """Watch a step run again after a pause: also for a moment that has passed meanwhile."""
    is_forward = run.direction is Direction.FORWARD
    moments = [limit.at for limit in limits(work, policy, run)] if is_forward else []
    if run.type in STARTED_BY_TIMER and run.due_at is not None:
        moments.append(run.due_at)
    if moments:
        work.wake_at("STEP", max(work.now, min(moments)), run.id)


def watch(work: Work, policy: TaskPolicy, run: StepRun, *, also: datetime | None = None) -> None:
    """Set the timer of a step run that nobody holds a lease on: its first timeout to come.

    Args:
        work: The decision in the making.
        policy: The TaskDef that holds for the step.
        run: The step run.
        also: When a wait ends by itself, if it does.
    """
    moments = [also] if also else []
    if run.state is StepState.RETRY_WAIT and run.type in STARTED_BY_TIMER and run.due_at:
        moments.append(run.due_at)
    if run.direction is Direction.FORWARD and not work.execution.paused:
        moments += [limit.at for limit in limits(work, policy, run) if limit.at > work.now]
    if moments:
        work.wake_at("STEP", min(moments), run.id)
