"""Reading runs over the Conductor face."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rest_framework.response import Response

from orchestrator.api.authentication import actor_of
from orchestrator.api.conductor import base, mapping, starts
from orchestrator.api.conductor.base import ConductorView
from orchestrator.api.conductor.control import terminate
from orchestrator.selectors import conductor, conductor_search

if TYPE_CHECKING:
    from django.http import HttpResponse
    from rest_framework.request import Request


class RunOrStartView(ConductorView):
    """One address for two things: a run by its id, and a workflow to start by its name."""

    def post(self, request: Request, name: str) -> HttpResponse:
        """Start a run of the workflow; the body is its input."""
        return starts.start_by_name(request, name)

    def get(self, request: Request, name: str) -> Response:
        """Show a run, with its tasks unless `includeTasks=false`."""
        row = conductor.find_run(
            actor=actor_of(request),
            execution_id=name,
            with_tasks=base.flag(request.query_params, "includeTasks", default=True),
        )
        return Response(mapping.run_json(row))

    def delete(self, request: Request, name: str) -> HttpResponse:
        """Terminate a run; where something could be undone, it is undone."""
        reason = base.text(request.query_params, "reason")
        terminate(actor=actor_of(request), workflow_id=name, reason=reason)
        return base.done()


class RunStatusView(ConductorView):
    """The status of a run."""

    def get(self, request: Request, workflow_id: str) -> Response:
        """Show it, with output and variables when asked."""
        query = request.query_params
        execution = conductor.find_execution(actor=actor_of(request), execution_id=workflow_id)
        return Response(
            mapping.status_json(
                execution,
                output=base.flag(query, "includeOutput"),
                variables=base.flag(query, "includeVariables"),
            )
        )


class RunTasksView(ConductorView):
    """The tasks of a run, page by page."""

    def get(self, request: Request, workflow_id: str) -> Response:
        """Answer one page, filtered by status when asked."""
        query = request.query_params
        row = conductor.find_run(actor=actor_of(request), execution_id=workflow_id)
        wanted = {status for value in query.getlist("status") for status in value.split(",")}
        tasks = [
            task
            for each in row.tasks
            if not wanted or mapping.task_status(each) in wanted
            for task in [mapping.task_json(each)]
        ]
        start, count = base.number(query, "start", 0), base.number(query, "count", 15)
        return Response({"totalHits": len(tasks), "results": tasks[start : start + count]})


class RunningView(ConductorView):
    """The runs of a workflow that are not over."""

    def get(self, request: Request, name: str) -> Response:
        """Answer the ids of those of one version, started between two times."""
        query = request.query_params
        ids = conductor_search.running_ids(
            actor=actor_of(request),
            name=name,
            version=base.number(query, "version", 1),
            started_from=base.moment(query, "startTime"),
            started_to=base.moment(query, "endTime"),
        )
        return Response([str(key) for key in ids])


class CorrelatedView(ConductorView):
    """The runs of a workflow with one business key."""

    def get(self, request: Request, name: str, correlation_id: str) -> Response:
        """List them."""
        return Response(_correlated(request, [name], [correlation_id])[correlation_id])


class CorrelatedManyView(ConductorView):
    """The runs of a workflow with several business keys."""

    def post(self, request: Request, name: str) -> Response:
        """Answer a map of business key to runs."""
        return Response(_correlated(request, [name], base.texts(request.data)))


class CorrelatedBatchView(ConductorView):
    """The runs of several workflows with several business keys."""

    def post(self, request: Request) -> Response:
        """Answer a map of business key to runs."""
        body = base.mapping_of(request)
        names = base.texts(body.get("workflowNames"))
        return Response(_correlated(request, names, base.texts(body.get("correlationIds"))))


def _correlated(
    request: Request, names: list[str], correlation_ids: list[str]
) -> dict[str, list[dict[str, Any]]]:
    query = request.query_params
    with_tasks = base.flag(query, "includeTasks")
    found = conductor_search.correlated(
        actor=actor_of(request),
        names=names,
        correlation_ids=correlation_ids,
        closed=base.flag(query, "includeClosed"),
    )
    shown: dict[str, list[dict[str, Any]]] = {key: [] for key in correlation_ids}
    for execution in found:
        row = conductor.run_row(execution=execution, with_tasks=with_tasks)
        shown[execution.correlation_id].append(mapping.run_json(row))
    return shown
