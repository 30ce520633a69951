"""`Idempotency-Key`: an unsafe call that is repeated with its key is answered, not done again."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response
from rest_framework.views import APIView

from orchestrator.api.authentication import actor_of
from orchestrator.engine.canonical import digest
from orchestrator.services import answers
from orchestrator.services.errors import Malformed

if TYPE_CHECKING:
    from collections.abc import Callable

    from rest_framework.request import Request

HEADER = "Idempotency-Key"
LONGEST_KEY = 255
_P = ParamSpec("_P")
_V = TypeVar("_V", bound=APIView)


def idempotent(
    method: Callable[Concatenate[_V, Request, _P], Response],
) -> Callable[Concatenate[_V, Request, _P], Response]:
    """Answer a repeated call of a view's method with its first answer, for 24 hours.

    Only answers of calls that did something are kept; a refused call may be made again.
    """

    @functools.wraps(method)
    def answered_once(
        view: _V, request: Request, /, *args: _P.args, **kwargs: _P.kwargs
    ) -> Response:
        key = key_of(request)
        if not key:
            return method(view, request, *args, **kwargs)
        actor = actor_of(request)
        kept = answers.reserve(actor=actor, key=key, request_hash=_digest(request))
        if kept is not None:
            return Response(kept.body, status=kept.status)
        try:
            response = method(view, request, *args, **kwargs)
        except BaseException:
            answers.release(actor=actor, key=key)
            raise
        answers.keep(actor=actor, key=key, status=response.status_code, body=_plain(response.data))
        return response

    return answered_once


def key_of(request: Request) -> str:
    """Return the key that the call carries, or an empty text; refuse one that is too long."""
    key: str = request.headers.get(HEADER, "").strip()
    if len(key) > LONGEST_KEY or "\0" in key:
        raise Malformed(f"An {HEADER} has at most {LONGEST_KEY} characters.")
    return key


def _plain(data: object) -> object:
    """Return the data as the client got it: with times and ids as text."""
    return json.loads(JSONRenderer().render(data) or b"null")


def _digest(request: Request) -> str:
    body: Any = request.data
    return digest([request.method or "", request.get_full_path(), body])
