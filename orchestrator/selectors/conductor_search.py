"""Search of runs and tasks by conditions in Conductor's words."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import reduce
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db.models import Q, QuerySet

from orchestrator.access import scoping
from orchestrator.engine.states import AttemptState, ExecutionState, StepState
from orchestrator.models import Attempt, Execution
from orchestrator.selectors.conductor import TaskRow, as_uuid, task_rows
from orchestrator.selectors.errors import Malformed
from orchestrator.selectors.executions import ExecutionFilters, executions_visible_to

if TYPE_CHECKING:
    from django.contrib.auth.models import User

MOST_RESULTS = 1000
MOST_STARS = 5
_OVER = tuple(state.value for state in ExecutionState if state.is_terminal)
_UNDONE = (ExecutionState.COMPENSATED.value, ExecutionState.PARTIALLY_COMPENSATED.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One condition of a search: `field op value`; several values are alternatives."""

    field: str
    operator: str
    """=, > or <."""
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What to look for, and which part of it to show."""

    conditions: Sequence[Condition] = ()
    text: str = ""
    sort: Sequence[tuple[str, bool]] = ()
    """(field, falling)."""
    start: int = 0
    size: int = 100


# ---- runs --------------------------------------------------------------------------------------


def search_runs(*, actor: "User | None", search: Search) -> tuple[int, list[Execution]]:
    """Return how many runs are found, and the part of them that is to be shown.

    Raises:
        Malformed: A field is unknown, or a value cannot be read.
    """
    rows = executions_visible_to(actor=actor, filters=ExecutionFilters(text=search.text))
    rows = rows.filter(_all(search.conditions, _RUN_FIELDS))
    order = _order(search.sort, _RUN_SORTS) or ["-id"]
    return _part(rows.select_related("version").order_by(*order, "id"), search)


def running_ids(
    *,
    actor: "User | None",
    name: str,
    version: int,
    started_from: datetime | None,
    started_to: datetime | None,
) -> list[UUID]:
    """Return ids of the runs of a version that are not over, the newest first."""
    rows = scoping.visible_to(actor, Execution.objects.filter(workflow__name=name))
    rows = rows.filter(version_number=version).exclude(state__in=_OVER)
    if started_from is not None:
        rows = rows.filter(created_at__gte=started_from)
    if started_to is not None:
        rows = rows.filter(created_at__lte=started_to)
    return list(rows.order_by("-id").values_list("pk", flat=True)[:MOST_RESULTS])


def correlated(
    *, actor: "User | None", names: Collection[str], correlation_ids: Collection[str], closed: bool
) -> list[Execution]:
    """Return runs of workflows with these business keys, the oldest first."""
    rows = Execution.objects.filter(workflow__name__in=names, correlation_id__in=correlation_ids)
    rows = scoping.visible_to(actor, rows.exclude(correlation_id=""))
    if not closed:
        rows = rows.exclude(state__in=_OVER)
    return list(rows.select_related("version").order_by("id")[:MOST_RESULTS])


def _status(value: str) -> Q:
    undone = Q(state__in=_UNDONE)
    match value:
        case "RUNNING" | "PAUSED":
            return ~Q(state__in=_OVER) & Q(paused=value == "PAUSED")
        case "FAILED":
            return Q(state=value) | (undone & (Q(outcome=value) | Q(outcome__isnull=True)))
        case "COMPLETED" | "TIMED_OUT" | "TERMINATED":
            return Q(state=value) | (undone & Q(outcome=value))
        case _:
            raise Malformed(f"There is no workflow status {value[:40]!r}.")


# ---- tasks -------------------------------------------------------------------------------------


def search_tasks(*, actor: "User | None", search: Search) -> tuple[int, list[TaskRow]]:
    """Return how many tasks are found, and the part of them that is to be shown.

    Raises:
        Malformed: A field is unknown, or a value cannot be read.
    """
    rows = scoping.visible_to(
        actor, Attempt.objects.all(), path="step_run__execution__workflow"
    ).filter(_all(search.conditions, _TASK_FIELDS))
    if search.text:
        rows = rows.filter(_task_text(search.text))
    order = _order(search.sort, _TASK_SORTS) or ["-scheduled_at"]
    rows = rows.select_related("step_run__execution__version").order_by(*order, "id")
    total, found = _part(rows, search)
    return total, task_rows(found)


def _task_text(text: str) -> Q:
    key = as_uuid(text)
    query = Q(step_run__name__icontains=text) | Q(step_run__reference__icontains=text)
    return query | Q(pk=key) | Q(execution_id=key) if key is not None else query


def _task_status(value: str) -> Q:
    of_run = {
        "SKIPPED": StepState.SKIPPED,
        "COMPLETED_WITH_ERRORS": StepState.COMPLETED_WITH_ERRORS,
    }
    if value in of_run:
        return Q(step_run__state=of_run[value].value)
    kept = {
        "SCHEDULED": (AttemptState.SCHEDULED,),
        "IN_PROGRESS": (AttemptState.DISPATCHED, AttemptState.WAITING),
        "COMPLETED": (AttemptState.SUCCEEDED,),
        "FAILED": (AttemptState.FAILED, AttemptState.UNKNOWN),
        "FAILED_WITH_TERMINAL_ERROR": (AttemptState.FAILED_TERMINAL,),
        "TIMED_OUT": (AttemptState.TIMED_OUT,),
        "CANCELED": (AttemptState.CANCELLED,),
    }
    if value not in kept:
        raise Malformed(f"There is no task status {value[:40]!r}.")
    others = [state.value for state in of_run.values()]
    return Q(state__in=[state.value for state in kept[value]]) & ~Q(step_run__state__in=others)


def _task_type(value: str) -> Q:
    worker = Q(step_run__type__in=("SIMPLE", "DYNAMIC"))
    if value == "FORK":
        return Q(step_run__type__in=("FORK_JOIN", "FORK_JOIN_DYNAMIC"))
    return (worker & _words("step_run__name")(value)) | (~worker & Q(step_run__type=value))


# ---- conditions --------------------------------------------------------------------------------


def _words(field: str) -> Callable[[str], Q]:
    """Make the condition of a text field; a star stands for anything."""

    def condition(value: str) -> Q:
        if "*" not in value:
            return Q(**{field: value})
        if value.count("*") > MOST_STARS:
            raise Malformed(f"A value has at most {MOST_STARS} stars.")
        if value.endswith("*") and value.count("*") == 1:
            return Q(**{f"{field}__startswith": value[:-1]})
        pattern = ".*".join(re.escape(part) for part in value.split("*"))
        return Q(**{f"{field}__regex": f"^{pattern}$"})

    return condition


def _id(field: str) -> Callable[[str], Q]:
    def condition(value: str) -> Q:
        key = as_uuid(value)
        return Q(**{field: key}) if key is not None else Q(pk__in=())

    return condition


def _number(field: str) -> Callable[[str], Q]:
    def condition(value: str) -> Q:
        if not value.isascii() or not value.isdecimal() or len(value) > 9:
            raise Malformed(f"{value[:40]!r} is no number.")
        return Q(**{field: int(value)})

    return condition


_RUN_FIELDS: Mapping[str, Callable[[str], Q] | str] = {
    "workflowId": _id("pk"),
    "workflowType": _words("workflow_name"),
    "correlationId": _words("correlation_id"),
    "version": _number("version_number"),
    "status": _status,
    "parentWorkflowId": _id("parent_id"),
    "startTime": "created_at",
    "endTime": "ended_at",
    "updateTime": "updated_at",
}
_RUN_SORTS = {
    "workflowId": "id",
    "workflowType": "workflow_name",
    "correlationId": "correlation_id",
    "version": "version_number",
    "status": "state",
    "startTime": "created_at",
    "endTime": "ended_at",
    "updateTime": "updated_at",
}
_TASK_FIELDS: Mapping[str, Callable[[str], Q] | str] = {
    "taskId": _id("pk"),
    "taskType": _task_type,
    "taskDefName": _words("step_run__name"),
    "referenceTaskName": _words("step_run__reference"),
    "status": _task_status,
    "workflowId": _id("execution_id"),
    "workflowType": _words("step_run__execution__workflow_name"),
    "correlationId": _words("step_run__execution__correlation_id"),
    "scheduledTime": "scheduled_at",
    "startTime": "started_at",
    "endTime": "ended_at",
    "updateTime": "step_run__updated_at",
}
_TASK_SORTS = {
    "taskId": "id",
    "taskDefName": "step_run__name",
    "status": "state",
    "scheduledTime": "scheduled_at",
    "startTime": "started_at",
    "endTime": "ended_at",
    "updateTime": "step_run__updated_at",
}


def _all(conditions: Sequence[Condition], fields: Mapping[str, Callable[[str], Q] | str]) -> Q:
    found = Q()
    for condition in conditions:
        known = fields.get(condition.field)
        if known is None:
            raise Malformed(f"There is no field {condition.field[:40]!r} to search by.")
        if isinstance(known, str):
            found &= _times(known, condition)
        elif condition.operator != "=":
            raise Malformed(f"{condition.field} can be searched with = and IN only.")
        else:
            found &= reduce(lambda one, other: one | other, map(known, condition.values))
    return found


def _times(field: str, condition: Condition) -> Q:
    lookup = {"=": "", ">": "__gt", "<": "__lt"}[condition.operator]
    return reduce(
        lambda one, other: one | other,
        (Q(**{f"{field}{lookup}": _moment(value)}) for value in condition.values),
    )


def _moment(value: str) -> datetime:
    try:
        return datetime.fromtimestamp(int(value) / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        raise Malformed(f"{value[:40]!r} is no time in milliseconds.") from None


def _order(sort: Sequence[tuple[str, bool]], fields: Mapping[str, str]) -> list[str]:
    unknown = [name for name, _ in sort if name not in fields]
    if unknown:
        raise Malformed(f"There is no field {unknown[0][:40]!r} to sort by.")
    return [f"-{fields[name]}" if falling else fields[name] for name, falling in sort]


def _part(rows: QuerySet[Any], search: Search) -> tuple[int, list[Any]]:
    size = min(max(search.size, 0), MOST_RESULTS)
    start = max(search.start, 0)
    return rows.count(), list(rows[start : start + size])
