"""What a caller that waits for a run wants to know: whether it is over, and what it waits for."""

from collections.abc import Collection
from uuid import UUID

from orchestrator.engine.states import Direction, StepState
from orchestrator.models import Attempt, Execution, StepRun
from orchestrator.selectors.conductor import TaskRow, task_rows

MOST_RUNS = 200
"""How far the search for a wait goes down into children."""
_SETTLED = tuple(state.value for state in StepState if state.is_settled)


def find_blocking_task(*, execution_id: UUID) -> TaskRow | None:
    """Return the first open WAIT without a timer, also of running children."""
    pending = [execution_id]
    for key in pending:
        rows = StepRun.objects.filter(execution_id=key, state=StepState.WAITING.value)
        for row in rows.order_by("seq").only("type", "attempt_id", "child_id", "input"):
            if row.type == "WAIT" and not row.input.get("duration") and not row.input.get("until"):
                return _task(row.attempt_id)
            if row.child_id is not None and len(pending) < MOST_RUNS:
                pending.append(row.child_id)
    return None


def has_settled(*, execution_id: UUID, references: Collection[str]) -> bool:
    """Tell whether a step with one of these references has its result."""
    return StepRun.objects.filter(
        execution_id=execution_id,
        direction=Direction.FORWARD.value,
        reference__in=references,
        state__in=_SETTLED,
    ).exists()


def find_state(*, execution_id: UUID) -> Execution:
    """Return the row of a run that the caller has found, without what is large."""
    return Execution.objects.only("id", "state", "outcome", "paused", "is_saga").get(
        pk=execution_id
    )


def _task(attempt_id: UUID) -> TaskRow:
    attempt = Attempt.objects.select_related("step_run__execution__version").get(pk=attempt_id)
    return task_rows([attempt])[0]
