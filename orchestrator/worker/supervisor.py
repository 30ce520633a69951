"""The process above the others: starts its children again when they die, drains them at the end.

It imports neither Django nor Celery: connections and threads of a process that forks leak into
its children. `manage.py worker` and `manage.py web` check the environment and then become this.
"""

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from orchestrator import drain
from orchestrator.worker.children import Child, ChildSpec, specs_from

EXIT_CRASHING = 70
"""The children do not stay up: the platform's turn."""
STOP_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT})
RESTART_SIGNAL = signal.SIGUSR1
"""Sent by the ticker when the workers hear nothing although there is work."""
WATCHED = STOP_SIGNALS | {signal.SIGCHLD, RESTART_SIGNAL}
METRICS_FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
LONGEST_WAIT_SECONDS = 1.0
KILLED_WAIT_SECONDS = 5.0


class Supervisor:
    """Keeps a set of children alive until it is told to stop."""

    def __init__(self, *, specs: Sequence[ChildSpec], shutdown_seconds: float) -> None:
        """Take what to run, and how long children may take to end."""
        self._children = [Child(spec=spec) for spec in specs]
        self._shutdown_seconds = shutdown_seconds
        self._flag = Path(tempfile.mkdtemp(prefix="amends-drain-")) / "draining"

    def run(self) -> int:
        """Run until a signal or too many crashes; return the exit code."""
        os.environ[drain.VARIABLE] = str(self._flag)
        # Blocked and taken one by one: no handler runs in the middle of anything here.
        signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
        try:
            code = self._watch()
            self._drain()
        finally:
            self._clean_up()
        return code

    def _watch(self) -> int:
        while True:
            self._start_due()
            received = signal.sigtimedwait(WATCHED, self._until_next_start())
            self._reap()
            if received is not None and received.si_signo in STOP_SIGNALS:
                _say("supervisor_draining", signal=received.si_signo)
                return 0
            if received is not None and received.si_signo == RESTART_SIGNAL:
                self._restart_workers()
            crashing = [child for child in self._children if child.keeps_crashing(now=_now())]
            if crashing:
                _say("supervisor_gives_up", child=crashing[0].spec.name)
                return EXIT_CRASHING

    def _start_due(self) -> None:
        for child in self._children:
            if child.process is None and child.start_at <= _now():
                child.start()
                _say("child_started", child=child.spec.name, pid=_pid(child))

    def _until_next_start(self) -> float:
        waits = [child.start_at - _now() for child in self._children if child.process is None]
        return max(0.0, min([*waits, LONGEST_WAIT_SECONDS]))

    def _reap(self) -> None:
        """Collect every ended process, also those whose parent left them to us as process 1."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for child in self._children:
                if _pid(child) == pid:
                    _say("child_exited", child=child.spec.name, pid=pid, status=status)
                    child.has_exited(status=status, now=_now())

    def _restart_workers(self) -> None:
        _say("workers_restarted")
        for child in self._children:
            if child.spec.restartable:
                child.signal(signal.SIGTERM)

    def _drain(self) -> None:
        """Let nobody claim any more, then end the children: politely, and then not."""
        self._flag.touch()
        for child in self._children:
            child.signal(signal.SIGTERM)
        self._wait_gone(self._shutdown_seconds)
        for child in self._children:
            child.kill_group()
        self._wait_gone(KILLED_WAIT_SECONDS)

    def _wait_gone(self, seconds: float) -> None:
        deadline = _now() + seconds
        self._reap()
        while any(child.process for child in self._children) and _now() < deadline:
            signal.sigtimedwait({signal.SIGCHLD}, min(LONGEST_WAIT_SECONDS, deadline - _now()))
            self._reap()

    def _clean_up(self) -> None:
        metrics_folder = os.environ.get(METRICS_FOLDER_VARIABLE)
        for folder in filter(None, [str(self._flag.parent), metrics_folder]):
            shutil.rmtree(folder, ignore_errors=True)


def replace_process(*, specs: Sequence[ChildSpec], shutdown_seconds: float, root: Path) -> None:
    """Become the supervisor of these children: same process, fresh interpreter. Never returns."""
    paths = [str(root), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(  # noqa: S606  our own interpreter, no shell
        sys.executable,
        [
            sys.executable,
            "-m",
            "orchestrator.worker.supervisor",
            f"--shutdown-seconds={shutdown_seconds}",
            json.dumps([asdict(spec) for spec in specs]),
        ],
    )


def main() -> None:
    """Run the supervisor on the children that the command line describes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shutdown-seconds", type=float, required=True)
    parser.add_argument("specs", help="JSON list of children")
    options = parser.parse_args()
    specs = specs_from(json.loads(options.specs))
    sys.exit(Supervisor(specs=specs, shutdown_seconds=options.shutdown_seconds).run())


def _say(event: str, **fields: object) -> None:
    line = {"at": time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime()), "event": event}
    sys.stdout.write(
        json.dumps({**line, "logger": "orchestrator.worker.supervisor", **fields}) + "\n"
    )
    sys.stdout.flush()


def _pid(child: Child) -> int | None:
    return child.process.pid if child.process is not None else None


def _now() -> float:
    return time.monotonic()


if __name__ == "__main__":
    main()
