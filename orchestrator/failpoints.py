"""Named moments at which a test may kill, stop or disturb a process; nothing in production.

`AMENDS_FAILPOINTS` turns them on: a comma list of `name=action[:count]`, where

* `name` is what the code calls the moment, `area.moment`;
* `action` is `kill` (SIGKILL to this process), `raise` (`FailpointReached`), `sleep=SECONDS`, or
  `drop` (the call answers True, and the caller leaves out what it was about to do);
* `count` says at which call in this process it happens: a number, `1` if left out, or `*` for all.

So `record.before_commit=kill:3,dispatch.publish=drop:*`. With `AMENDS_FAILPOINTS_DIR` each entry
with a number happens once among all processes that share the folder: a child that was killed
and started again goes on.
"""

import logging
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

logger = logging.getLogger(__name__)

VARIABLE = "AMENDS_FAILPOINTS"
FOLDER_VARIABLE = "AMENDS_FAILPOINTS_DIR"
ACTIONS = frozenset({"kill", "raise", "sleep", "drop"})
EVERY_CALL = 0


class FailpointReached(Exception):
    """A test asked for a fault at this moment."""


class BadFailpoint(ValueError):
    """An entry of `AMENDS_FAILPOINTS` cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failpoint:
    """What happens at one moment."""

    action: str
    count: int
    """At which call; `EVERY_CALL` for all of them."""
    seconds: float = 0.0
    """How long `sleep` sleeps."""


def parse(text: str) -> dict[str, Failpoint]:
    """Read the value of the variable; raise `BadFailpoint` if it makes no sense."""
    entries = (entry.strip() for entry in text.split(","))
    return dict(_parse_entry(entry) for entry in entries if entry)


def _parse_entry(entry: str) -> tuple[str, Failpoint]:
    name, _, rest = entry.partition("=")
    what, _, count = rest.partition(":")
    action, _, seconds = what.partition("=")
    if not name or action not in ACTIONS or bool(seconds) != (action == "sleep"):
        raise BadFailpoint(f"{entry!r} is not name=action[:count]")
    try:
        return name, Failpoint(
            action=action,
            count=EVERY_CALL if count == "*" else int(count or 1),
            seconds=float(seconds or 0),
        )
    except ValueError as error:
        raise BadFailpoint(f"{entry!r} holds a number that is none") from error


class _Plan:
    """The failpoints of this process and how often each was passed."""

    def __init__(self, points: Mapping[str, Failpoint], folder: Path | None) -> None:
        self.points = points
        self._folder = folder
        self._calls: Counter[str] = Counter()
        self._lock = threading.Lock()

    def due(self, name: str) -> Failpoint | None:
        point = self.points.get(name)
        if point is None:
            return None
        with self._lock:
            self._calls[name] += 1
            call = self._calls[name]
        if point.count == EVERY_CALL:
            return point
        return point if call == point.count and self._is_first(name) else None

    def _is_first(self, name: str) -> bool:
        if self._folder is None:
            return True
        try:
            (self._folder / f"{name}.done").touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


def _from_environment() -> _Plan:
    folder = os.environ.get(FOLDER_VARIABLE)
    return _Plan(parse(os.environ.get(VARIABLE, "")), Path(folder) if folder else None)


_plan = _from_environment()


def configure(text: str) -> None:
    """Replace the failpoints of this process; the empty string turns all of them off."""
    global _plan  # noqa: PLW0603  one plan per process, changed by tests only
    _plan = _Plan(parse(text), None)


def failpoint(name: str) -> bool:
    """Mark a moment; do what a test has asked for it. True means: leave out what comes next."""
    if not _plan.points:
        return False
    point = _plan.due(name)
    if point is None:
        return False
    return _perform(name, point)


def _perform(name: str, point: Failpoint) -> bool:
    logger.warning("failpoint_reached", extra={"failpoint": name, "action": point.action})
    if point.action == "kill":
        sys.stdout.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    if point.action == "raise":
        raise FailpointReached(name)
    if point.action == "sleep":
        time.sleep(point.seconds)
    return point.action == "drop"
