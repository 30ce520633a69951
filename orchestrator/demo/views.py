"""The shop over HTTP: participant calls, the books as JSON, and the page that shows them."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from django.conf import settings
from django.contrib.auth.decorators import login_not_required, login_required
from django.db import connection
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST, require_safe
from rest_framework.decorators import api_view, permission_classes
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from orchestrator.demo import books, incoming, selectors
from orchestrator.demo.chaos import MEANINGS, Mode

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponseBase]


def is_open() -> bool:
    """Tell whether this server runs the demo."""
    return bool(settings.AMENDS_DEMO)


def api(view: View[P]) -> View[P]:
    """Answer refusals as JSON, and nothing but a refusal while the demo is off."""

    @wraps(view)
    def answered(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if not is_open():
            return JsonResponse({"error": "The demo is off."}, status=404)
        try:
            return view(request, *args, **kwargs)
        except incoming.RequestError as error:
            return JsonResponse({"error": str(error)}, status=error.status)

    return answered


def participant(view: View[P]) -> View[P]:
    """Open a call to the HTTP steps of the demo: no login, no CSRF token."""
    return csrf_exempt(login_not_required(api(view)))


@participant
@require_POST
def do(request: HttpRequest, step: str) -> HttpResponseBase:
    """Let a participant take effect, once per Idempotency-Key."""
    call = incoming.forward_call(request, step)
    if call.chaos.mode is Mode.SLOW:
        # The effect lands at the end of the wait, also when the caller has given up by then.
        _hold_back(call.chaos.number)
    return _answered(books.perform(call))


@participant
@require_POST
def undo(request: HttpRequest, step: str) -> HttpResponseBase:
    """Let a participant reverse the effect of a forward key."""
    return _answered(books.reverse(incoming.undo_call(request, step)))


@participant
@require_safe
def probe(request: HttpRequest, step: str) -> HttpResponseBase:
    """Say whether the effect of a forward key is in the books."""
    forward_key = incoming.forward_key_of(request, step)
    return JsonResponse(books.probe(step=step, forward_key=forward_key))


@api_view(["GET"])
@permission_classes([IsAuthenticated])
def _effects(request: Request) -> Response:
    key = request.query_params.get("key", "")
    if not key or "\x00" in key:
        return Response({"error": "Say which order: /demo/api/effects?key=ORDER."}, status=400)
    return Response({"effects": selectors.effects_of(key)})


effects = api(_effects)
"""List what took effect for one order and what was reversed; any login may read it."""


@login_required
@require_GET
def shop(request: HttpRequest) -> HttpResponse:
    """Show the books, the newest order first."""
    if not is_open():
        raise Http404("The demo is off.")
    key = request.GET.get("key", "").replace("\x00", "").strip()
    context = {
        "orders": selectors.latest_orders(key=key),
        "key": key,
        "limit": selectors.SHOWN_ORDERS,
        "chaos": MEANINGS,
    }
    return render(request, "orchestrator/demo/shop.html", context)


def _answered(reply: books.Reply) -> HttpResponseBase:
    if reply.is_cut:
        return _cut(reply)
    if reply.delay_seconds:
        _hold_back(reply.delay_seconds)
    return JsonResponse(reply.body, status=reply.status, headers=reply.headers)


def _hold_back(seconds: float) -> None:
    # A sleeping participant must not keep a pooled connection from those who have work to do.
    if not connection.in_atomic_block:
        connection.close()
    time.sleep(seconds)


def _cut(reply: books.Reply) -> StreamingHttpResponse:
    half = json.dumps(reply.body).encode()

    async def parts() -> AsyncIterator[bytes]:
        yield half[: len(half) // 2]
        # Django takes a cancelled stream for a caller that went away and ends quietly; the server
        # then closes the connection, because the answer is not complete.
        raise asyncio.CancelledError

    return StreamingHttpResponse(parts(), content_type="application/json")
