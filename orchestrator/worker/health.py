"""Whether this installation can work: the checks behind `readyz` and `doctor`."""

import shutil
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from enum import StrEnum

from celery import current_app
from django.conf import settings
from django.db import DatabaseError, connections

from orchestrator import drain
from orchestrator.selectors import readiness

DEADLINE_SECONDS = 0.9
LOWEST_FREE_DISK = 0.05
LATE_TICK_SECONDS = 15.0
LOWEST_FREE_CONNECTIONS = 5


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    DEGRADED = "degraded"
    """Work is accepted and kept, but something makes it slow."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """The result of one check."""

    name: str
    level: Level
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All results."""

    checks: tuple[Check, ...]

    @property
    def level(self) -> Level:
        """The worst of them."""
        levels = {check.level for check in self.checks}
        return next(
            (level for level in (Level.FAILED, Level.DEGRADED) if level in levels), Level.OK
        )

    @property
    def is_ready(self) -> bool:
        """Whether this process should get requests."""
        return self.level is not Level.FAILED


Result = tuple[Level, str]
_executor = ThreadPoolExecutor(max_workers=8, thread_name_prefix="health")
_migrated = False


def report() -> Report:
    """Run every check at the same time; what takes too long has failed or is degraded."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    running = [(name, late, _executor.submit(_guarded, check)) for name, late, check in CHECKS]
    return Report(
        checks=tuple(_collect(name, late, future, deadline) for name, late, future in running)
    )


def _guarded(check: Callable[[], Result]) -> Result:
    try:
        return check()
    finally:
        connections.close_all()


def _collect(name: str, late: Level, future: "Future[Result]", deadline: float) -> Check:
    try:
        level, sentence = future.result(timeout=max(0.0, deadline - time.monotonic()))
    except FutureTimeout:
        level, sentence = late, "no answer in time"
    except DatabaseError as error:
        level, sentence = late, f"{type(error).__name__}"
    return Check(name=name, level=level, sentence=sentence)


def _draining() -> Result:
    if drain.is_draining():
        return Level.FAILED, "shutting down"
    return Level.OK, "serving"


def _database() -> Result:
    readiness.try_to_write()
    return Level.OK, "writable"


def _migrations() -> Result:
    global _migrated  # noqa: PLW0603  once applied they stay applied, and looking costs a while
    if not _migrated:
        pending = readiness.pending_migrations()
        if pending:
            return Level.FAILED, f"{len(pending)} not applied: run `manage.py migrate`"
        _migrated = True
    return Level.OK, "applied"


def _disk() -> Result:
    usage = shutil.disk_usage(settings.AMENDS_DATA_DIR)
    free = usage.free / usage.total if usage.total else 1.0
    level = Level.OK if free > LOWEST_FREE_DISK else Level.FAILED
    return level, f"{free:.0%} free"


def _broker() -> Result:
    if settings.AMENDS_EMBEDDED:
        return Level.OK, "in this process"
    try:
        with current_app.connection_for_write(connect_timeout=0.5) as connection:
            connection.connect()
            # Redis is asked only now; connecting alone does not reach it.
            connection.channel()
    except Exception as error:  # noqa: BLE001  each broker has errors of its own; all mean the same
        return Level.DEGRADED, f"not reachable ({type(error).__name__}): steps start late"
    return Level.OK, "reachable"


def _ticker() -> Result:
    age = readiness.seconds_since_last_tick()
    if age is None:
        return Level.DEGRADED, "no worker has reported yet"
    if age > LATE_TICK_SECONDS:
        return Level.DEGRADED, f"the last tick was {age:.0f} s ago: is a worker running?"
    return Level.OK, "ticking"


def _limits() -> Result:
    missing = readiness.missing_limits()
    free = readiness.free_connections()
    if free is not None and free < LOWEST_FREE_CONNECTIONS:
        return Level.DEGRADED, f"the database takes only {free} more connections"
    if missing:
        return Level.DEGRADED, f"set by ALTER ROLE: {', '.join(missing)}"
    return Level.OK, "set"


CHECKS: tuple[tuple[str, Level, Callable[[], Result]], ...] = (
    ("process", Level.FAILED, _draining),
    ("database", Level.FAILED, _database),
    ("migrations", Level.FAILED, _migrations),
    ("disk", Level.FAILED, _disk),
    ("broker", Level.DEGRADED, _broker),
    ("ticker", Level.DEGRADED, _ticker),
    ("limits", Level.DEGRADED, _limits),
)
"""Name, what it means when there is no answer in time, and the check."""
