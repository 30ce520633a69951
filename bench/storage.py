"""What a piece of work leaves in the database: bytes of tables and indexes, bytes of its log."""

import os
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

import psycopg


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """How much a database holds, and how much the server had logged before and after we looked."""

    bytes: int
    log_before: int
    log_after: int

    def since(self, earlier: "Stored") -> tuple[int, int]:
        """Return the bytes stored and logged since an earlier look."""
        return self.bytes - earlier.bytes, self.log_before - earlier.log_after


def url_of(database: str) -> str:
    """Return the address of another database of our server."""
    return urlunsplit(urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{database}"))


def create(database: str) -> str:
    """Make an empty database and return its address."""
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as server:
        server.execute(f"CREATE DATABASE {database}".encode())
    return url_of(database)


def stored(database: str = "") -> Stored:
    """Measure a database, ours if none is named, once what is dead in it can be used again."""
    url = url_of(database) if database else os.environ["DATABASE_URL"]
    with psycopg.connect(url, autocommit=True) as server:
        before = _number(server, _LOGGED)
        server.execute("VACUUM")
        size = _number(server, _SIZE)
        return Stored(bytes=size, log_before=before, log_after=_number(server, _LOGGED))


_LOGGED = b"SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint"
_SIZE = (
    b"SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class WHERE relkind = 'r' "
    b"AND relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)"
)


def _number(server: "psycopg.Connection[tuple[object, ...]]", statement: bytes) -> int:
    row = server.execute(statement).fetchone()
    assert row is not None
    return int(str(row[0]))
