"""Registering and reading workflow and task definitions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rest_framework.response import Response

from orchestrator.access.errors import Refusal
from orchestrator.api.authentication import actor_of
from orchestrator.api.conductor import base, definitions
from orchestrator.api.conductor.base import ConductorView
from orchestrator.engine.roots import millis
from orchestrator.selectors import conductor, task_definitions
from orchestrator.services import task_definitions as task_definition_services
from orchestrator.services import validating, versions

if TYPE_CHECKING:
    from django.http import HttpResponse
    from rest_framework.request import Request

    from orchestrator.models import TaskDefinition, WorkflowVersion

VERSION_HEADER = "X-Amends-Version"


class WorkflowsView(ConductorView):
    """All workflow definitions."""

    def get(self, request: Request) -> Response:
        """List every version of every workflow that you may see."""
        rows = conductor.registered_versions(actor=actor_of(request))
        return Response([workflow_definition(row) for row in rows])

    def post(self, request: Request) -> HttpResponse:
        """Register one definition; `X-Amends-Version` says under which number."""
        overwrite = base.flag(request.query_params, "overwrite")
        actor = actor_of(request)
        numbers = [
            versions.register(actor=actor, document=document, overwrite=overwrite).version.number
            for document in base.list_of(request)
        ]
        response = base.done()
        response.headers[VERSION_HEADER] = ",".join(str(each) for each in numbers)
        return response

    def put(self, request: Request) -> Response:
        """Register or replace definitions; the answer says what became of each."""
        actor = actor_of(request)
        done: list[str] = []
        refused: dict[str, str] = {}
        numbers: list[str] = []
        for document in base.list_of(request):
            name = str(document.get("name")) if isinstance(document, dict) else ""
            try:
                made = versions.register(actor=actor, document=document, overwrite=True)
            except Refusal as error:
                refused[name] = error.message
            else:
                done.append(name)
                numbers.append(str(made.version.number))
        body = bulk_response(done, refused)
        return Response(body, headers={VERSION_HEADER: ",".join(numbers)})


class ValidateView(ConductorView):
    """What registering would say."""

    def post(self, request: Request) -> HttpResponse:
        """Answer 200, or 400 with everything that is wrong."""
        problems = validating.validate(document=request.data, actor=actor_of(request))["problems"]
        errors = [problem for problem in problems if problem["severity"] == "error"]
        if errors:
            raise base.BadRequest(str(errors[0]["message"]), errors)
        return base.done()


class WorkflowView(ConductorView):
    """One workflow definition."""

    def get(self, request: Request, name: str) -> Response:
        """Show the version asked for, or the highest."""
        number = base.number(request.query_params, "version", 0) or None
        found = conductor.find_version(actor=actor_of(request), name=name, number=number)
        return Response(workflow_definition(found))


class WorkflowNamesView(ConductorView):
    """The names of all workflows and their versions."""

    def get(self, request: Request) -> Response:
        """Answer a map of name to versions."""
        found: dict[str, list[dict[str, Any]]] = {}
        for row in conductor.registered_versions(actor=actor_of(request)):
            found.setdefault(row.workflow.name, []).append(
                {
                    "name": row.workflow.name,
                    "version": row.number,
                    "createTime": millis(row.published_at),
                }
            )
        return Response(found)


class LatestVersionsView(ConductorView):
    """The highest version of each workflow."""

    def get(self, request: Request) -> Response:
        """List them."""
        newest = {
            row.workflow.name: row for row in conductor.registered_versions(actor=actor_of(request))
        }
        return Response([workflow_definition(row) for row in newest.values()])


class WorkflowVersionView(ConductorView):
    """One version of a workflow definition."""

    def delete(self, request: Request, name: str, version: int) -> HttpResponse:
        """Hide it from reads and new starts; its runs keep it."""
        versions.delete_version(actor=actor_of(request), name=name, number=version)
        return base.done()


class TaskDefinitionsView(ConductorView):
    """All task definitions."""

    def get(self, request: Request) -> Response:
        """List them."""
        actor_of(request)
        return Response([task_definition(row) for row in task_definitions.task_definitions()])

    def post(self, request: Request) -> HttpResponse:
        """Register or replace a list of them, all or none."""
        return self._save(request)

    def put(self, request: Request) -> HttpResponse:
        """Register or replace one."""
        return self._save(request)

    def _save(self, request: Request) -> HttpResponse:
        task_definition_services.save_task_definitions(
            actor=actor_of(request), documents=base.list_of(request)
        )
        return base.done()


class TaskDefinitionView(ConductorView):
    """One task definition."""

    def get(self, request: Request, name: str) -> Response:
        """Show it."""
        actor_of(request)
        return Response(task_definition(task_definitions.find_task_definition(name=name)))

    def delete(self, request: Request, name: str) -> HttpResponse:
        """Forget it."""
        task_definition_services.delete_task_definition(actor=actor_of(request), name=name)
        return base.done()


def bulk_response(done: list[str], refused: dict[str, str]) -> dict[str, Any]:
    """Return what a call on many things answers."""
    return {
        "bulkErrorResults": refused,
        "bulkSuccessfulResults": done,
        "message": "Bulk Request has been processed.",
    }


def workflow_definition(row: WorkflowVersion) -> dict[str, Any]:
    """Return a registered version."""
    at = millis(row.published_at)
    publisher = row.published_by
    return definitions.workflow_json(
        row.document,
        name=row.workflow.name,
        version=row.number,
        createTime=at,
        updateTime=at,
        createdBy=publisher.get_username() if publisher is not None else None,
    )


def task_definition(row: TaskDefinition) -> dict[str, Any]:
    """Return a registered task definition."""
    creator = row.created_by
    return definitions.task_definition_json(
        row.document,
        createTime=millis(row.created_at),
        updateTime=millis(row.updated_at),
        createdBy=creator.get_username() if creator is not None else None,
    )
