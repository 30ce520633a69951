"""The database's clock: the only one compared with due times and leases (reliability.md §2.4)."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection

MOST_AGE_SECONDS = 1.0
"""How long a reading of the database's clock may be carried on by this machine's."""

_heard: tuple[datetime, float] | None = None
"""The last reading, and the moment of the monotonic clock at which it arrived."""


def now() -> datetime:
    """Return the time of the database; SQLite has none, so there it is this machine's."""
    if connection.vendor == "sqlite":
        return datetime.now(UTC)
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement_timestamp()")
        moment: datetime = cursor.fetchone()[0]
    hear(moment)
    return moment


def hear(moment: datetime) -> None:
    """Remember a reading of the database's clock that came along with something else."""
    global _heard  # noqa: PLW0603 - all threads of a process may use the same reading
    _heard = (moment, time.monotonic())


def lately() -> datetime:
    """Return the time of the database without asking it, if it has said it a moment ago.

    Behind by no more than the reading took to arrive, never ahead: what is written as due now is
    due at once for everybody. So it serves to write times, and not to find what is due.
    """
    if _heard is not None:
        moment, at = _heard
        age = time.monotonic() - at
        if age <= MOST_AGE_SECONDS:
            return moment + timedelta(seconds=age)
    return now()


def in_sql() -> tuple[str, list[Any]]:
    """Return an expression for the present time, and its parameters, to compare with in SQL."""
    if connection.vendor == "sqlite":
        return "%s", [now().replace(tzinfo=None).isoformat(" ", "microseconds")]
    return "clock_timestamp()", []
