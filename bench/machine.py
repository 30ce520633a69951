"""Processes under measurement: how they are started, and the CPU time they take."""

import contextlib
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
STOP_SECONDS = 40


@contextlib.contextmanager
def running(
    arguments: list[str],
    *,
    environment: dict[str, str],
    log: Path,
    program: bool = False,
    cwd: Path = ROOT,
) -> Iterator[psutil.Process]:
    """Run a command of our interpreter, or another program, for as long as the block lasts."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            arguments if program else [sys.executable, *arguments],
            cwd=cwd,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield psutil.Process(process.pid)
    finally:
        _stop(process)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """End a process, and those of its descendants that outlive it."""
    try:
        left = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        left = []
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for survivor in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            survivor.kill()


def cpu_seconds(roots: list[psutil.Process]) -> float:
    """Return the CPU time that processes and all their descendants have taken so far.

    Of the process that measures only its own time counts: whatever runs is a descendant of it.
    """
    total = 0.0
    own = os.getpid()
    for process in _family(roots):
        with contextlib.suppress(psutil.NoSuchProcess):
            used = process.cpu_times()
            total += used.user + used.system
            if process.pid != own:
                # Children that have ended are counted with the parent that waited for them.
                total += used.children_user + used.children_system
    return total


def _family(roots: list[psutil.Process]) -> set[psutil.Process]:
    """Return the roots and their descendants, each once."""
    found = set(roots)
    for root in roots:
        if root.pid != os.getpid():
            with contextlib.suppress(psutil.NoSuchProcess):
                found.update(root.children(recursive=True))
    return found


def _busy_seconds() -> float:
    used = psutil.cpu_times()
    return float(used.user + used.nice + used.system + used.irq + used.softirq)


@dataclass(slots=True)
class Meter:
    """Wall and CPU time of a piece of work."""

    roots: list[psutil.Process]
    wall: float = 0.0
    cpu: float = 0.0
    strangers: float = 0.0
    """Share of the machine that processes outside the measurement took."""

    @contextlib.contextmanager
    def measure(self) -> Iterator[None]:
        """Measure the block."""
        cpu, busy, began = cpu_seconds(self.roots), _busy_seconds(), time.perf_counter()
        yield
        self.wall = time.perf_counter() - began
        self.cpu = cpu_seconds(self.roots) - cpu
        foreign = _busy_seconds() - busy - self.cpu
        self.strangers = max(foreign / (self.wall * (os.cpu_count() or 1)), 0.0)


def describe() -> dict[str, object]:
    """Return what the figures were measured on."""
    return {
        "cpus": os.cpu_count(),
        "processor": _processor(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()
