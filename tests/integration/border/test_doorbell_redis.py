"""The doorbell between processes, over a real Redis that comes and goes."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time

import pytest

from orchestrator.border import doorbell

SERVER = shutil.which("redis-server") or shutil.which("valkey-server") or ""

pytestmark = pytest.mark.skipif(not SERVER, reason="needs redis-server")

RING = """
import os, sys
from django.conf import settings
settings.configure(REDIS_URL=sys.argv[1])
from orchestrator.border import doorbell
doorbell.ring(sys.argv[2])
"""


class Redis:
    """A server of its own, which the test may kill and start again."""

    def __init__(self):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.start()

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self):
        self._process = subprocess.Popen(
            [SERVER, "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""],
            stdout=subprocess.DEVNULL,
            cwd="/tmp",  # noqa: S108 - it writes nothing
        )

    def stop(self):
        self._process.kill()
        self._process.wait()


@pytest.fixture
def redis_server(settings):
    server = Redis()
    settings.REDIS_URL = server.url
    yield server
    doorbell.close()
    server.stop()


def is_listening():
    """Say whether rings of other processes arrive here."""
    remote = doorbell._doorbell._remote()
    return remote is not None and remote.is_listening


def until_listening():
    """Wait until they do."""
    deadline = time.monotonic() + 20
    while not is_listening():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def ring_from_outside(url, topic):
    subprocess.run(
        [sys.executable, "-c", RING, url, topic], check=True, env=dict(os.environ), timeout=60
    )


def test_ring_of_another_process_is_heard(redis_server):
    with doorbell.listen("a") as bell, doorbell.listen("b") as other:
        until_listening()

        ring_from_outside(redis_server.url, "a")

        assert bell.wait(5)
        assert not other.wait(0)


def test_redis_comes_back(redis_server):
    with doorbell.listen("a") as bell:
        until_listening()

        redis_server.stop()
        while is_listening():
            time.sleep(0.01)
        began = time.monotonic()
        was_rung = bell.wait(30)
        waited = time.monotonic() - began
        redis_server.start()
        until_listening()
        ring_from_outside(redis_server.url, "a")

        assert not was_rung
        assert waited < 2
        assert bell.wait(5)
