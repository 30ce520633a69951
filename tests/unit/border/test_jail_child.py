"""The child process of the jail: what it is left with, and what happens when it dies."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from orchestrator.border.jail import pool
from orchestrator.border.jail.process import ChildDied, ChildTimeout, JailProcess

CALL = {"language": "javascript", "source": "1", "data": "null", "body": False, "seconds": 0.25}


@pytest.fixture
def child():
    started = JailProcess()
    yield started
    started.kill()


def pid_of(child):
    return child._process.pid


def test_child_holds_nothing_but_its_pipes(child):
    descriptors = sorted(entry.name for entry in Path(f"/proc/{pid_of(child)}/fd").iterdir())
    environment = Path(f"/proc/{pid_of(child)}/environ").read_bytes()
    status = Path(f"/proc/{pid_of(child)}/status").read_text(encoding="ascii")
    limits = Path(f"/proc/{pid_of(child)}/limits").read_text(encoding="ascii")

    assert descriptors == ["0", "1", "2"]
    assert environment == b""
    assert Path(f"/proc/{pid_of(child)}/cwd").readlink() == Path("/")
    assert "NoNewPrivs:\t1" in status
    rows = {row[:26].strip(): row[26:].split() for row in limits.splitlines()}
    assert rows["Max address space"][:2] == ["268435456", "268435456"]
    assert rows["Max open files"][:2] == ["3", "3"]
    assert rows["Max file size"][:2] == ["0", "0"]
    assert rows["Max processes"][:2] == ["0", "0"]
    assert rows["Max core file size"][:2] == ["0", "0"]


def test_child_ends_with_the_pipe(child):
    child._input.close()

    assert child._process.wait(timeout=10) == 0


def test_child_that_does_not_answer_is_killed(child):
    os.kill(pid_of(child), signal.SIGSTOP)

    with pytest.raises(ChildTimeout):
        child.ask(CALL, seconds=0.2)

    assert child._process.returncode == -signal.SIGKILL


def test_child_that_dies_is_told(child):
    os.kill(pid_of(child), signal.SIGKILL)

    with pytest.raises(ChildDied):
        child.ask(CALL, seconds=5)


def test_killed_idle_child_is_replaced_unnoticed():
    pool.close()
    pool.warm()
    (idle,) = pool._current._idle
    os.kill(pid_of(idle), signal.SIGKILL)

    assert pool.check_syntax("1 + 1") is None

    (replaced,) = pool._current._idle
    assert replaced is not idle


def test_child_is_spent_after_its_calls(child):
    child._calls = 9_999

    child.ask(CALL, seconds=5)

    assert child.is_spent
