"""Measures the list of runs in a small and in a large installation, page by page in turns."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from bench import storage
from bench.commanded import Commanded, commanded

LOOKS = 120


class List:
    """The list of one installation."""

    def __init__(self, process: Commanded) -> None:
        """Take the process that reads it."""
        self._process = process

    def p95_ms(self) -> float:
        """Return how long nearly every page takes at the most."""
        self._process.tell(str(LOOKS))
        return float(self._process.answer())


@contextlib.contextmanager
def running_list(*, runs: int, folder: Path) -> Iterator[List]:
    """Fill a database of its own with so many runs, and read pages of its list."""
    environment = {"DATABASE_URL": storage.create(f"bench_list_{runs}")}
    command = [sys.executable, "-m", "bench.programs.lists", str(runs)]
    with commanded(command, log=folder / "lists.log", environment=environment) as process:
        yield List(process)
