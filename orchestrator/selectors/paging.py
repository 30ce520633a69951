"""Pages of long lists by keyset: what follows a row is found by its key, however far down it is."""

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from django.db.models import Model, QuerySet

from orchestrator.selectors.errors import Malformed

DEFAULT_LIMIT = 50
MAXIMUM_LIMIT = 200

Row = TypeVar("Row")
M = TypeVar("M", bound=Model)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[Row]):
    """Some rows, and how to ask for those beside them."""

    results: Sequence[Row]
    next: str | None = None
    """Cursor of the page after this one; None at the end."""
    previous: str | None = None
    """Cursor of the page before this one; None at the beginning."""


def encode_cursor(direction: str, key: str) -> str:
    """Return an opaque cursor for the rows after (`a`) or before (`b`) a key."""
    return base64.urlsafe_b64encode(f"{direction}{key}".encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> tuple[str, str]:
    """Return direction and key of a cursor, or raise `Malformed`."""
    padded = cursor + "=" * (-len(cursor) % 4)
    try:
        text = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise _bad_cursor() from error
    if text[:1] not in {"a", "b"} or "\x00" in text:
        raise _bad_cursor()
    return text[0], text[1:]


def position_after(cursor: str) -> int:
    """Return the number after which a page begins, in lists that are only read forwards."""
    direction, text = decode_cursor(cursor)
    if direction != "a" or not text.isdecimal() or len(text) > 10:
        raise _bad_cursor()
    return int(text)


def check_limit(limit: int) -> int:
    """Return the limit if a page may be that long, or raise `Malformed`."""
    if not 1 <= limit <= MAXIMUM_LIMIT:
        raise Malformed(f"Ask for 1 to {MAXIMUM_LIMIT} rows with `limit`; {limit} is out of range.")
    return limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """The order of a list: a unique field, lowest first unless falling."""

    field: str
    parse: Callable[[str], object] = str
    """Makes the field's value of the text in a cursor; raises ValueError."""
    falling: bool = False


def page_of(rows: QuerySet[M], *, order: Order, cursor: str | None, limit: int) -> Page[M]:
    """Return one page of rows, after or before where the cursor stands.

    Raises:
        Malformed: The cursor was not made here, or the limit is out of range.
    """
    check_limit(limit)
    backwards, key = _position(cursor, order)
    falling = order.falling != backwards
    field = order.field
    if key is not None:
        rows = rows.filter(**{f"{field}__{'lt' if falling else 'gt'}": key})
    found = list(rows.order_by(f"-{field}" if falling else field)[: limit + 1])
    more, found = len(found) > limit, found[:limit]
    if backwards:
        found.reverse()
    has_previous = more if backwards else key is not None
    return Page(
        results=found,
        next=_cursor("a", found[-1:], field) if more or backwards else None,
        previous=_cursor("b", found[:1], field) if has_previous else None,
    )


def _position(cursor: str | None, order: Order) -> tuple[bool, object | None]:
    if not cursor:
        return False, None
    direction, text = decode_cursor(cursor)
    try:
        return direction == "b", order.parse(text)
    except ValueError as error:
        raise _bad_cursor() from error


def _cursor(direction: str, rows: Sequence[Model], field: str) -> str | None:
    return encode_cursor(direction, str(getattr(rows[0], field))) if rows else None


def _bad_cursor() -> Malformed:
    return Malformed("The cursor is not one of this list; ask for the first page again.")
