"""Reading and updating tasks over the Conductor face."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rest_framework.response import Response

from orchestrator.access.errors import NotFound
from orchestrator.api.authentication import actor_of
from orchestrator.api.conductor import base, mapping, polling
from orchestrator.api.conductor.base import BadRequest, ConductorView
from orchestrator.engine.roots import millis
from orchestrator.selectors import conductor
from orchestrator.services import reports
from orchestrator.services.errors import Malformed
from orchestrator.services.reports import TaskReport

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.contrib.auth.models import User
    from django.http import HttpResponse
    from rest_framework.request import Request

    from orchestrator.services.reports import Reported

STATUSES = frozenset(
    {"IN_PROGRESS", "FAILED", "FAILED_WITH_TERMINAL_ERROR", "COMPLETED", "CANCELED"}
)


class PollView(ConductorView):
    """One task, at once or not at all."""

    def get(self, request: Request, task_type: str) -> HttpResponse:
        """Hand out a task, or answer 204."""
        found = polling.take(
            actor=actor_of(request), task_type=task_type, query=request.query_params, count=1
        )
        return Response(found[0]) if found else base.nothing()


class UpdateView(ConductorView):
    """A worker's result."""

    def post(self, request: Request) -> HttpResponse:
        """Take it and answer the task's id; one that no longer counts is kept and ignored."""
        result = base.mapping_of(request)
        base.required(result, "workflowInstanceId", "taskId")
        reported = reports.report(actor=actor_of(request), report=report_of(result))
        return base.bare(reported.task_id)


class UpdateAndPollView(ConductorView):
    """A worker's result, answered with the worker's next task."""

    def post(self, request: Request) -> HttpResponse:
        """Take the result; 200 with the next task of the same type, or 204.

        Never 404: client packages would take it for a server without this call and change for good
        to the older one.
        """
        result = base.mapping_of(request)
        base.required(result, "workflowInstanceId", "taskId")
        actor = actor_of(request)
        try:
            reported = reports.report(actor=actor, report=report_of(result))
        except NotFound:
            return base.nothing()
        if not reported.is_settled or result.get("extendLease"):
            return base.nothing()
        return _next_task(actor, reported, result)


class TaskView(ConductorView):
    """One task."""

    def get(self, request: Request, task_id: str) -> Response:
        """Show it."""
        row = conductor.find_task(actor=actor_of(request), task_id=task_id)
        return Response(mapping.task_json(row))


class LogView(ConductorView):
    """What a worker logs about a task."""

    def get(self, request: Request, task_id: str) -> HttpResponse:
        """List the lines; 204 when there are none."""
        lines = conductor.task_logs(actor=actor_of(request), task_id=task_id)
        if not lines:
            return base.nothing()
        return Response(
            [
                {"log": row.line, "taskId": str(row.attempt_id), "createdTime": millis(row.at)}
                for row in lines
            ]
        )

    def post(self, request: Request, task_id: str) -> HttpResponse:
        """Keep a line."""
        raw = base.raw_body(request._request)  # noqa: SLF001  # as it came, not as JSON
        reports.add_log(actor=actor_of(request), task_id=task_id, line=log_line(raw))
        return base.done()


class UpdateByReferenceView(ConductorView):
    """A result for the open task of a reference."""

    def post(self, request: Request, workflow_id: str, reference: str, status: str) -> HttpResponse:
        """Take it and answer the task's id; nothing when no such task is open."""
        task_id = _end_open_task(request, workflow_id, reference, status)
        return base.bare(task_id) if task_id else base.done()


class UpdateByReferenceSyncView(ConductorView):
    """The same, answered with the run."""

    def post(self, request: Request, workflow_id: str, reference: str, status: str) -> HttpResponse:
        """Take the result and answer the run; 404 when no such task is open."""
        if _end_open_task(request, workflow_id, reference, status) is None:
            raise NotFound(f"There is no open task {reference!r} in workflow {workflow_id}.")
        row = conductor.find_run(actor=actor_of(request), execution_id=workflow_id)
        return Response(mapping.run_json(row))


class SignalView(ConductorView):
    """A word to whatever waits."""

    def post(self, request: Request, workflow_id: str, status: str) -> HttpResponse:
        """End the first open WAIT task, also of a child; nothing when none is open."""
        signal(
            actor=actor_of(request),
            workflow_id=workflow_id,
            status=status,
            output=base.mapping_of(request),
        )
        return base.done()


# ---- results -----------------------------------------------------------------------------------


def report_of(result: Mapping[str, Any]) -> TaskReport:
    """Read a TaskResult."""
    status = str(result.get("status") or ("IN_PROGRESS" if result.get("extendLease") else ""))
    return TaskReport(
        task_id=str(result["taskId"]),
        status=known_status(status),
        output=_output(result.get("outputData")),
        reason=str(result.get("reasonForIncompletion") or ""),
        callback_after_seconds=_seconds(result.get("callbackAfterSeconds")),
        worker=str(result.get("workerId") or ""),
        extend_lease=result.get("extendLease") is True,
        logs=_logs(result.get("logs")),
    )


def known_status(status: str) -> str:
    """Return the status of a result, or raise `BadRequest`."""
    if status not in STATUSES:
        raise BadRequest(
            f"There is no task result status {status[:40]!r}; there are "
            f"{', '.join(sorted(STATUSES))}.",
            [{"path": "status", "message": "unknown"}],
        )
    return status


def log_line(raw: bytes) -> str:
    """Return a log line from whatever body a client package makes of it."""
    line = raw.decode("utf-8", "replace").replace("\x00", "\ufffd")
    if line.startswith('"') and line.endswith('"'):
        try:
            said = json.loads(line)
        except ValueError:
            return line
        return said if isinstance(said, str) else line
    return line


def _next_task(actor: User, reported: Reported, result: Mapping[str, Any]) -> HttpResponse:
    query = {"workerid": str(result.get("workerId") or ""), "domain": reported.domain}
    found = polling.take(actor=actor, task_type=reported.task_name, query=query, count=1)
    return Response(found[0]) if found else base.nothing()


def signal(*, actor: User, workflow_id: str, status: str, output: Mapping[str, Any]) -> str | None:
    """End the first open WAIT task of a run; None when none is open."""
    known_status(status)
    task_id = reports.find_blocked_task(actor=actor, execution_id=workflow_id)
    if task_id is not None:
        report = TaskReport(task_id=task_id, status=status, output=output, signal=True)
        reports.report(actor=actor, report=report)
    return task_id


def _end_open_task(request: Request, workflow_id: str, reference: str, status: str) -> str | None:
    known_status(status)
    actor = actor_of(request)
    task_id = reports.find_open_task(actor=actor, execution_id=workflow_id, reference=reference)
    if task_id is not None:
        report = TaskReport(
            task_id=task_id,
            status=status,
            output=base.mapping_of(request),
            worker=base.text(request.query_params, "workerid"),
            signal=True,
        )
        reports.report(actor=actor, report=report)
    return task_id


def _output(given: object) -> dict[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise BadRequest(
            "outputData must be a JSON object.", [{"path": "outputData", "message": "no object"}]
        )
    return given


def _seconds(given: object) -> float:
    if given is None:
        return 0
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise Malformed("callbackAfterSeconds must be a number.")
    return given


def _logs(given: object) -> list[str]:
    if not isinstance(given, list):
        return []
    return [str(row["log"]) for row in given if isinstance(row, dict) and row.get("log")]
