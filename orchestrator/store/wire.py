"""Many statements in one message, the begin and the end of their transaction among them.

A way to the server and back costs more than most statements of the hot path. PostgreSQL takes any
number of them in one message; SQLite has no way to go, and takes them one by one.
"""

from collections.abc import Sequence
from typing import Any

from django.db import connection
from psycopg.pq import TransactionStatus

Rows = list[tuple[Any, ...]]
Statement = tuple[str, Sequence[Any]]


def ask(*statements: Statement) -> list[Rows]:
    """Send statements and return the rows of those that give rows, in order."""
    if connection.vendor == "sqlite":
        return [_ask_one(sql, values) for sql, values in statements]
    text = "; ".join(sql for sql, _ in statements)
    return _send(text, [value for _, values in statements for value in values])


def tell(text: str, *, last: bool = False) -> list[Rows]:
    """Send statements to PostgreSQL that have their values in them; return what `ask` returns.

    Args:
        text: Statements, with semicolons between them.
        last: Nothing follows in this transaction, so its COMMIT may travel along.
    """
    if last and _is_outermost():
        text += "; COMMIT"
    return _send(text, None)


def _ask_one(sql: str, values: Sequence[Any]) -> Rows:
    with connection.cursor() as cursor:
        cursor.execute(sql, list(values))
        return list(cursor.fetchall())


def _send(text: str, values: list[Any] | None) -> list[Rows]:
    with connection.cursor() as cursor:
        if _begins():
            # The driver would send a BEGIN of its own; this one goes with the statements.
            connection.connection.autocommit = True
            text = f"BEGIN; {text}"
        cursor.execute(text, values)
        found: list[Rows] = []
        while True:
            # Cheaper than to look at `description`, which describes every column.
            if cursor.rownumber is not None:
                found.append(cursor.fetchall())
            if not cursor.nextset():
                return found


def _begins() -> bool:
    """Tell whether a transaction is open for Django that has not begun for the server."""
    status = connection.connection.pgconn.transaction_status
    return connection.in_atomic_block and status == TransactionStatus.IDLE


def _is_outermost() -> bool:
    """Tell whether the end of the present block is the end of the transaction."""
    return len(connection.atomic_blocks) == 1
