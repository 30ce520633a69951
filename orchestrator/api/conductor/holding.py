"""Calls that are held until something happens: they wait for the doorbell without a thread."""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.db import connection

from orchestrator.api import errors
from orchestrator.api.conductor import base
from orchestrator.border import doorbell

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from django.http import HttpRequest, HttpResponse

_P = ParamSpec("_P")
_T = TypeVar("_T")

LOOK_AGAIN_SECONDS = 1.0
"""What becomes due by itself rings no bell, and a ring may be lost."""


def answering(
    *methods: str,
) -> Callable[
    [Callable[Concatenate[HttpRequest, _P], Coroutine[Any, Any, HttpResponse]]],
    Callable[Concatenate[HttpRequest, _P], Coroutine[Any, Any, HttpResponse]],
]:
    """Answer other methods, and every error, as the views of the REST framework do."""

    def decorate(
        view: Callable[Concatenate[HttpRequest, _P], Coroutine[Any, Any, HttpResponse]],
    ) -> Callable[Concatenate[HttpRequest, _P], Coroutine[Any, Any, HttpResponse]]:
        @functools.wraps(view)
        async def answered(
            request: HttpRequest, /, *args: _P.args, **kwargs: _P.kwargs
        ) -> HttpResponse:
            if request.method not in methods:
                return _method_not_allowed(request)
            try:
                return await view(request, *args, **kwargs)
            except Exception as error:  # noqa: BLE001  # any error must answer in Conductor's JSON
                shown = base.as_conductor(error)
                failure = errors.failure_of(shown) or errors.unforeseen(shown)
                return errors.answer(failure, request.path)

        return answered

    return decorate


async def held(look: Callable[[], _T], *, topic: str, seconds: float) -> _T:
    """Look, and again after each ring, until something is found or the time is over."""
    until = time.monotonic() + seconds
    async with doorbell.listen_async(topic) as bell:
        while True:
            found = await asked(look)
            left = until - time.monotonic()
            if found or left <= 0:
                return found
            was_rung = await bell.wait(min(left, LOOK_AGAIN_SECONDS))
            if not was_rung and time.monotonic() >= until:
                return found


async def asked(question: Callable[[], _T]) -> _T:
    """Ask the database in a thread, and give the connection back before the wait goes on."""

    def ask() -> _T:
        try:
            return question()
        finally:
            if not connection.in_atomic_block:
                connection.close()

    return await sync_to_async(ask)()


def _method_not_allowed(request: HttpRequest) -> HttpResponse:
    failure = errors.Failure(
        status=405,
        code="method_not_allowed",
        message=f"Request method '{request.method}' is not supported",
    )
    return errors.answer(failure, request.path)
