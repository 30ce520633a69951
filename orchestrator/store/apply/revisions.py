"""Compare and set: executions are still what they were when they were read without a lock.

The check travels in the message of the writes, before them, and takes the locks that a read would
have taken, in the same order (reliability.md §5.3). Where it fails the server refuses the rest of
the message, so nothing of it is written.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.db import DataError, connection

from orchestrator.models import Execution
from orchestrator.store import statements
from orchestrator.store.literals import array, quoted
from orchestrator.store.statements import table_of

_WORD = "stale:"


class Stale(Exception):
    """An execution has been changed since it was read."""


def check(expected: Mapping[str, int]) -> None:
    """Have the message fail unless each of these executions is at its revision; lock them.

    Raises:
        Stale: On SQLite, where the answer is there at once.
    """
    if not expected:
        return
    if connection.vendor == "sqlite":
        _check_now(expected)
        return
    table = table_of(Execution).name
    pairs = ", ".join(f"({quoted(key)}::uuid, {number})" for key, number in expected.items())
    statements.send(
        # Only a text that is made of the count keeps the planner from raising it beforehand.
        f"SELECT CASE WHEN count(*) = {len(expected)} THEN 0 "  # noqa: S608
        f"ELSE ('{_WORD} ' || count(*) || ' of {len(expected)} executions')::integer END "
        f"FROM (SELECT 1 FROM {table} WHERE id = ANY({array('uuid', list(expected))}) "
        f"AND (id, revision) IN ({pairs}) ORDER BY id FOR NO KEY UPDATE) AS unchanged"
    )


def update_one(row: Mapping[str, Any], expected: int) -> None:
    """Update one execution if it is at its revision; have the message fail otherwise.

    What `check` and an update do, in one statement; for PostgreSQL.
    """
    changed = statements.update_of(table_of(Execution), row)
    statements.send(
        f"WITH moved AS ({changed} AND revision = {expected} RETURNING 1) "  # noqa: S608
        f"SELECT CASE WHEN count(*) = 1 THEN 0 ELSE ('{_WORD} ' || count(*))::integer END "
        "FROM moved"
    )


def _check_now(expected: Mapping[str, int]) -> None:
    rows = Execution.objects.filter(pk__in=expected).values_list("pk", "revision")
    if {str(key): revision for key, revision in rows} != dict(expected):
        raise Stale


@contextmanager
def checked(expected: Mapping[str, int]) -> Iterator[None]:
    """Turn the refusal of the server into `Stale`."""
    try:
        yield
    except DataError as error:
        if expected and _WORD in str(error):
            raise Stale from error
        raise
