"""One child of the jail, seen from outside."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from orchestrator.border.jail import frames

_ROOT = Path(__file__).resolve().parents[3]
_PROGRAM = (
    f"import sys; sys.path.append({str(_ROOT)!r}); "
    "from orchestrator.border.jail.child import main; main()"
)
_START_SECONDS = 30.0
_CALLS_PER_CHILD = 10_000
_CHUNK = 1 << 20


class JailUnavailable(Exception):
    """No child could be started: nothing is known about the script, so ask again later."""


class ChildTimeout(Exception):
    """The child did not answer in time and was killed."""


class ChildDied(Exception):
    """The child died over a call."""


class JailProcess:
    """A warm child. Used by one thread at a time; whoever gets an exception throws it away."""

    def __init__(self) -> None:
        self._calls = 0
        self._is_spent = False
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and program
                [sys.executable, "-I", "-c", _PROGRAM],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={},
                close_fds=True,
                start_new_session=True,
            )
        except OSError as error:
            raise JailUnavailable(f"The script jail cannot be started: {error}") from error
        if self._process.stdin is None or self._process.stdout is None:
            raise JailUnavailable("The script jail has no pipes.")
        self._input, self._output = self._process.stdin, self._process.stdout
        os.set_blocking(self._input.fileno(), False)
        os.set_blocking(self._output.fileno(), False)
        self._wait_until_ready()

    @property
    def is_spent(self) -> bool:
        """Whether it has served enough and should be replaced."""
        return self._is_spent or self._calls >= _CALLS_PER_CHILD

    def ask(self, call: dict[str, Any], *, seconds: float) -> dict[str, Any]:
        """Have a call answered.

        Raises:
            ChildTimeout: There was no answer in time; the child is dead.
            ChildDied: The child died; so may the next one over the same call.
        """
        self._calls += 1
        until = time.monotonic() + seconds
        try:
            self._send(frames.pack(call), until)
            answer = self._receive(until)
        except BaseException:
            # Also when the caller is interrupted: a late answer must not meet the next call.
            self.kill()
            raise
        self._is_spent = bool(answer.get("spent"))
        return answer

    def kill(self) -> None:
        """End the child. Safe to call twice."""
        self._process.kill()
        self._close_pipes()
        self._process.wait()

    def abandon(self) -> None:
        """Forget the child in a forked copy of its parent, without touching it."""
        self._close_pipes()
        # Its exit is for the true parent to collect.
        self._process.returncode = 0

    def _close_pipes(self) -> None:
        for pipe in (self._input, self._output):
            with contextlib.suppress(OSError):
                pipe.close()

    def _wait_until_ready(self) -> None:
        try:
            self._receive(time.monotonic() + _START_SECONDS)
        except (ChildDied, ChildTimeout) as error:
            self.kill()
            raise JailUnavailable("The script jail did not start.") from error
        except BaseException:
            self.kill()
            raise

    def _send(self, data: bytes, until: float) -> None:
        view = memoryview(data)
        while view:
            self._wait(self._input.fileno(), select.POLLOUT, until)
            try:
                view = view[os.write(self._input.fileno(), view[:_CHUNK]) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise ChildDied from error

    def _receive(self, until: float) -> dict[str, Any]:
        header = self._read(frames.HEADER.size, until)
        body = self._read(frames.HEADER.unpack(header)[0], until)
        return frames.unpack(body)

    def _read(self, size: int, until: float) -> bytes:
        taken = bytearray()
        while len(taken) < size:
            self._wait(self._output.fileno(), select.POLLIN, until)
            try:
                chunk = os.read(self._output.fileno(), min(size - len(taken), _CHUNK))
            except BlockingIOError:
                continue
            if not chunk:
                raise ChildDied
            taken += chunk
        return bytes(taken)

    @staticmethod
    def _wait(descriptor: int, event: int, until: float) -> None:
        # poll, because select cannot watch descriptors above 1023.
        poll = select.poll()
        poll.register(descriptor, event)
        left = until - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            raise ChildTimeout
