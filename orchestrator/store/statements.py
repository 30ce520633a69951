"""The hand-written SQL of the hot path: many rows in one statement, on PostgreSQL and SQLite.

On PostgreSQL a set of rows travels as one JSON text and is unfolded by `json_to_recordset`, which
costs a fraction of what as many values cost; a few rows go as literals. SQLite gets `executemany`
on its one connection.
"""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any

from django.db import connection
from django.db.models import Field, JSONField, Model, UUIDField
from django.db.models.fields import DateTimeField

from orchestrator.store import wire
from orchestrator.store.literals import array, literal, quoted

Row = Mapping[str, Any]

FEW = 3
"""Rows up to which literals are cheaper than a set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table with the columns that are written by hand."""

    name: str
    types: Mapping[str, str] = field(hash=False)
    """Column → type in PostgreSQL."""
    kinds: Mapping[str, str] = field(hash=False)
    """Column → `json`, `uuid`, `time` or `plain`."""

    def select(self, columns: tuple[str, ...], prefix: str = "") -> str:
        """Return the select list that `read` understands."""
        return _select_list(self, columns, prefix, connection.vendor)

    def readers(self, columns: tuple[str, ...]) -> "Readers":
        """Return what to do with the values of a selected row, by index."""
        return _readers(self, columns, connection.vendor)


Readers = tuple[tuple[int, Callable[[Any], Any]], ...]


@cache
def _select_list(table: Table, columns: tuple[str, ...], prefix: str, vendor: str) -> str:
    return ", ".join(
        f"{prefix}{column}::text"
        if table.kinds[column] == "uuid" and vendor != "sqlite"
        else f"{prefix}{column}"
        for column in columns
    )


@cache
def _readers(table: Table, columns: tuple[str, ...], vendor: str) -> Readers:
    readers = _SQLITE_READERS if vendor == "sqlite" else _READERS
    return tuple(
        (index, readers[table.kinds[column]])
        for index, column in enumerate(columns)
        if table.kinds[column] in readers
    )


@cache
def table_of(model: type[Model]) -> Table:
    """Describe a model's table."""
    types: dict[str, str] = {}
    kinds: dict[str, str] = {}
    meta = model._meta  # noqa: SLF001 - Django documents it
    for column in meta.concrete_fields:
        name = column.column or column.name
        types[name] = _pg_type(column)
        kinds[name] = _kind(column)
    return Table(name=meta.db_table, types=types, kinds=kinds)


def _kind(column: "Field[Any, Any]") -> str:
    column = column.target_field if column.is_relation else column  # type: ignore[attr-defined]
    if isinstance(column, JSONField):
        return "json"
    if isinstance(column, UUIDField):
        return "uuid"
    return "time" if isinstance(column, DateTimeField) else "plain"


def _pg_type(column: "Field[Any, Any]") -> str:
    column = column.target_field if column.is_relation else column  # type: ignore[attr-defined]
    kind = column.get_internal_type()
    return _PG_TYPES.get(kind, "text")


_PG_TYPES = {
    "JSONField": "jsonb",
    "UUIDField": "uuid",
    "DateTimeField": "timestamptz",
    "PositiveIntegerField": "integer",
    "PositiveSmallIntegerField": "smallint",
    "IntegerField": "integer",
    "BigIntegerField": "bigint",
    "BigAutoField": "bigint",
    "AutoField": "integer",
    "BooleanField": "boolean",
}


def dashed(hexadecimal: str) -> str:
    """Return the usual spelling of a UUID that SQLite keeps as 32 digits."""
    h = hexadecimal
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"


def json_from(text: str | None) -> Any:
    """Return the value of a JSON column as a raw statement gives it."""
    return None if text is None else json.loads(text)


def _sqlite_time(moment_: datetime | None) -> datetime | None:
    return None if moment_ is None else moment_.replace(tzinfo=UTC)


_READERS: Mapping[str, Callable[[Any], Any]] = {"json": json_from}
_SQLITE_READERS: Mapping[str, Callable[[Any], Any]] = {
    "json": json_from,
    "uuid": lambda value: None if value is None else dashed(value),
    "time": _sqlite_time,
}


def sqlite_value(kind: str, value: Any) -> Any:
    """Return a value as Django keeps it in SQLite."""
    if value is None:
        return None
    if kind == "json":
        return json.dumps(value)
    if kind == "uuid":
        return str(value).replace("-", "")
    if kind == "time":
        return value.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")
    return bool(value) if isinstance(value, bool) else value


def uuids(ids: Iterable[str]) -> list[str]:
    """Return ids as they are compared with in a raw statement."""
    if connection.vendor == "sqlite":
        return [key.replace("-", "") for key in ids]
    return [str(key) for key in ids]


def moment(value: datetime) -> Any:
    """Return a time as it is compared with in a raw statement."""
    return sqlite_value("time", value) if connection.vendor == "sqlite" else value


def any_of(column: str, count: int) -> str:
    """Return the condition that a uuid column is among as many bound values (`uuids`, one list)."""
    if connection.vendor == "sqlite":
        return f"{column} IN ({', '.join(['%s'] * count)})"
    return f"{column} = ANY(%s::uuid[])"


def bound(ids: Iterable[str]) -> list[Any]:
    """Return the parameters that go with `any_of`."""
    values = uuids(ids)
    return values if connection.vendor == "sqlite" else [values]


_gathered: ContextVar[list[str] | None] = ContextVar("gathered", default=None)


@contextmanager
def in_one_message(*, last: bool = False) -> Iterator[None]:
    """Send the writes of the block together at its end: one way to the server instead of many.

    Nothing in the block may read what it writes. `last`: nothing follows in the transaction.
    SQLite has no way to go and writes at once.
    """
    gathered: list[str] = []
    token = _gathered.set(gathered)
    try:
        yield
    finally:
        _gathered.reset(token)
    if gathered:
        wire.tell("; ".join(gathered), last=last)


def send(sql: str) -> None:
    """Send a statement to PostgreSQL that has its values in it, or put it into the message."""
    gathered = _gathered.get()
    if gathered is not None:
        gathered.append(sql)
    else:
        wire.tell(sql)


def _send_many(sql: str, rows: list[list[Any]]) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(sql, rows)


def insert(table: Table, rows: Sequence[Row], *, ignore_conflicts: bool = False) -> None:
    """Insert rows that all have the same columns."""
    if not rows:
        return
    columns = list(rows[0])
    conflict = " ON CONFLICT DO NOTHING" if ignore_conflicts else ""
    names = ", ".join(columns)
    if connection.vendor == "sqlite":
        marks = ", ".join(["%s"] * len(columns))
        _send_many(
            f"INSERT INTO {table.name} ({names}) VALUES ({marks}){conflict}",  # noqa: S608
            [[sqlite_value(table.kinds[c], row[c]) for c in columns] for row in rows],
        )
        return
    send(f"INSERT INTO {table.name} ({names}) {_given(table, columns, rows)}{conflict}")


def _given(table: Table, columns: Sequence[str], rows: Sequence[Row]) -> str:
    """Return rows as something to select from: literals if they are few, else unfolded JSON."""
    if len(rows) <= FEW:
        return f"VALUES {', '.join(_values(table, columns, row) for row in rows)}"
    return f"SELECT {', '.join(columns)} FROM {_unfolded(table, columns, rows)}"  # noqa: S608


def _values(table: Table, columns: Sequence[str], row: Row) -> str:
    kinds = table.kinds
    return f"({', '.join([literal(kinds[column], row[column]) for column in columns])})"


def _unfolded(table: Table, columns: Sequence[str], rows: Sequence[Row]) -> str:
    shape = ", ".join(f"{column} {table.types[column]}" for column in columns)
    return f"json_to_recordset({quoted(_dumps(rows))}::json) AS given({shape})"


def update(
    table: Table, rows: Sequence[Row], *, key: str = "id", counters: Collection[str] = ()
) -> None:
    """Update rows by key; rows with the same columns go in one statement.

    A value of a counter is added to what the row has.
    """
    shapes: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        shapes.setdefault(tuple(sorted(row)), []).append(row)
    for columns, group in shapes.items():
        _update_group(table, columns, group, key, counters)


def _update_group(
    table: Table,
    columns: Sequence[str],
    rows: Sequence[Row],
    key: str,
    counters: Collection[str],
) -> None:
    written = [column for column in columns if column != key]
    if connection.vendor == "sqlite":
        sets = ", ".join(
            f"{column} = {column} + %s" if column in counters else f"{column} = %s"
            for column in written
        )
        _send_many(
            f"UPDATE {table.name} SET {sets} WHERE {key} = %s",  # noqa: S608
            [[sqlite_value(table.kinds[c], row[c]) for c in [*written, key]] for row in rows],
        )
        return
    if len(rows) <= FEW:
        for row in rows:
            send(update_of(table, row, key=key, counters=counters))
        return
    sets = ", ".join(
        f"{column} = {table.name}.{column} + given.{column}"
        if column in counters
        else f"{column} = given.{column}"
        for column in written
    )
    # The keys once more, so that the planner knows how few rows it is and uses the index.
    keys = array(table.types[key], [str(row[key]) for row in rows])
    send(
        f"UPDATE {table.name} SET {sets} FROM {_unfolded(table, columns, rows)} "  # noqa: S608
        f"WHERE {table.name}.{key} = given.{key} AND {table.name}.{key} = ANY({keys})",
    )


def update_of(table: Table, row: Row, *, key: str = "id", counters: Collection[str] = ()) -> str:
    """Return the statement that updates one row by literals, for PostgreSQL."""
    sets = ", ".join(
        f"{column} = {f'{column} + ' if column in counters else ''}"
        f"{literal(table.kinds[column], value)}"
        for column, value in row.items()
        if column != key
    )
    return f"UPDATE {table.name} SET {sets} WHERE {key} = {literal(table.kinds[key], row[key])}"  # noqa: S608


def _dumps(rows: Sequence[Row]) -> str:
    return json.dumps(rows, default=str)


def upsert(table: Table, rows: Sequence[Row], *, keys: Sequence[str]) -> None:
    """Insert rows, or change the ones that have the same key; all have the same columns."""
    if not rows:
        return
    columns = list(rows[0])
    names = ", ".join(columns)
    sets = ", ".join(f"{column} = excluded.{column}" for column in columns if column not in keys)
    conflict = f"ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {sets}"
    if connection.vendor == "sqlite":
        marks = ", ".join(["%s"] * len(columns))
        _send_many(
            f"INSERT INTO {table.name} ({names}) VALUES ({marks}) {conflict}",  # noqa: S608
            [[sqlite_value(table.kinds[c], row[c]) for c in columns] for row in rows],
        )
        return
    send(f"INSERT INTO {table.name} ({names}) {_given(table, columns, rows)} {conflict}")


def delete(table: Table, rows: Sequence[Row]) -> None:
    """Delete the rows that have these values; all name the same columns."""
    if not rows:
        return
    columns = list(rows[0])
    if connection.vendor == "sqlite":
        where = " AND ".join(f"{column} = %s" for column in columns)
        _send_many(
            f"DELETE FROM {table.name} WHERE {where}",  # noqa: S608
            [[sqlite_value(table.kinds[c], row[c]) for c in columns] for row in rows],
        )
        return
    same = " AND ".join(f"{table.name}.{column} = given.{column}" for column in columns)
    given = _unfolded(table, columns, rows)
    send(f"DELETE FROM {table.name} USING {given} WHERE {same}")  # noqa: S608
