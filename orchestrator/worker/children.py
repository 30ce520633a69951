"""One child process of the supervisor: how it is started, watched, restarted and ended.

Standard library only: what is imported here is inherited by nobody, but it would be loaded for
the whole life of the supervisor.
"""

import ctypes
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

BACKOFF_SECONDS = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
CRASH_LIMIT = 5
CRASH_WINDOW_SECONDS = 60.0

PR_SET_PDEATHSIG = 1

Sender = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSpec:
    """What to run."""

    name: str
    arguments: tuple[str, ...]
    """Program and its arguments."""
    restartable: bool = True
    """Whether a request to restart the workers means this child too."""


@dataclass(slots=True, kw_only=True)
class Child:
    """One child and the history of its deaths."""

    spec: ChildSpec
    process: "subprocess.Popen[bytes] | None" = None
    start_at: float = 0.0
    """Moment of the monotonic clock before which it must not be started again."""
    exits: deque[float] = field(default_factory=lambda: deque(maxlen=CRASH_LIMIT))
    """When it last ended by itself."""

    def start(self) -> None:
        """Start the process; it dies with the supervisor, however that ends."""
        self.process = subprocess.Popen(  # noqa: S603  our own interpreter, no shell
            self.spec.arguments,
            stdin=subprocess.DEVNULL,
            close_fds=False,
            process_group=0,
            preexec_fn=_prepare_child,  # noqa: PLW1509  the supervisor has one thread
        )

    def signal(self, number: int) -> None:
        """Send a signal to the process itself, which knows what to do with its own children."""
        if self.process is not None:
            _send(os.kill, self.process.pid, number)

    def kill_group(self) -> None:
        """Kill the process and all it has forked."""
        if self.process is not None:
            _send(os.killpg, self.process.pid, signal.SIGKILL)

    def has_exited(self, *, status: int, now: float) -> None:
        """Take note that the process ended, and when it may start again."""
        if self.process is not None:
            self.process.returncode = os.waitstatus_to_exitcode(status)
            # Whatever it forked has lost its parent and would work beside the next one.
            self.kill_group()
        self.process = None
        self.exits.append(now)
        recent = [moment for moment in self.exits if now - moment <= CRASH_WINDOW_SECONDS]
        self.start_at = now + BACKOFF_SECONDS[min(len(recent), len(BACKOFF_SECONDS)) - 1]

    def keeps_crashing(self, *, now: float) -> bool:
        """Tell whether it ended too often for a restart to help."""
        return len(self.exits) == CRASH_LIMIT and now - self.exits[0] <= CRASH_WINDOW_SECONDS


def python(*arguments: str) -> tuple[str, ...]:
    """Return a command line of the same interpreter."""
    return (sys.executable, *arguments)


def _send(send: Sender, identity: int, number: int) -> None:
    try:
        send(identity, number)
    except ProcessLookupError:
        return


def _prepare_child() -> None:
    """Undo what the supervisor blocked, and die with it.

    A supervisor that is killed can tell nobody; without this its children would go on without
    restarts and without anybody who passes a shutdown on.
    """
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    die_with_parent()


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent ends (Linux; elsewhere nothing)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def specs_from(data: Sequence[dict[str, object]]) -> tuple[ChildSpec, ...]:
    """Read specs from plain data, as they travel on a command line."""
    return tuple(
        ChildSpec(
            name=str(entry["name"]),
            arguments=tuple(str(word) for word in _words(entry["arguments"])),
            restartable=bool(entry["restartable"]),
        )
        for entry in data
    )


def _words(value: object) -> list[object]:
    if not isinstance(value, list):
        raise TypeError(value)
    return value
