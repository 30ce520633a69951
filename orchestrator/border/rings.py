"""Rings between processes, over Redis: sent if it can be, heard in a thread."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

if TYPE_CHECKING:
    from collections.abc import Callable

CHANNEL = "amends:doorbell"
_BETWEEN = "\n"
_CONNECT_SECONDS = 1.0
_ANSWER_SECONDS = 1.0
_LISTEN_SECONDS = 1.0
_LONGEST_SILENCE = 4.0
_PAUSE_AFTER_TROUBLE = 2.0


class RemoteRings:
    """One process's side of the channel. A broken Redis costs rings and raises nothing."""

    def __init__(self, url: str, heard: Callable[[str], None]) -> None:
        self._heard = heard
        self._client = redis.Redis.from_url(
            url,
            socket_connect_timeout=_CONNECT_SECONDS,
            socket_timeout=_ANSWER_SECONDS,
            retry=Retry(NoBackoff(), 0),
            decode_responses=True,
        )
        self._lock = threading.Lock()
        self._listener: threading.Thread | None = None
        self._stopped = threading.Event()
        self._listening = threading.Event()
        self._silent_until = 0.0

    @property
    def is_listening(self) -> bool:
        """Whether rings of other processes arrive, as far as is known."""
        return self._listening.is_set()

    def send(self, *topics: str) -> None:
        """Ring in every process that listens: one message, however many topics."""
        # After a failure nothing is tried for a moment, or a dead Redis would slow every write.
        if time.monotonic() < self._silent_until:
            return
        try:
            self._client.publish(CHANNEL, _BETWEEN.join(topics))
        except redis.RedisError:
            self._silent_until = time.monotonic() + _PAUSE_AFTER_TROUBLE

    def listen(self) -> None:
        """Begin to hear the rings of other processes, unless that was done already."""
        with self._lock:
            if self._listener is None:
                self._listener = threading.Thread(target=self._run, name="doorbell", daemon=True)
                self._listener.start()

    def close(self) -> None:
        """Stop listening."""
        self._stopped.set()
        listener = self._listener
        if listener is not None:
            listener.join(timeout=_LISTEN_SECONDS + _ANSWER_SECONDS + _CONNECT_SECONDS)
        self._client.close()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._hear()
            except (redis.RedisError, OSError):
                self._stopped.wait(_PAUSE_AFTER_TROUBLE)
            finally:
                self._listening.clear()

    def _hear(self) -> None:
        # redis-py leaves this method without types.
        channel: Any = self._client.pubsub()  # type: ignore[no-untyped-call]
        with channel:
            channel.subscribe(CHANNEL)
            heard_at = time.monotonic()
            while not self._stopped.is_set():
                message = channel.get_message(timeout=_LISTEN_SECONDS)
                if message is not None:
                    heard_at = time.monotonic()
                    self._take(message)
                elif time.monotonic() - heard_at > _LONGEST_SILENCE:
                    return
                else:
                    # Silence and a frozen server sound the same; only an answer tells them apart.
                    channel.ping()

    def _take(self, message: dict[str, Any]) -> None:
        if message["type"] == "subscribe":
            self._listening.set()
        elif message["type"] == "message":
            for topic in str(message["data"]).split(_BETWEEN):
                self._heard(topic)
