"""Sizes of task queues and who polls them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rest_framework.response import Response

from orchestrator.api.authentication import actor_of
from orchestrator.api.conductor import base
from orchestrator.api.conductor.base import ConductorView
from orchestrator.engine.roots import millis
from orchestrator.selectors import conductor_queues

if TYPE_CHECKING:
    from django.http import HttpResponse
    from rest_framework.request import Request

    from orchestrator.models import QueuePoll


class SizesView(ConductorView):
    """Sizes of some queues."""

    def get(self, request: Request) -> Response:
        """Answer how much waits for each `taskType` asked for."""
        asked = request.query_params.getlist("taskType")
        sizes = conductor_queues.queue_sizes(actor=actor_of(request), queues=asked)
        return Response({name: sizes.get(name, 0) for name in asked})


class SizeView(ConductorView):
    """The size of one queue."""

    def get(self, request: Request) -> Response:
        """Answer a number."""
        query = request.query_params
        name, domain = base.text(query, "taskType"), base.text(query, "domain")
        base.required({"taskType": name}, "taskType")
        size = conductor_queues.queue_size(actor=actor_of(request), name=name, domain=domain)
        return Response(size)


class AllView(ConductorView):
    """Sizes of all queues in which something waits."""

    def get(self, request: Request) -> Response:
        """Answer a map."""
        return Response(conductor_queues.queue_sizes(actor=actor_of(request)))


class AllVerboseView(ConductorView):
    """The same with what is out with workers; there is one shard."""

    def get(self, request: Request) -> Response:
        """Answer a nested map."""
        actor = actor_of(request)
        sizes = conductor_queues.queue_sizes(actor=actor)
        out = conductor_queues.tasks_out(actor=actor)
        return Response(
            {
                name: {"a": {"size": sizes.get(name, 0), "uacked": out.get(name, 0)}}
                for name in sorted({*sizes, *out})
            }
        )


class PollDataView(ConductorView):
    """Who polled for a task type."""

    def get(self, request: Request) -> Response:
        """List the last poll of each worker."""
        actor_of(request)
        name = base.text(request.query_params, "taskType")
        base.required({"taskType": name}, "taskType")
        return Response([_poll(row) for row in conductor_queues.polls(task_type=name)])


class AllPollDataView(ConductorView):
    """Who polled for anything."""

    def get(self, request: Request) -> Response:
        """List the last poll of each worker and task type."""
        actor_of(request)
        return Response([_poll(row) for row in conductor_queues.polls()])


class RequeueView(ConductorView):
    """Putting lost messages back."""

    def post(self, request: Request, task_type: str) -> HttpResponse:  # noqa: ARG002
        """Answer 0: the rows are the queue, so no message can be lost."""
        actor_of(request)
        return base.bare(0)


def _poll(row: QueuePoll) -> dict[str, object]:
    shown: dict[str, object] = {
        "queueName": row.task_type,
        "workerId": row.worker,
        "lastPollTime": millis(row.polled_at),
    }
    if row.domain:
        shown["domain"] = row.domain
    return shown
