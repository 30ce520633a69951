"""Executions that an actor may see: pages of them, and one with all that belongs to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db.models import Q, QuerySet

from orchestrator.access import scoping
from orchestrator.access.errors import NotFound
from orchestrator.engine.compensation import plan as plans
from orchestrator.engine.states import ExecutionState
from orchestrator.models import CompensationPlan, Execution, Workflow
from orchestrator.selectors import ledger, pending, steps, waiting, workflows
from orchestrator.selectors.errors import Malformed
from orchestrator.selectors.paging import DEFAULT_LIMIT, Order, Page, page_of
from orchestrator.selectors.times import iso, iso_of

if TYPE_CHECKING:
    from django.contrib.auth.models import User

TEXT_LIMIT = 200
PART_LIMIT = 500
"""How many steps and ledger entries come with an execution; the rest is paged."""
NEWEST_FIRST = Order(field="id", parse=UUID, falling=True)
_HEAVY = ("input", "output", "variables", "frontier", "lock", "task_policies", "domains")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionFilters:
    """What to list; an empty field does not filter."""

    workflow: str = ""
    version: int | None = None
    states: tuple[str, ...] = ()
    correlation_id: str = ""
    text: str = ""
    """An id, the beginning of a business key, or part of a workflow's name."""
    started_from: datetime | None = None
    started_to: datetime | None = None
    ended_from: datetime | None = None
    ended_to: datetime | None = None


def executions_page(
    *,
    actor: "User | None",
    filters: ExecutionFilters | None = None,
    cursor: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Page[dict[str, object]]:
    """Return one page of executions, the newest first, without their payloads.

    Raises:
        Malformed: The cursor, the limit or a filter cannot be read.
    """
    rows = executions_visible_to(actor=actor, filters=filters or ExecutionFilters())
    page = page_of(rows.defer(*_HEAVY), order=NEWEST_FIRST, cursor=cursor, limit=limit)
    return Page(
        results=[execution_row(row) for row in page.results],
        next=page.next,
        previous=page.previous,
    )


def executions_visible_to(
    *, actor: "User | None", filters: ExecutionFilters
) -> QuerySet[Execution]:
    """Return the executions an actor may see, filtered, in no order."""
    rows = scoping.visible_to(actor, Execution.objects.all())
    if filters.workflow:
        rows = rows.filter(workflow__in=Workflow.objects.filter(name=filters.workflow))
    if filters.version is not None:
        rows = rows.filter(version_number=filters.version)
    if filters.states:
        rows = rows.filter(state__in=_known_states(filters.states))
    if filters.correlation_id:
        rows = rows.filter(correlation_id=filters.correlation_id)
    if filters.text:
        rows = rows.filter(_text_query(filters.text))
    return rows.filter(_time_query(filters))


def find_execution(*, actor: "User | None", execution_id: UUID | str) -> Execution:
    """Return an execution the actor may see, or raise `NotFound`."""
    number = _as_uuid(execution_id)
    rows = Execution.objects.select_related("workflow", "version").defer("version__document")
    rows = scoping.visible_to(actor, rows)
    found = rows.filter(pk=number).first() if number is not None else None
    if found is None:
        raise NotFound(f"There is no execution {str(execution_id)[:64]!r}.")
    return found


def execution_detail(*, actor: "User | None", execution_id: UUID | str) -> dict[str, Any]:
    """Return an execution as `executions/{id}` answers it (product.md §4).

    Of a long run come the first steps and entries; `nextSteps` and `nextLedger` are the cursors of
    the rest, or None. The number of queries does not depend on the run.

    Raises:
        NotFound: There is no such execution to be seen.
    """
    execution = find_execution(actor=actor, execution_id=execution_id)
    plan = _plan_of(execution)
    step_page = steps.steps_page(execution=execution, cursor=None, limit=PART_LIMIT)
    entry_page = ledger.entries_page(execution=execution, cursor=None, limit=PART_LIMIT)
    return {
        **execution_row(execution),
        "input": execution.input,
        "output": execution.output,
        "variables": execution.variables,
        "steps": list(step_page.results),
        "nextSteps": step_page.next,
        "ledger": list(entry_page.results),
        "nextLedger": entry_page.next,
        "plan": plan_dict(plan, frontier=execution.frontier) if plan is not None else None,
        "pendingActs": pending.pending_acts(execution=execution),
        "waitingOn": waiting.sentence(
            execution=execution, steps=step_page.results, entries=entry_page.results
        ),
    }


def execution_steps(
    *, actor: "User | None", execution_id: UUID | str, cursor: str | None, limit: int
) -> Page[dict[str, object]]:
    """Return one page of the step runs of an execution, in the order of scheduling."""
    execution = find_execution(actor=actor, execution_id=execution_id)
    return steps.steps_page(execution=execution, cursor=cursor, limit=limit)


def execution_ledger(
    *, actor: "User | None", execution_id: UUID | str, cursor: str | None, limit: int
) -> Page[dict[str, object]]:
    """Return one page of the ledger of an execution, in the order of scheduling."""
    execution = find_execution(actor=actor, execution_id=execution_id)
    return ledger.entries_page(execution=execution, cursor=cursor, limit=limit)


def execution_rights(*, actor: "User | None", execution_id: UUID | str) -> Mapping[str, bool]:
    """Return every right on the execution's workflow by name, and whether the actor holds it."""
    execution = find_execution(actor=actor, execution_id=execution_id)
    return workflows.rights(actor=actor, workflow=execution.workflow)


def state_of(*, execution_id: UUID) -> ExecutionState:
    """Return the state of an execution that the caller has found for its actor."""
    return ExecutionState(Execution.objects.values_list("state", flat=True).get(pk=execution_id))


def execution_row(execution: Execution) -> dict[str, object]:
    """Return what a list shows of an execution."""
    return {
        "id": str(execution.pk),
        "workflowName": execution.workflow_name,
        "version": execution.version_number,
        "state": execution.state,
        "outcome": execution.outcome,
        "failure": execution.failure,
        "paused": execution.paused,
        "epoch": execution.epoch,
        "correlationId": execution.correlation_id,
        "parentId": str(execution.parent_id) if execution.parent_id is not None else None,
        "startedBy": execution.started_by,
        "startedAt": iso(execution.started_at or execution.created_at),
        "endedAt": iso(execution.ended_at),
    }


def plan_dict(plan: CompensationPlan, *, frontier: Mapping[str, Any]) -> dict[str, object]:
    """Return a compensation plan as the API shows it, with its deadline while it is active."""
    undo = frontier.get("undo") or {}
    is_active = undo.get("plan") == str(plan.pk)
    return {
        "id": str(plan.pk),
        "hash": plan.hash,
        "trigger": plan.trigger,
        "triggeredBy": plan.triggered_by,
        "reason": plan.reason,
        "entries": plan.entries,
        "edges": plan.edges,
        "cannotBeUndone": plan.cannot_be_undone,
        "amounts": plans.totals(plan.entries),
        "state": plan.state,
        "createdAt": iso(plan.created_at),
        "endedAt": iso(plan.ended_at),
        "deadlineAt": iso_of(undo.get("deadline")) if is_active else None,
        "deadlinePassedAt": iso_of(undo.get("overdue")) if is_active else None,
    }


def _plan_of(execution: Execution) -> CompensationPlan | None:
    """Return the active plan, or the last one: the newest is active if any is."""
    return CompensationPlan.objects.filter(execution=execution).order_by("-number").first()


def _known_states(states: Sequence[str]) -> list[str]:
    unknown = [state for state in states if state not in ExecutionState.__members__]
    if unknown:
        known = ", ".join(ExecutionState)
        raise Malformed(f"{unknown[0]!r} is no state of an execution; there are {known}.")
    return list(states)


def _text_query(text: str) -> Q:
    if len(text) > TEXT_LIMIT:
        raise Malformed(f"A search text has at most {TEXT_LIMIT} characters.")
    names = Workflow.objects.filter(name__icontains=text).values("pk")
    query = Q(correlation_id__startswith=text) | Q(workflow__in=names)
    number = _as_uuid(text.strip())
    return query | Q(pk=number) if number is not None else query


def _time_query(filters: ExecutionFilters) -> Q:
    bounds = {
        "started_at__gte": filters.started_from,
        "started_at__lt": filters.started_to,
        "ended_at__gte": filters.ended_from,
        "ended_at__lt": filters.ended_to,
    }
    return Q(**{name: moment for name, moment in bounds.items() if moment is not None})


def _as_uuid(value: UUID | str) -> UUID | None:
    if isinstance(value, UUID):
        return value
    try:
        return UUID(value)
    except ValueError:
        return None
