"""Handing tasks to polling workers; who finds nothing waits for the doorbell, without a thread."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse

from orchestrator import dispatch
from orchestrator.api import errors
from orchestrator.api.conductor import base, mapping
from orchestrator.border import doorbell
from orchestrator.selectors import conductor
from orchestrator.services import attempts
from orchestrator.services.errors import Malformed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from django.contrib.auth.models import User

LONGEST_HOLD_MS = 5000
DEFAULT_HOLD_MS = 100
LOOK_AGAIN_SECONDS = 1.0
"""A task that becomes due by itself rings no bell."""
MOST_TASKS = 1000


async def poll_batch(request: HttpRequest, task_type: str) -> HttpResponse:
    """Answer up to `count` tasks; with none, hold the call up to `timeout` milliseconds."""
    try:
        return await _poll_batch(request, task_type)
    except Exception as error:  # noqa: BLE001 - any error must answer in Conductor's JSON
        shown = base.as_conductor(error)
        failure = errors.failure_of(shown) or errors.unforeseen(shown)
        return errors.answer(failure, request.path)


async def _poll_batch(request: HttpRequest, task_type: str) -> HttpResponse:
    if request.method != "GET":
        return method_not_allowed(request)
    query = request.GET
    hold = base.number(query, "timeout", DEFAULT_HOLD_MS)
    if hold > LONGEST_HOLD_MS:
        raise Malformed(f"A poll is held for at most {LONGEST_HOLD_MS} ms, not {hold}.")
    count = min(max(base.number(query, "count", 1), 1), MOST_TASKS)

    def look() -> list[dict[str, Any]]:
        return take(actor=request.user, task_type=task_type, query=query, count=count)  # type: ignore[arg-type]  # signed in, says the door

    return JsonResponse(await _held(look, task_type, hold / 1000), safe=False)


async def _held(
    look: Callable[[], list[dict[str, Any]]], task_type: str, seconds: float
) -> list[dict[str, Any]]:
    """Look, and again after each ring, until something is found or the time is over."""
    until = time.monotonic() + seconds
    async with doorbell.listen_async(dispatch.poll_topic(task_type)) as bell:
        while True:
            found = await _asked(look)
            left = until - time.monotonic()
            if found or left <= 0:
                return found
            was_rung = await bell.wait(min(left, LOOK_AGAIN_SECONDS))
            if not was_rung and time.monotonic() >= until:
                return []


async def _asked(look: Callable[[], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Ask the database in a thread, and give the connection back before the wait goes on."""

    def asked() -> list[dict[str, Any]]:
        try:
            return look()
        finally:
            if not connection.in_atomic_block:
                connection.close()

    return await sync_to_async(asked)()


def take(
    *, actor: User, task_type: str, query: Mapping[str, str], count: int
) -> list[dict[str, Any]]:
    """Hand out up to `count` tasks as JSON."""
    taken = attempts.poll(
        actor=actor,
        task_type=task_type,
        worker=base.text(query, "workerid"),
        domain=base.text(query, "domain"),
        count=count,
    )
    return [mapping.task_json(row) for row in conductor.task_rows(taken)]


def method_not_allowed(request: HttpRequest) -> HttpResponse:
    """Answer 405 as Conductor does."""
    failure = errors.Failure(
        status=405,
        code="method_not_allowed",
        message=f"Request method '{request.method}' is not supported",
    )
    return errors.answer(failure, request.path)
