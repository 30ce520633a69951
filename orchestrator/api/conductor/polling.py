"""Handing tasks to polling workers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.http import HttpResponse, JsonResponse

from orchestrator import dispatch
from orchestrator.api.conductor import base, holding, mapping
from orchestrator.selectors import conductor
from orchestrator.services import reports
from orchestrator.services.errors import Malformed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.contrib.auth.models import User
    from django.http import HttpRequest

LONGEST_HOLD_MS = 5000
DEFAULT_HOLD_MS = 100
MOST_TASKS = 1000


@holding.answering("GET")
async def poll_batch(request: HttpRequest, task_type: str) -> HttpResponse:
    """Answer up to `count` tasks; with none, hold the call up to `timeout` milliseconds."""
    query = request.GET
    hold = base.number(query, "timeout", DEFAULT_HOLD_MS)
    if hold > LONGEST_HOLD_MS:
        raise Malformed(f"A poll is held for at most {LONGEST_HOLD_MS} ms, not {hold}.")
    count = min(max(base.number(query, "count", 1), 1), MOST_TASKS)
    actor: Any = request.user

    def look() -> list[dict[str, Any]]:
        return take(actor=actor, task_type=task_type, query=query, count=count)

    topic = dispatch.poll_topic(task_type)
    return JsonResponse(await holding.held(look, topic=topic, seconds=hold / 1000), safe=False)


def take(
    *, actor: User, task_type: str, query: Mapping[str, str], count: int
) -> list[dict[str, Any]]:
    """Hand out up to `count` tasks as JSON."""
    taken = reports.poll(
        actor=actor,
        task_type=task_type,
        worker=base.text(query, "workerid"),
        domain=base.text(query, "domain"),
        count=count,
    )
    return [mapping.task_json(row) for row in conductor.task_rows(taken)]
