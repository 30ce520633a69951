"""Ledger entries across executions: what is being undone, and what waits for a person."""

from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from django.db.models import QuerySet

from orchestrator.access import scoping
from orchestrator.access.errors import NotFound
from orchestrator.engine.states import EntryState
from orchestrator.models import StepRun
from orchestrator.selectors.errors import Malformed
from orchestrator.selectors.ledger import entry_dict
from orchestrator.selectors.paging import DEFAULT_LIMIT, Order, Page, page_of

if TYPE_CHECKING:
    from django.contrib.auth.models import User

NEWEST_FIRST = Order(field="id", parse=UUID, falling=True)
OPEN = tuple(state.value for state in EntryState if state.is_open)


def compensations_page(
    *,
    actor: "User | None",
    states: Sequence[str] = (),
    workflow: str = "",
    cursor: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Page[dict[str, object]]:
    """Return one page of ledger entries, the newest executions first.

    Without states those whose undo is under way: planned, waiting, failed or with a person.

    Raises:
        Malformed: The cursor, the limit or a state cannot be read.
    """
    unknown = [state for state in states if state not in EntryState.__members__]
    if unknown:
        known = ", ".join(EntryState)
        raise Malformed(f"{unknown[0]!r} is no state of a ledger entry; there are {known}.")
    rows = scoping.visible_to(
        actor, StepRun.objects.filter(entry_state__in=states or OPEN), path="execution__workflow"
    )
    if workflow:
        rows = rows.filter(execution__workflow__name=workflow)
    page = page_of(_light(rows), order=NEWEST_FIRST, cursor=cursor, limit=limit)
    return Page(results=[_row(row) for row in page.results], next=page.next, previous=page.previous)


def find_entry(*, actor: "User | None", entry_id: UUID) -> StepRun:
    """Return a ledger entry the actor may see, or raise `NotFound`."""
    rows = StepRun.objects.filter(pk=entry_id, entry_state__isnull=False)
    found = _light(scoping.visible_to(actor, rows, path="execution__workflow")).first()
    if found is None:
        raise NotFound(f"There is no ledger entry {entry_id}.")
    return found


def entry_detail(*, actor: "User | None", entry_id: UUID) -> dict[str, object]:
    """Return one ledger entry with its execution, or raise `NotFound`."""
    return _row(find_entry(actor=actor, entry_id=entry_id))


def _light(rows: QuerySet[StepRun]) -> QuerySet[StepRun]:
    return rows.select_related("execution").only(
        *_FIELDS,
        "execution__workflow_name",
        "execution__correlation_id",
        "execution__state",
        "execution__frontier",
    )


def _row(row: StepRun) -> dict[str, object]:
    return {
        **entry_dict(row, frontier=row.execution.frontier),
        "executionId": str(row.execution_id),
        "workflowName": row.execution.workflow_name,
        "correlationId": row.execution.correlation_id,
        "executionState": row.execution.state,
        "amendedInput": (row.undo_input or {}).get("input"),
        "originalInput": (row.undo_input or {}).get("original"),
    }


_FIELDS = (
    "id", "execution_id", "reference", "iteration", "entry_state", "policy", "round", "amount",
    "approval_id", "entry_due_at", "entry_reason", "undo_attempts", "undo_waits", "undo_input",
)  # fmt: skip
