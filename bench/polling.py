"""Measures outside workers: steps taken by batch poll and reported by update-v2, over HTTP.

Beside it the same number of connections asks the same server for `GET /healthz`, the least that a
request can be.
"""

import contextlib
import json
import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
from django.contrib.auth.models import User

from bench import definitions
from bench.amends import Amends, start_sets
from bench.machine import Meter, running
from bench.peers import wait_open
from orchestrator.services import accounts
from orchestrator.services.executions import StartRequest
from scripts.services import free_port

CONNECTIONS = 8
BATCH = 20


class Refused(Exception):
    """The server did not answer as it should."""


class Connection:
    """A connection that is kept open; as little of HTTP as our own server needs."""

    def __init__(self, port: int, token: str) -> None:
        """Connect as a caller with a token."""
        self._socket = socket.create_connection(("127.0.0.1", port), 30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._stream = self._socket.makefile("rb")
        self._heads = f"Host: 127.0.0.1:{port}\r\nX-Authorization: {token}\r\n"

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request; return the JSON or the text of the answer, None for an empty one."""
        payload = b"" if body is None else json.dumps(body).encode()
        kind = "Content-Type: application/json\r\n" if payload else ""
        head = f"{method} {path} HTTP/1.1\r\n{self._heads}{kind}Content-Length: {len(payload)}\r\n"
        self._socket.sendall(head.encode() + b"\r\n" + payload)
        status, content, length = self._head()
        raw = self._stream.read(length)
        if status >= 300:
            raise Refused(f"{method} {path}: {status} {raw[:300]!r}")
        if not raw:
            return None
        return json.loads(raw) if b"json" in content else raw

    def _head(self) -> tuple[int, bytes, int]:
        status = int(self._stream.readline().split()[1])
        content, length = b"", 0
        while line := self._stream.readline().strip():
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
            elif name.lower() == b"content-type":
                content = value
        return status, content, length

    def close(self) -> None:
        """Close it."""
        self._stream.close()
        self._socket.close()


class Outside:
    """A running web server and the workers that ask it."""

    def __init__(self, *, web: psutil.Process, port: int, ours: Amends) -> None:
        """Take the server; a service account of its own reports."""
        self._port = port
        self._roots = [web, *ours.roots]
        user = accounts.ensure_service_account(
            name="bench", key_id="bench", secret=(secret := secrets.token_hex(20))
        )
        User.objects.filter(pk=user.pk).update(is_superuser=True)
        self._token = accounts.exchange_key(key_id="bench", secret=secret, address="127.0.0.1")

    def steps(self, count: int) -> Meter:
        """Have so many steps waiting, and measure until all are reported."""
        request = StartRequest(workflow_name=definitions.OUTSIDE, input={"n": uuid4().hex})
        start_sets([request] * count)
        left = _Countdown(count)
        meter = Meter(self._roots)
        with meter.measure():
            self._on_all(lambda connection: _work(connection, left))
        return meter

    def requests(self, count: int) -> Meter:
        """Measure as many of the least requests."""
        left = _Countdown(count)

        def ask(connection: Connection) -> None:
            while left.take():
                connection.call("GET", "/healthz")

        meter = Meter(self._roots)
        with meter.measure():
            self._on_all(ask)
        return meter

    def _on_all(self, act: Callable[[Connection], None]) -> None:
        errors: list[BaseException] = []

        def run() -> None:
            connection = Connection(self._port, self._token)
            try:
                act(connection)
            except BaseException as error:  # noqa: BLE001 - raised by the thread that measures
                errors.append(error)
            finally:
                connection.close()

        threads = [threading.Thread(target=run) for _ in range(CONNECTIONS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]


class _Countdown:
    """How many are left, for all connections together."""

    def __init__(self, count: int) -> None:
        self._left = count
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Take one, if there is one."""
        with self._lock:
            self._left -= 1
            return self._left >= 0

    @property
    def is_over(self) -> bool:
        """Tell whether none is left."""
        return self._left <= 0


def _work(connection: Connection, left: _Countdown) -> None:
    """Poll for steps and report each; an answer may bring the next one with it."""
    name = definitions.OUTSIDE_STEP
    query = f"workerid=bench&count={BATCH}&timeout=100"
    while not left.is_over:
        tasks = connection.call("GET", f"/api/tasks/poll/batch/{name}?{query}") or []
        while tasks:
            task = tasks.pop()
            result = {
                "workflowInstanceId": task["workflowInstanceId"],
                "taskId": task["taskId"],
                "workerId": "bench",
                "status": "COMPLETED",
                "outputData": {"n": 1},
            }
            following = connection.call("POST", "/api/tasks/update-v2", result)
            left.take()
            if isinstance(following, dict) and "taskId" in following:
                tasks.append(following)


@contextlib.contextmanager
def running_outside(*, ours: Amends, folder: Path) -> Iterator[Outside]:
    """Run a web server with two processes."""
    port = free_port()
    command = ["manage.py", "web", "--workers=2", f"--port={port}", "--notice-seconds=0"]
    with running(command, environment={}, log=folder / "web.log") as web:
        wait_open(port)
        yield Outside(web=web, port=port, ours=ours)
