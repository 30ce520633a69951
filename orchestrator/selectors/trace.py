"""The journal of an execution, as the trace and the event stream show it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from orchestrator.models import ExecutionEvent
from orchestrator.selectors.executions import find_execution
from orchestrator.selectors.times import iso

if TYPE_CHECKING:
    from django.contrib.auth.models import User

TRACE_LIMIT = 1000


def events_after(
    *, actor: "User | None", execution_id: UUID | str, seq: int = 0, limit: int = TRACE_LIMIT
) -> list[dict[str, object]]:
    """Return events of an execution in order, those after a number.

    Raises:
        NotFound: There is no such execution to be seen.
    """
    execution = find_execution(actor=actor, execution_id=execution_id)
    return read_events(execution_id=execution.pk, seq=seq, limit=limit)


def read_events(*, execution_id: UUID, seq: int, limit: int) -> list[dict[str, object]]:
    """Return events of an execution that the caller has found for its actor."""
    rows = ExecutionEvent.objects.filter(execution_id=execution_id, seq__gt=seq)
    return [event_dict(row) for row in rows.order_by("seq")[:limit]]


def event_dict(row: ExecutionEvent) -> dict[str, object]:
    """Return one event as the API shows it."""
    event: dict[str, object] = {"seq": row.seq, "at": iso(row.at), "type": row.type}
    if row.reference:
        event["taskReferenceName"] = row.reference
    if row.step_run_id is not None:
        event["stepId"] = str(row.step_run_id)
    if row.data:
        event["data"] = row.data
    return event


def last_seq(events: Sequence[dict[str, object]], *, otherwise: int) -> int:
    """Return the number of the last event, or where the reader stood."""
    return int(str(events[-1]["seq"])) if events else otherwise
