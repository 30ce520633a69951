"""Wakes whoever waits for news: long polls and event streams.

A ring says only *look again*; the database holds the truth. So a ring may be lost: who waits looks
again when its time is up anyway. With Redis a ring reaches every process, without it this one; and
while Redis does not answer, waits become short.

Look *after* you began to listen, or a ring between looking and waiting is missed::

    with doorbell.listen(topic) as bell:
        while not (found := look()) and (left := until - time.monotonic()) > 0:
            bell.wait(left)
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from django.conf import settings

from orchestrator.border.rings import RemoteRings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

LONGEST_REMOTE_WAIT = 5.0
"""How long to trust a connection that may have died meanwhile."""
SHORT_WAIT = 1.0
"""How long a wait may be while rings from other processes may not arrive."""


class Bell:
    """Remembers the rings of one topic since it was hung up."""

    def __init__(self, doorbell: _Doorbell) -> None:
        self._doorbell = doorbell
        self._event = threading.Event()

    def hit(self) -> None:
        """Ring it; safe from any thread."""
        self._event.set()

    def wait(self, timeout: float) -> bool:
        """Wait for a ring, at most so many seconds; say whether there was one.

        May come back early without a ring.
        """
        was_rung = self._event.wait(self._doorbell.patience(timeout))
        self._event.clear()
        return was_rung


class AsyncBell:
    """A `Bell` that holds no thread while it waits."""

    def __init__(self, doorbell: _Doorbell) -> None:
        self._doorbell = doorbell
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()

    def hit(self) -> None:
        """Ring it; safe from any thread."""
        # A loop that is closed has nobody waiting any more.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._event.set)

    async def wait(self, seconds: float) -> bool:
        """Wait as `Bell.wait` does."""
        try:
            await asyncio.wait_for(self._event.wait(), self._doorbell.patience(seconds))
        except TimeoutError:
            return False
        self._event.clear()
        return True


class _Doorbell:
    """The doorbell of this process, wired to Redis on first use."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        # After a fork those who wait, the thread and its connection are the parent's.
        self._lock = threading.Lock()
        self._hung: dict[str, set[Callable[[], None]]] = {}
        self._wired: tuple[str, RemoteRings] | None = None

    def ring(self, *topics: str) -> None:
        for topic in topics:
            self.ring_here(topic)
        remote = self._remote()
        if remote is not None:
            remote.send(*topics)

    def ring_here(self, topic: str) -> None:
        with self._lock:
            called = tuple(self._hung.get(topic, ()))
        for hit in called:
            hit()

    def hang_up(self, topic: str, hit: Callable[[], None]) -> None:
        with self._lock:
            self._hung.setdefault(topic, set()).add(hit)
        remote = self._remote()
        if remote is not None:
            remote.listen()

    def take_down(self, topic: str, hit: Callable[[], None]) -> None:
        with self._lock:
            hung = self._hung.get(topic, set())
            hung.discard(hit)
            if not hung:
                self._hung.pop(topic, None)

    def patience(self, timeout: float) -> float:
        """Return how long a wait may be as things stand."""
        remote = self._remote()
        if remote is None:
            return max(timeout, 0.0)
        longest = LONGEST_REMOTE_WAIT if remote.is_listening else SHORT_WAIT
        return max(min(timeout, longest), 0.0)

    def close(self) -> None:
        with self._lock:
            wired, self._wired = self._wired, None
        if wired is not None:
            wired[1].close()

    def _remote(self) -> RemoteRings | None:
        url = settings.REDIS_URL
        if not url:
            return None
        with self._lock:
            if self._wired is None or self._wired[0] != url:
                self._wired = (url, RemoteRings(url, self.ring_here))
            return self._wired[1]


_doorbell = _Doorbell()
os.register_at_fork(after_in_child=_doorbell.reset)


def ring(*topics: str) -> None:
    """Wake everybody who waits for one of the topics. Never raises; a ring may be lost."""
    _doorbell.ring(*topics)


@contextmanager
def listen(topic: str) -> Iterator[Bell]:
    """Hear the rings of a topic from now on."""
    bell = Bell(_doorbell)
    _doorbell.hang_up(topic, bell.hit)
    try:
        yield bell
    finally:
        _doorbell.take_down(topic, bell.hit)


@asynccontextmanager
async def listen_async(topic: str) -> AsyncIterator[AsyncBell]:
    """Hear the rings of a topic from now on, in an event loop."""
    bell = AsyncBell(_doorbell)
    _doorbell.hang_up(topic, bell.hit)
    try:
        yield bell
    finally:
        _doorbell.take_down(topic, bell.hit)


def wait(topic: str, timeout: float) -> bool:
    """Wait for a ring that comes from now on; say whether there was one."""
    with listen(topic) as bell:
        return bell.wait(timeout)


async def wait_async(topic: str, seconds: float) -> bool:
    """Wait for a ring as `wait` does, without holding a thread meanwhile."""
    async with listen_async(topic) as bell:
        return await bell.wait(seconds)


def close() -> None:
    """Stop listening; a later call wires the doorbell again."""
    _doorbell.close()
