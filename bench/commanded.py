"""Processes that are told what to do by a line, and answer with a line when it is done."""

import contextlib
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
STOP_SECONDS = 20


class Disobedient(Exception):
    """A process ended, or did not do what it was told."""


class Commanded:
    """One process that takes commands."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        """Take a process that will say when it is ready."""
        self._process = process
        self.root = psutil.Process(process.pid)

    def tell(self, command: str) -> None:
        """Give a command; `answer` waits for the end of it."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()

    def answer(self) -> str:
        """Return the next line that the process says.

        Raises:
            Disobedient: It has ended.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise Disobedient(f"{self.root} has ended")
        return line.strip()

    def expect(self, word: str) -> None:
        """Wait for an answer that must be this word."""
        answer = self.answer()
        if answer != word:
            raise Disobedient(f"{self.root} says {answer!r} instead of {word!r}")


@contextlib.contextmanager
def commanded(
    command: Sequence[str | Path], *, log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[Commanded]:
    """Run a process as long as the block lasts, once it is ready."""
    with log.open("ab") as errors:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    try:
        told = Commanded(process)
        told.expect("ready")
        yield told
    finally:
        _stop(process)


def _stop(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
