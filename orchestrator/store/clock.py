"""The database's clock: the only one compared with due times and leases (reliability.md §2.4)."""

from datetime import UTC, datetime

from django.db import connection


def now() -> datetime:
    """Return the time of the database; SQLite has none, so there it is this machine's."""
    if connection.vendor == "sqlite":
        return datetime.now(UTC)
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement_timestamp()")
        moment: datetime = cursor.fetchone()[0]
    return moment
