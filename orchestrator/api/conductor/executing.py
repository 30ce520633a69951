"""Calls that start or signal a run and wait for what comes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.http import HttpResponse, JsonResponse

from orchestrator import dispatch
from orchestrator.access.errors import NotFound
from orchestrator.api.conductor import base, holding, results, starts, tasks
from orchestrator.selectors import conductor

if TYPE_CHECKING:
    from uuid import UUID

    from django.http import HttpRequest

    from orchestrator.api.conductor.results import Wish

LONGEST_WAIT_SECONDS = 300
SIGNAL_WAIT_MS = 5000


@holding.answering("POST")
async def execute_version(request: HttpRequest, name: str, version: int) -> HttpResponse:
    """Start a run, wait until it is over or blocked, and answer what was asked for."""
    wish = results.wish_of(request.GET)
    body = base.object_in(request)
    wanted = {**body, "name": name, "version": version}
    execution_id = await holding.asked(lambda: starts.start(request, wanted).id)
    return await _answer(request, execution_id, wish)


@holding.answering("POST", "GET")
async def execute(request: HttpRequest, name: str) -> HttpResponse:
    """Start a run with the body (or nothing) as its input and answer its output."""
    wish = results.wish_of({**request.headers, **request.GET.dict()})
    wanted = {
        "name": name,
        "version": base.number(request.GET, "version", 0),
        "input": base.object_in(request) if request.method == "POST" else {},
    }
    execution_id = await holding.asked(lambda: starts.start(request, wanted).id)
    await _waited(execution_id, wish)
    actor: Any = request.user
    row = await holding.asked(
        lambda: conductor.find_execution(actor=actor, execution_id=execution_id)
    )
    return JsonResponse(row.output or {})


@holding.answering("POST")
async def signal_sync(request: HttpRequest, workflow_id: str, status: str) -> HttpResponse:
    """End the first open WAIT task, wait for what comes of it; 404 when none is open."""
    wish = results.wish_of(request.GET)
    timeout = base.number(request.GET, "timeoutMillis", SIGNAL_WAIT_MS) / 1000
    output = base.object_in(request)
    actor: Any = request.user
    told = await holding.asked(
        lambda: tasks.signal(actor=actor, workflow_id=workflow_id, status=status, output=output)
    )
    if told is None:
        raise NotFound(f"No task of workflow {workflow_id} waits for a signal.")
    key = conductor.as_uuid(workflow_id)
    assert key is not None  # noqa: S101  # a task of it was found
    waiting = results.Wish(strategy=wish.strategy, request_id=wish.request_id, seconds=timeout)
    return await _answer(request, key, waiting)


async def _answer(request: HttpRequest, execution_id: UUID, wish: Wish) -> HttpResponse:
    is_reached = await _waited(execution_id, wish)
    actor: Any = request.user
    body = await holding.asked(
        lambda: results.result(
            actor=actor, execution_id=execution_id, wish=wish, timed_out=not is_reached
        )
    )
    return JsonResponse(body, safe=False)


async def _waited(execution_id: UUID, wish: Wish) -> bool:
    return await holding.held(
        lambda: results.is_reached(execution_id, wish),
        topic=dispatch.execution_topic(str(execution_id)),
        seconds=min(wish.seconds, LONGEST_WAIT_SECONDS),
    )
