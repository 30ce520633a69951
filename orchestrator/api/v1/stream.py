"""The events of an execution as they happen (server-sent events).

The view finds the execution and opens the stream; the stream itself is asynchronous and holds no
database connection while it waits.
"""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

from asgiref.sync import sync_to_async
from django.core.exceptions import ObjectDoesNotExist
from django.db import connection
from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from orchestrator.access.errors import Refusal, TooMany
from orchestrator.api.authentication import actor_of, identify, token_of
from orchestrator.border import doorbell
from orchestrator.selectors import executions, trace

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.contrib.auth.models import User
    from django.http import HttpRequest

T = TypeVar("T")

BATCH = 100
HEARTBEAT_SECONDS = 15.0
LOOK_AGAIN_SECONDS = 0.25
RECHECK_SECONDS = 60.0
LIFETIME_SECONDS = 600.0
SPREAD = 0.2
"""Lifetimes differ by this part, so that streams opened together do not end together."""
PER_USER = 20
PER_PROCESS = 500


class JSONAlways(DefaultContentNegotiation):
    """Refusals of a stream are JSON, whatever the client accepts."""

    def select_renderer(
        self,
        request: Request,  # noqa: ARG002  # the framework's signature
        renderers: "Iterable[BaseRenderer]",  # noqa: ARG002
        format_suffix: str | None = None,  # noqa: ARG002
    ) -> tuple[BaseRenderer, str]:
        """Render refusals as JSON."""
        return JSONRenderer(), JSONRenderer.media_type


@dataclass(slots=True)
class OpenStreams:
    """How many streams this process holds, and for whom."""

    by_user: Counter[int] = field(default_factory=Counter)

    def require_room(self, user_id: int) -> None:
        """Raise `TooMany` when this user, or this process, has enough of them."""
        if self.by_user[user_id] >= PER_USER or self.by_user.total() >= PER_PROCESS:
            raise TooMany("Too many event streams are open; close some first.", retry_after=15)

    def enter(self, user_id: int) -> None:
        """Count one more."""
        self.by_user[user_id] += 1

    def leave(self, user_id: int) -> None:
        """Count one less."""
        self.by_user[user_id] -= 1
        if not self.by_user[user_id]:
            del self.by_user[user_id]


STREAMS = OpenStreams()


class StreamView(APIView):
    """The live events of an execution."""

    content_negotiation_class = JSONAlways

    @extend_schema(
        operation_id="execution_stream",
        responses={(200, "text/event-stream"): OpenApiTypes.STR},
    )
    def get(self, request: Request, execution_id: str) -> HttpResponseBase:
        """Send a snapshot, then every event with its number; `Last-Event-ID` resumes.

        `event: end` is the last of an execution that has ended: do not connect again.
        """
        actor = actor_of(request)
        execution = executions.find_execution(actor=actor, execution_id=execution_id)
        STREAMS.require_room(int(actor.pk))
        stream = EventStream(
            request=request._request,  # noqa: SLF001  # what the door identified
            actor=actor,
            execution_id=execution.pk,
            seq=_resume_after(request),
        )
        response = StreamingHttpResponse(stream.chunks(), content_type="text/event-stream")
        response.headers["Cache-Control"] = "no-cache, no-transform"
        response.headers["X-Accel-Buffering"] = "no"
        return response


@dataclass(slots=True, kw_only=True)
class EventStream:
    """One open stream."""

    request: "HttpRequest"
    actor: "User"
    execution_id: UUID
    seq: int

    async def chunks(self) -> AsyncIterator[str]:
        """Yield the stream's text until the execution, the right or the stream's time is over."""
        user_id = int(self.actor.pk)
        STREAMS.enter(user_id)
        try:
            yield _block("snapshot", await _read(self._snapshot))
            async for chunk in self._events():
                yield chunk
        finally:
            STREAMS.leave(user_id)

    async def _events(self) -> AsyncIterator[str]:
        bell = Bell(f"execution:{self.execution_id}")
        # Not for secrets: spread over time.
        lifetime = LIFETIME_SECONDS * random.uniform(1 - SPREAD, 1 + SPREAD)  # noqa: S311
        opened = checked = spoken = time.monotonic()
        try:
            while (now := time.monotonic()) < opened + lifetime:
                if now - checked >= RECHECK_SECONDS:
                    checked = now
                    if not await _read(self._is_still_allowed):
                        return
                events, ended = await _read(self._next_events)
                for event in events:
                    yield f"id: {event['seq']}\ndata: {_text(event)}\n\n"
                self.seq = trace.last_seq(events, otherwise=self.seq)
                if events:
                    spoken = now
                    continue
                if ended:
                    yield _block("end", {})
                    return
                if now - spoken >= HEARTBEAT_SECONDS:
                    spoken = now
                    yield ": still here\n\n"
                await bell.wait()
        finally:
            bell.close()

    def _snapshot(self) -> dict[str, object]:
        return executions.execution_detail(actor=self.actor, execution_id=self.execution_id)

    def _next_events(self) -> tuple[list[dict[str, object]], bool]:
        """Return what is new, and whether nothing more will come.

        Whether it has ended is read first: an event written in between is then seen next time.
        """
        ended = executions.state_of(execution_id=self.execution_id).is_terminal
        events = trace.read_events(execution_id=self.execution_id, seq=self.seq, limit=BATCH)
        return events, ended

    def _is_still_allowed(self) -> bool:
        """Ask again who this is and whether they may see it: keys, sessions and grants end."""
        try:
            self.actor.refresh_from_db()
            identify(self.request)
            executions.find_execution(actor=self.actor, execution_id=self.execution_id)
        except (Refusal, ObjectDoesNotExist):
            return False
        session = self.request.session
        return bool(token_of(self.request)) or session.exists(session.session_key or "")


class Bell:
    """Waits for the doorbell without missing what rings while somebody reads.

    It is hung up in the background, which takes a moment; a ring in that moment would be lost, so
    the first wait on a new bell is short and the reader looks once more.
    """

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._is_fresh = True
        self._ring = self._hung()

    async def wait(self) -> None:
        """Wait for a ring, but no longer than until the next sign of life is due."""
        seconds = LOOK_AGAIN_SECONDS if self._is_fresh else HEARTBEAT_SECONDS
        await asyncio.wait({self._ring}, timeout=seconds)
        if self._ring.done():
            self._ring = self._hung()
            self._is_fresh = True
        else:
            self._is_fresh = False

    def close(self) -> None:
        """Take it down."""
        self._ring.cancel()

    def _hung(self) -> "asyncio.Task[bool]":
        return asyncio.create_task(doorbell.wait_async(self._topic, LIFETIME_SECONDS))


async def _read(question: Callable[[], T]) -> T:
    """Ask the database in a thread and give the connection back before waiting goes on."""

    def asked() -> T:
        try:
            return question()
        finally:
            if not connection.in_atomic_block:
                connection.close()

    return await sync_to_async(asked)()


def _resume_after(request: Request) -> int:
    text = request.headers.get("Last-Event-ID", "") or request.query_params.get("after", "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0


def _block(event: str, data: dict[str, object]) -> str:
    return f"event: {event}\ndata: {_text(data)}\n\n"


def _text(data: dict[str, object]) -> str:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"))
