"""One act on many runs: always 200, and the body says what became of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rest_framework.response import Response

from orchestrator.access.errors import Refusal
from orchestrator.api.authentication import actor_of
from orchestrator.api.conductor import base, mapping
from orchestrator.api.conductor.base import ConductorView
from orchestrator.api.conductor.control import terminate
from orchestrator.api.conductor.metadata import bulk_response
from orchestrator.selectors import conductor
from orchestrator.services import control, executions, run_retries

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.contrib.auth.models import User
    from rest_framework.request import Request


class BulkPauseView(ConductorView):
    """Hold many runs."""

    def put(self, request: Request) -> Response:
        """Pause each."""
        return _each(
            request,
            lambda actor, key: executions.pause_execution(actor=actor, execution_id=key),
        )


class BulkResumeView(ConductorView):
    """Let many runs go on."""

    def put(self, request: Request) -> Response:
        """Resume each."""
        return _each(
            request,
            lambda actor, key: executions.resume_execution(actor=actor, execution_id=key),
        )


class BulkRetryView(ConductorView):
    """Take many runs up again."""

    def post(self, request: Request) -> Response:
        """Retry each."""
        return _each(
            request,
            lambda actor, key: run_retries.retry_execution(actor=actor, execution_id=key),
        )


class BulkTerminateView(ConductorView):
    """End many runs."""

    def post(self, request: Request) -> Response:
        """Terminate each, by the rules of one."""
        reason = base.text(request.query_params, "reason")
        return _each(
            request, lambda actor, key: terminate(actor=actor, workflow_id=key, reason=reason)
        )


class BulkRemoveView(ConductorView):
    """Forget many runs."""

    def delete(self, request: Request) -> Response:
        """Delete each that is over."""
        return _each(
            request,
            lambda actor, key: control.remove_execution(actor=actor, execution_id=key),
        )

    def post(self, request: Request) -> Response:
        """Do the same: some clients send it so."""
        return self.delete(request)


class BulkSearchView(ConductorView):
    """Reading many runs."""

    def post(self, request: Request) -> Response:
        """Answer the runs of these ids, with their tasks unless `includeTasks=false`."""
        actor = actor_of(request)
        with_tasks = base.flag(request.query_params, "includeTasks", default=True)
        found: list[dict[str, Any]] = []
        refused: dict[str, str] = {}
        for key in base.texts(request.data):
            try:
                row = conductor.find_run(actor=actor, execution_id=key, with_tasks=with_tasks)
            except Refusal as error:
                refused[key] = error.message
            else:
                found.append(mapping.run_json(row))
        return Response({**bulk_response([], refused), "bulkSuccessfulResults": found})


def _each(request: Request, act: Callable[[User, str], None]) -> Response:
    actor = actor_of(request)
    done: list[str] = []
    refused: dict[str, str] = {}
    for key in base.texts(request.data):
        try:
            act(actor, key)
        except Refusal as error:
            refused[key] = error.message
        else:
            done.append(key)
    return Response(bulk_response(done, refused))
