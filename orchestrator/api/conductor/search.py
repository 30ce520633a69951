"""Search of runs and tasks: the query language, and what is found in brief or in full."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from rest_framework.response import Response

from orchestrator.api.authentication import actor_of
from orchestrator.api.conductor import base, mapping
from orchestrator.api.conductor.base import ConductorView
from orchestrator.selectors import conductor, conductor_search
from orchestrator.selectors.conductor_search import Condition, Search
from orchestrator.services.errors import Malformed

if TYPE_CHECKING:
    from datetime import datetime

    from rest_framework.request import Request

    from orchestrator.models import Execution
    from orchestrator.selectors.conductor import TaskRow

LONGEST_QUERY = 10_000
_VALUE = r"""(?:'[^']*'|"[^"]*"|[^\s'"(),=<>]+)"""
_CONDITION = re.compile(
    rf"\s*(?P<field>\w+)\s*(?:(?P<operator>[=<>])\s*(?P<value>{_VALUE})"
    rf"|IN\s*\((?P<list>\s*{_VALUE}\s*(?:,\s*{_VALUE}\s*)*)\))\s*"
)
_AND = re.compile(r"AND\s+")


class SearchView(ConductorView):
    """Search of runs, in brief."""

    def get(self, request: Request) -> Response:
        """Answer a page of summaries."""
        total, rows = conductor_search.search_runs(
            actor=actor_of(request), search=search_of(request)
        )
        return Response({"totalHits": total, "results": [run_summary(row) for row in rows]})


class SearchFullView(ConductorView):
    """Search of runs, in full."""

    def get(self, request: Request) -> Response:
        """Answer a page of runs, without their tasks."""
        total, rows = conductor_search.search_runs(
            actor=actor_of(request), search=search_of(request)
        )
        runs = [
            mapping.run_json(conductor.run_row(execution=row, with_tasks=False)) for row in rows
        ]
        return Response({"totalHits": total, "results": runs})


class TaskSearchView(ConductorView):
    """Search of tasks, in brief."""

    def get(self, request: Request) -> Response:
        """Answer a page of summaries."""
        total, rows = conductor_search.search_tasks(
            actor=actor_of(request), search=search_of(request)
        )
        return Response({"totalHits": total, "results": [task_summary(row) for row in rows]})


class TaskSearchFullView(ConductorView):
    """Search of tasks, in full."""

    def get(self, request: Request) -> Response:
        """Answer a page of tasks."""
        total, rows = conductor_search.search_tasks(
            actor=actor_of(request), search=search_of(request)
        )
        return Response({"totalHits": total, "results": [mapping.task_json(row) for row in rows]})


def search_of(request: Request) -> Search:
    """Read the query of a search."""
    query = request.query_params
    text = base.text(query, "freeText")
    return Search(
        conditions=conditions_of(base.text(query, "query")),
        text="" if text == "*" else text,
        sort=sort_of(query.getlist("sort")),
        start=base.number(query, "start", 0),
        size=base.number(query, "size", 100),
    )


def conditions_of(query: str) -> list[Condition]:
    """Read conditions joined by AND.

    Raises:
        Malformed: It is something else.
    """
    if len(query) > LONGEST_QUERY:
        raise Malformed(f"A query has at most {LONGEST_QUERY} characters.")
    found: list[Condition] = []
    position, text = 0, query.strip()
    if text == "*":
        return []
    while position < len(text):
        if found:
            joined = _AND.match(text, position)
            if joined is None:
                raise _unreadable(text, position)
            position = joined.end()
        match = _CONDITION.match(text, position)
        if match is None:
            raise _unreadable(text, position)
        found.append(_condition(match))
        position = match.end()
    return found


def sort_of(given: list[str]) -> list[tuple[str, bool]]:
    """Read `field:ASC` and `field:DESC`, repeated or joined by commas."""
    parts = [part.strip() for value in given for part in value.split(",") if part.strip()]
    found: list[tuple[str, bool]] = []
    for part in parts:
        field, _, direction = part.partition(":")
        if direction.upper() not in {"", "ASC", "DESC"}:
            raise Malformed(f"Sort by field:ASC or field:DESC, not {part[:60]!r}.")
        found.append((field, direction.upper() == "DESC"))
    return found


def run_summary(execution: Execution) -> dict[str, Any]:
    """Return a run in brief: times as text, input and output as text."""
    ended = execution.ended_at if mapping.is_over(execution) else None
    spent = ended - execution.created_at if ended is not None else None
    return mapping.without_nulls(
        {
            "workflowType": execution.workflow_name,
            "version": execution.version_number,
            "workflowId": str(execution.pk),
            "correlationId": execution.correlation_id or None,
            "startTime": _iso(execution.created_at),
            "updateTime": _iso(execution.updated_at),
            "endTime": _iso(ended),
            "status": mapping.run_status(execution),
            "input": _text(execution.input),
            "output": _text(execution.output or {}),
            "inputSize": len(_text(execution.input)),
            "outputSize": len(_text(execution.output or {})),
            "reasonForIncompletion": mapping.end_reason(execution),
            "executionTime": int(spent.total_seconds() * 1000) if spent is not None else 0,
            "priority": execution.priority,
            "createdBy": execution.started_by or None,
            "taskToDomain": execution.domains,
            "idempotencyKey": execution.idempotency_key or None,
            "parentWorkflowId": str(execution.parent_id) if execution.parent_id else None,
        }
    )


def task_summary(row: TaskRow) -> dict[str, Any]:
    """Return a task in brief."""
    attempt, run, execution = row.attempt, row.run, row.execution
    task = mapping.task_json(row)
    spent = max(task["endTime"] - task["startTime"], 0) if task["endTime"] else 0
    return mapping.without_nulls(
        {
            "workflowId": str(execution.pk),
            "workflowType": execution.workflow_name,
            "correlationId": execution.correlation_id or None,
            "scheduledTime": _iso(attempt.scheduled_at),
            "startTime": _iso(attempt.started_at),
            "updateTime": _iso(run.updated_at),
            "endTime": _iso(attempt.ended_at),
            "status": task["status"],
            "reasonForIncompletion": task.get("reasonForIncompletion"),
            "executionTime": spent,
            "queueWaitTime": task["queueWaitTime"],
            "taskDefName": run.name,
            "taskType": task["taskType"],
            "taskReferenceName": task["referenceTaskName"],
            "input": _text(task["inputData"]),
            "output": _text(task["outputData"]),
            "taskId": str(attempt.pk),
            "workflowPriority": execution.priority,
            "domain": run.domain or None,
        }
    )


def _condition(match: re.Match[str]) -> Condition:
    if match["list"] is not None:
        values = tuple(_unquoted(value) for value in re.findall(_VALUE, match["list"]))
        return Condition(field=match["field"], operator="=", values=values)
    value = _unquoted(match["value"])
    return Condition(field=match["field"], operator=match["operator"], values=(value,))


def _unquoted(value: str) -> str:
    return value[1:-1] if value[:1] in {"'", '"'} else value


def _unreadable(text: str, position: int) -> Malformed:
    return Malformed(
        f"The query cannot be read at {text[position : position + 40]!r}; it is "
        "`field = value`, `field > value`, `field < value` or `field IN (value, …)`, joined by AND."
    )


def _iso(moment: datetime | None) -> str | None:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z" if moment is not None else None


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
