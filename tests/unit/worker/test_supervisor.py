"""The supervisor with real child processes: restarts, gives up, drains."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
WAIT_SECONDS = 20

STAYS = (
    "import signal, time; signal.signal(signal.SIGTERM, lambda *_: exit(0)); {say}; time.sleep(60)"
)
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); {say}; time.sleep(60)"
DRAIN = (
    "import pathlib, signal, time\n"
    "from orchestrator import drain\n"
    "{say}\n"
    "def end(*_):\n"
    "    pathlib.Path({out!r}).write_text(str(drain.is_draining()))\n"
    "    exit(0)\n"
    "signal.signal(signal.SIGTERM, end)\n"
    "time.sleep(60)\n"
)


class Running:
    """A supervisor whose child writes its pid into a file each time it starts."""

    def __init__(self, folder: Path, program: str, shutdown_seconds: float = 5) -> None:
        self.pids = folder / "pids"
        self.pids.touch()
        say = f"import os; open({str(self.pids)!r}, 'a').write(str(os.getpid()) + chr(10))"
        code = program.format(say=say, out=str(folder / "out"))
        specs = [{"name": "child", "arguments": [sys.executable, "-c", code], "restartable": True}]
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "orchestrator.worker.supervisor"),
                *(f"--shutdown-seconds={shutdown_seconds}", json.dumps(specs)),
            ],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )

    def child(self, number: int) -> int:
        """Wait for the given start of the child and return its pid."""
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            pids = self.pids.read_text().split()
            if len(pids) >= number:
                return int(pids[number - 1])
            time.sleep(0.02)
        raise AssertionError(f"start {number} never came")


@pytest.fixture
def running(tmp_path):
    started = []

    def start(program: str, **options: float) -> Running:
        started.append(Running(tmp_path, program, **options))
        return started[-1]

    yield start
    for each in started:
        each.process.kill()
        each.process.wait()


def _is_gone(pid: int) -> bool:
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


def test_killed_child_is_started_again(running):
    supervisor = running(STAYS)

    os.kill(supervisor.child(1), signal.SIGKILL)

    assert supervisor.child(2) != supervisor.child(1)
    assert supervisor.process.poll() is None


def test_restart_signal_ends_the_workers_and_starts_them_again(running):
    supervisor = running(STAYS)
    first = supervisor.child(1)

    supervisor.process.send_signal(signal.SIGUSR1)

    assert supervisor.child(2) != first
    assert _is_gone(first)


def test_sigterm_raises_the_flag_before_it_is_passed_on(running, tmp_path):
    supervisor = running(DRAIN)
    supervisor.child(1)

    supervisor.process.send_signal(signal.SIGTERM)

    assert supervisor.process.wait(WAIT_SECONDS) == 0
    assert (tmp_path / "out").read_text() == "True"


def test_child_that_does_not_end_is_killed_after_the_grace(running):
    supervisor = running(DEAF, shutdown_seconds=0.5)
    child = supervisor.child(1)

    supervisor.process.send_signal(signal.SIGTERM)

    assert supervisor.process.wait(WAIT_SECONDS) == 0
    assert _is_gone(child)


def test_children_die_with_a_killed_supervisor(running):
    supervisor = running(DEAF)
    child = supervisor.child(1)

    supervisor.process.kill()

    assert _is_gone(child)


def test_child_that_cannot_stay_up_makes_it_give_up(running):
    supervisor = running("{say}; exit(3)")

    assert supervisor.process.wait(60) == 70
