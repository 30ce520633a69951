"""Where in a JSON text the thing stands that a JSON pointer names."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from json import JSONDecodeError
from json.decoder import scanstring  # type: ignore[attr-defined]  # there, but not in the stubs
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_TOKEN = re.compile(r'[ \t\r\n]*(?:([{}\[\],:])|(")|([^ \t\r\n{}\[\],:"]+))')


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A value in the text; a member of an object stands where its key does."""

    pointer: str
    offset: int


@dataclass(slots=True, kw_only=True)
class _Container:
    pointer: str
    is_object: bool
    index: int = 0
    key: str | None = None
    key_offset: int = 0
    keys: set[str] = field(default_factory=set)


def places(text: str) -> Iterator[Place]:
    """Yield every value of a JSON text in order; stops early where the text is not JSON."""
    yield from (place for place, _ in _scan(text))


def offset_of(text: str, pointer: str) -> int:
    """Return the offset of what the pointer names, or else of its nearest parent."""
    best, offset = -1, 0
    for place in places(text):
        is_on_the_way = pointer == place.pointer or pointer.startswith(f"{place.pointer}/")
        if is_on_the_way and len(place.pointer) > best:
            best, offset = len(place.pointer), place.offset
    return offset


def first_duplicate(text: str) -> Place | None:
    """Return the first member whose key its object already has."""
    return next((place for place, is_repeated in _scan(text) if is_repeated), None)


def line_and_column(text: str, offset: int) -> tuple[int, int]:
    """Return line and column, both from 1, of an offset."""
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


def escape(token: str) -> str:
    """Return a key as it stands in a JSON pointer."""
    return token.replace("~", "~0").replace("/", "~1")


def _scan(text: str) -> Iterator[tuple[Place, bool]]:
    open_: list[_Container] = []
    at = 0
    while (token := _TOKEN.match(text, at)) is not None:
        mark, quote, _ = token.groups()
        start, at = token.start(token.lastindex or 0), token.end()
        if quote:
            try:
                string, at = scanstring(text, at, True)  # noqa: FBT003 - takes it by position only
            except JSONDecodeError:
                return
            if _is_key(open_):
                open_[-1].key, open_[-1].key_offset = string, start
                continue
        elif mark in {",", ":"}:
            continue
        elif mark in {"}", "]"}:
            if not open_:
                return
            open_.pop()
            continue
        place, is_repeated = _place(open_, start)
        yield place, is_repeated
        if mark:
            open_.append(_Container(pointer=place.pointer, is_object=mark == "{"))


def _is_key(open_: list[_Container]) -> bool:
    return bool(open_) and open_[-1].is_object and open_[-1].key is None


def _place(open_: list[_Container], start: int) -> tuple[Place, bool]:
    """Place a value that begins here, and say whether its key is a repetition."""
    if not open_:
        return Place(pointer="", offset=start), False
    holder = open_[-1]
    if not holder.is_object:
        pointer = f"{holder.pointer}/{holder.index}"
        holder.index += 1
        return Place(pointer=pointer, offset=start), False
    key, holder.key = holder.key or "", None
    is_repeated = key in holder.keys
    holder.keys.add(key)
    return Place(pointer=f"{holder.pointer}/{escape(key)}", offset=holder.key_offset), is_repeated
