"""Give every request an id and tell the audit trail where it comes from."""

from __future__ import annotations

import re
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING

from asgiref.sync import iscoroutinefunction
from django.utils.decorators import sync_and_async_middleware

from orchestrator.audit import context

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from django.http import HttpRequest, HttpResponse

HEADER = "X-Request-Id"
_ACCEPTED = re.compile(r"[A-Za-z0-9._-]{8,64}")


@sync_and_async_middleware
def request_context(
    get_response: Callable[[HttpRequest], HttpResponse | Awaitable[HttpResponse]],
) -> Callable[[HttpRequest], HttpResponse | Awaitable[HttpResponse]]:
    """Set id and address for the time of the request, and answer with the id."""
    if iscoroutinefunction(get_response):

        async def in_loop(request: HttpRequest) -> HttpResponse:
            with _described(request) as request_id:
                response: HttpResponse = await get_response(request)
            response.headers[HEADER] = request_id
            return response

        return in_loop

    def in_thread(request: HttpRequest) -> HttpResponse:
        with _described(request) as request_id:
            response = get_response(request)
        response.headers[HEADER] = request_id  # type: ignore[union-attr]  # sync here
        return response  # type: ignore[return-value]  # sync here

    return in_thread


@contextmanager
def _described(request: HttpRequest) -> Iterator[str]:
    given = request.headers.get(HEADER, "")
    request_id = given if _ACCEPTED.fullmatch(given) else uuid.uuid4().hex
    # Only what the server itself saw: headers of a proxy are the business of uvicorn's settings.
    address = str(request.META.get("REMOTE_ADDR") or "")[:64]
    tokens = (
        (context.request_id, context.request_id.set(request_id)),
        (context.address, context.address.set(address)),
        (context.key_id, context.key_id.set("")),
    )
    try:
        yield request_id
    finally:
        for variable, token in tokens:
            variable.reset(token)
