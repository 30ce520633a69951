"""The doorbell within one process."""

from __future__ import annotations

import asyncio
import os
import threading
import time

import pytest

from orchestrator.border import doorbell


@pytest.fixture(autouse=True)
def no_redis(settings):
    settings.REDIS_URL = ""


def test_ring_wakes_who_waits_for_the_topic():
    with (
        doorbell.listen("a") as first,
        doorbell.listen("a") as second,
        doorbell.listen("b") as other,
    ):
        thread = threading.Thread(target=doorbell.ring, args=("a",))
        thread.start()

        assert first.wait(5)
        assert second.wait(5)
        assert not other.wait(0)
        thread.join()


def test_ring_before_the_wait_is_remembered_once():
    with doorbell.listen("a") as bell:
        doorbell.ring("a")

        assert bell.wait(0)
        assert not bell.wait(0)


def test_wait_ends_with_its_time():
    assert not doorbell.wait("a", 0.01)


def test_nobody_is_left_behind():
    with doorbell.listen("a"), doorbell.listen("a"):
        pass
    doorbell.ring("a")

    assert doorbell._doorbell._hung == {}


def test_ring_wakes_an_event_loop():
    async def scene():
        async with doorbell.listen_async("a") as bell:
            await asyncio.to_thread(doorbell.ring, "a")
            return await bell.wait(5), await bell.wait(0.01)

    assert asyncio.run(scene()) == (True, False)
    assert asyncio.run(doorbell.wait_async("a", 0.01)) is False


def test_fork_forgets_who_waits_in_the_parent():
    with doorbell.listen("a"):
        pid = os.fork()
        if pid == 0:
            os._exit(len(doorbell._doorbell._hung))
        _, status = os.waitpid(pid, 0)

    assert os.waitstatus_to_exitcode(status) == 0


def test_dead_redis_costs_little_and_raises_nothing(settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    began = time.monotonic()
    try:
        with doorbell.listen("a") as bell:
            for _ in range(20):
                doorbell.ring("a")

            assert bell.wait(30)
            assert not bell.wait(30)
    finally:
        doorbell.close()

    assert time.monotonic() - began < 8
