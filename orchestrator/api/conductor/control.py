"""Steering runs over the Conductor face; what each call does to a run with undos is ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rest_framework.response import Response

from orchestrator.api.authentication import actor_of
from orchestrator.api.conductor import base, mapping
from orchestrator.api.conductor.base import ConductorView
from orchestrator.selectors import conductor
from orchestrator.services import control, executions, run_retries
from orchestrator.services.errors import Conflict

if TYPE_CHECKING:
    from uuid import UUID

    from django.contrib.auth.models import User
    from django.http import HttpResponse
    from rest_framework.request import Request


class PauseView(ConductorView):
    """Hold a run."""

    def put(self, request: Request, workflow_id: str) -> HttpResponse:
        """Schedule nothing more until somebody resumes it."""
        executions.pause_execution(actor=actor_of(request), execution_id=workflow_id)
        return base.done()


class ResumeView(ConductorView):
    """Let a run go on."""

    def put(self, request: Request, workflow_id: str) -> HttpResponse:
        """Lift the pause."""
        executions.resume_execution(actor=actor_of(request), execution_id=workflow_id)
        return base.done()


class RetryView(ConductorView):
    """Take an ended run up again."""

    def post(self, request: Request, workflow_id: str) -> HttpResponse:
        """Go on from the tasks that failed last."""
        run_retries.retry_execution(
            actor=actor_of(request),
            execution_id=workflow_id,
            resume_children=base.flag(request.query_params, "resumeSubworkflowTasks"),
        )
        return base.nothing()


class DecideView(ConductorView):
    """Look at a run now."""

    def put(self, request: Request, workflow_id: str) -> HttpResponse:
        """Take what is due for it."""
        control.look_at_execution(actor=actor_of(request), execution_id=workflow_id)
        return base.done()


class RemoveView(ConductorView):
    """Forget a run."""

    def delete(self, request: Request, workflow_id: str) -> HttpResponse:
        """Delete an ended run with its history."""
        control.remove_execution(actor=actor_of(request), execution_id=workflow_id)
        return base.done()


_FAILED = ("FAILED", "TIMED_OUT", "TERMINATED")


def terminate(*, actor: User, workflow_id: UUID | str, reason: str) -> None:
    """End a run; with undo where something could be undone, and then it ends when that is done.

    A run that stops or undoes already, or has failed, stays as it is.

    Raises:
        Conflict: The run has completed, or a pivot in it has: then its undo takes two persons.
    """
    told = reason or f"terminated by {actor.get_username()}"
    try:
        executions.cancel_execution(
            actor=actor, execution_id=workflow_id, compensate=True, reason=told, adds=False
        )
    except Conflict:
        execution = conductor.find_execution(actor=actor, execution_id=workflow_id)
        if mapping.run_status(execution) not in _FAILED:
            raise


class VariablesView(ConductorView):
    """The variables of a run."""

    def post(self, request: Request, workflow_id: str) -> Response:
        """Set some of them and answer the run."""
        actor = actor_of(request)
        control.change_variables(
            actor=actor, execution_id=workflow_id, values=base.mapping_of(request)
        )
        row = conductor.find_run(actor=actor, execution_id=workflow_id)
        return Response(mapping.run_json(row))


class TerminateAndRemoveView(ConductorView):
    """End a run and forget it."""

    def delete(self, request: Request, workflow_id: str) -> HttpResponse:
        """Terminate it, then delete it; refused while an undo goes on."""
        actor = actor_of(request)
        reason = base.text(request.query_params, "reason")
        terminate(actor=actor, workflow_id=workflow_id, reason=reason)
        control.remove_execution(actor=actor, execution_id=workflow_id, reason=reason)
        return base.done()
