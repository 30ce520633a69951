"""Failpoints: read from text, due at the call that was asked for, silent without."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator import failpoints
from orchestrator.failpoints import BadFailpoint, Failpoint, FailpointReached, failpoint

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _all_off():
    yield
    failpoints.configure("")


def test_without_configuration_nothing_happens():
    assert failpoint("record.before_commit") is False


def test_entries_are_read():
    assert failpoints.parse("a.b=kill:3, c.d=drop:*,e.f=sleep=0.5") == {
        "a.b": Failpoint(action="kill", count=3),
        "c.d": Failpoint(action="drop", count=failpoints.EVERY_CALL),
        "e.f": Failpoint(action="sleep", count=1, seconds=0.5),
    }


@pytest.mark.parametrize(
    "text", ["a.b", "=kill", "a.b=explode", "a.b=kill:x", "a.b=sleep", "a=kill=2"]
)
def test_nonsense_is_refused(text):
    with pytest.raises(BadFailpoint):
        failpoints.parse(text)


def test_raise_comes_at_the_call_that_was_asked_for_and_once():
    failpoints.configure("a.b=raise:2")

    assert failpoint("a.b") is False
    with pytest.raises(FailpointReached, match=r"^a\.b$"):
        failpoint("a.b")
    assert failpoint("a.b") is False


def test_drop_on_every_call_and_for_its_name_only():
    failpoints.configure("a.b=drop:*")

    assert [failpoint("a.b"), failpoint("a.b"), failpoint("a.c")] == [True, True, False]


def _run(program: str, **variables: str) -> int:
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        check=False,
    ).returncode


def test_kill_is_sigkill_and_happens_once_among_processes_that_share_a_folder(tmp_path):
    program = "from orchestrator.failpoints import failpoint; failpoint('a.b')"
    variables = {"AMENDS_FAILPOINTS": "a.b=kill", "AMENDS_FAILPOINTS_DIR": str(tmp_path)}

    first = _run(program, **variables)
    second = _run(program, **variables)

    assert (first, second) == (-signal.SIGKILL, 0)
