"""The one way in for JSON: parsed under limits, refused with a place, cleaned for storage.

Python's own parser takes more than we can keep: duplicate keys, NaN, a depth that breaks whoever
walks it later, and characters that one of our databases refuses and the other stores for good.
What people send is refused for any of these; what services answer is cleaned instead, since it
is too late to ask them again.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn, Protocol, TypeVar, cast

from orchestrator.border import positions
from orchestrator.engine.canonical import JSONValue

if TYPE_CHECKING:
    from collections.abc import Iterator

MEBIBYTE = 1024 * 1024
_CHUNK = 64 * 1024
_BAD_CHARACTERS = re.compile("[\x00\ud800-\udfff]")
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_T = TypeVar("_T", bound=JSONValue)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much of a document is taken."""

    size: int = 2 * MEBIBYTE
    depth: int = 100
    nodes: int = 200_000
    key_length: int = 1_024
    digits: int = 308


DEFAULT_LIMITS = Limits()
LARGE_LIMITS = Limits(size=8 * MEBIBYTE)
"""Starts and updates of runs and tasks, and definitions."""


class InputError(Exception):
    """A document from outside is refused.

    Attributes:
        code: A word for programs.
        message: A sentence for people.
        pointer: JSON pointer to what is refused; empty for the whole document.
        status: The HTTP status that says so.
        at: Line and column of that in the text, from 1, if known.
    """

    def __init__(
        self,
        *,
        code: str,
        message: str,
        pointer: str = "",
        status: int = 400,
        at: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.pointer = pointer
        self.status = status
        self.at = at


class Readable(Protocol):
    """A stream of bytes, such as a request."""

    def read(self, size: int, /) -> bytes:
        """Return at most so many bytes; none at the end."""
        ...


def read_capped(stream: Readable, *, size: int) -> bytes:
    """Read a stream to its end and refuse it as soon as it passes the limit.

    What arrives is counted, whatever its declared length says.
    """
    taken = bytearray()
    while chunk := stream.read(_CHUNK):
        taken += chunk
        if len(taken) > size:
            raise _too_large(size)
    return bytes(taken)


def parse_json(raw: bytes, *, limits: Limits = DEFAULT_LIMITS) -> JSONValue:
    """Parse what a person or a client sent, or raise `InputError`."""
    if len(raw) > limits.size:
        raise _too_large(limits.size)
    _check_count(raw, limits)
    text = _decode(raw)
    value = _load(text, limits)
    check(value, limits=limits)
    return value


def parse_answer(raw: bytes, *, limits: Limits = LARGE_LIMITS) -> JSONValue:
    """Parse what a service answered: of two equal keys the last, bad characters replaced.

    Raises:
        InputError: It is no JSON, or more than can be kept.
    """
    _check_count(raw, limits)
    text = _decode(raw)
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise _not_json(error) from error
    except RecursionError:
        raise _too_deep("", limits) from None
    except ValueError as error:
        raise InputError(
            code="number_too_long", message=f"A number is too long: {error}"
        ) from error
    value = clean(cast("JSONValue", value))
    check(value, limits=limits)
    return value


def check(value: JSONValue, *, limits: Limits = DEFAULT_LIMITS) -> None:
    """Raise `InputError` if a parsed value passes a limit or holds a forbidden character."""
    for nodes, (node, depth, place) in enumerate(_walk(value), start=1):
        if nodes > limits.nodes:
            raise _too_many(limits)
        if depth > limits.depth:
            raise _too_deep(_pointer(place), limits)
        if isinstance(node, str):
            _check_text(node, place)
        elif isinstance(node, dict):
            for key in node:
                _check_key(key, place, limits)
        elif isinstance(node, float) and not math.isfinite(node):
            raise InputError(
                code="number_not_finite",
                message="A number is too large to be kept.",
                pointer=_pointer(place),
            )


def clean(value: _T) -> _T:
    """Return a copy in which NUL and lone surrogates are replaced by U+FFFD.

    PostgreSQL stores neither, and SQLite gives them back to whoever cannot encode them.
    """
    result: list[JSONValue] = [None]
    waiting: list[tuple[JSONValue, list[JSONValue] | dict[str, JSONValue], int | str]]
    waiting = [(value, result, 0)]
    while waiting:
        source, target, key = waiting.pop()
        copy: JSONValue
        if isinstance(source, str):
            copy = clean_text(source)
        elif isinstance(source, list):
            items: list[JSONValue] = [None] * len(source)
            waiting.extend((item, items, index) for index, item in enumerate(source))
            copy = items
        elif isinstance(source, dict):
            members: dict[str, JSONValue] = {clean_text(name): None for name in source}
            waiting.extend((item, members, clean_text(name)) for name, item in source.items())
            copy = members
        else:
            copy = source
        target[key] = copy  # type: ignore[index]  # a list goes with its index, a dict with its key
    return cast("_T", result[0])


def clean_text(text: str) -> str:
    """Return the text with NUL and lone surrogates replaced by U+FFFD."""
    return text if text.isascii() and "\0" not in text else _BAD_CHARACTERS.sub("\ufffd", text)


def size_of(value: object) -> int:
    """Return how many bytes a value takes as JSON."""
    return len(json.dumps(value, ensure_ascii=False).encode())


def locate(text: str, pointer: str) -> tuple[int, int]:
    """Return line and column, from 1, of what a JSON pointer names in a JSON text.

    What is not there, such as a key that is missing, is placed where its nearest parent is.
    """
    return positions.line_and_column(text, positions.offset_of(text, pointer))


def _decode(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8", "replace")
        raise InputError(
            code="not_utf8",
            message="The text is not UTF-8.",
            at=positions.line_and_column(before, len(before)),
        ) from error


def _load(text: str, limits: Limits) -> JSONValue:
    def whole(digits: str) -> int:
        _check_digits(digits, limits)
        return int(digits)

    def fraction(digits: str) -> float:
        _check_digits(digits, limits)
        return float(digits)

    def members(pairs: list[tuple[str, JSONValue]]) -> dict[str, JSONValue]:
        found = dict(pairs)
        if len(found) != len(pairs):
            _refuse_duplicate(text)
        return found

    try:
        value: JSONValue = json.loads(
            text,
            parse_int=whole,
            parse_float=fraction,
            parse_constant=_refuse_constant,
            object_pairs_hook=members,
        )
    except json.JSONDecodeError as error:
        raise _not_json(error) from error
    except RecursionError:
        raise _too_deep("", limits) from None
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise InputError(code="number_not_finite", message=f"{name} is not a JSON number.")


def _refuse_duplicate(text: str) -> NoReturn:
    place = positions.first_duplicate(text)
    if place is None:
        raise InputError(code="duplicate_key", message="An object has the same key twice.")
    raise InputError(
        code="duplicate_key",
        message=f"The key {place.pointer.rpartition('/')[2]!r} appears twice in one object.",
        pointer=place.pointer,
        at=positions.line_and_column(text, place.offset),
    )


def _check_count(raw: bytes, limits: Limits) -> None:
    """Refuse by counting commas what would fill the memory once it is parsed."""
    if raw.count(b",") >= limits.nodes and _STRING.sub(b"", raw).count(b",") >= limits.nodes:
        raise _too_many(limits)


def _check_digits(digits: str, limits: Limits) -> None:
    if len(digits) > limits.digits:
        raise InputError(
            code="number_too_long",
            message=f"A number has {len(digits)} characters, {limits.digits} are allowed.",
        )


def _check_key(key: str, place: _Place, limits: Limits) -> None:
    if len(key) > limits.key_length:
        raise InputError(
            code="key_too_long",
            message=f"A key has {len(key)} characters, {limits.key_length} are allowed.",
            pointer=_pointer(place),
        )
    _check_text(key, place)


def _check_text(text: str, place: _Place) -> None:
    if (not text.isascii() or "\0" in text) and _BAD_CHARACTERS.search(text):
        raise InputError(
            code="bad_character",
            message="A text holds U+0000 or half of a surrogate pair, which cannot be stored.",
            pointer=_pointer(place),
        )


_Place = tuple["_Place | None", str | int] | None
"""Where a node stands, as a chain from the node to the root: pointers are made only for errors."""


def _walk(value: JSONValue) -> Iterator[tuple[JSONValue, int, _Place]]:
    waiting: list[tuple[JSONValue, int, _Place]] = [(value, 0, None)]
    while waiting:
        node, depth, place = waiting.pop()
        inner = depth + 1 if isinstance(node, list | dict) else depth
        yield node, inner, place
        if isinstance(node, list):
            waiting.extend((item, inner, (place, index)) for index, item in enumerate(node))
        elif isinstance(node, dict):
            waiting.extend((item, inner, (place, key)) for key, item in node.items())


def _pointer(place: _Place) -> str:
    tokens: list[str] = []
    while place is not None:
        place, token = place
        tokens.append(positions.escape(clean_text(str(token))))
    return "".join(f"/{token}" for token in reversed(tokens))


def _too_large(size: int) -> InputError:
    return InputError(
        code="body_too_large",
        message=f"More than {size} bytes are not taken here.",
        status=413,
    )


def _too_deep(pointer: str, limits: Limits) -> InputError:
    return InputError(
        code="too_deep",
        message=f"Lists and objects are nested more than {limits.depth} deep.",
        pointer=pointer,
    )


def _too_many(limits: Limits) -> InputError:
    return InputError(
        code="too_many_values",
        message=f"The document has more than {limits.nodes} values.",
    )


def _not_json(error: json.JSONDecodeError) -> InputError:
    return InputError(
        code="not_json",
        message=f"This is not JSON: {error.msg} at line {error.lineno}, column {error.colno}.",
        at=(error.lineno, error.colno),
    )
