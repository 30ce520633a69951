"""Reading one object of a document key by key.

`Fields` reads Conductor's own keys as Conductor does: strings are coerced to numbers, null means
the default, unknown keys are nobody's business. `SagaFields` reads ours: nothing is coerced, and a
key that is not known is a misspelling.
"""

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import TypeVar

from orchestrator.engine.canonical import JSONValue
from orchestrator.engine.definition.problems import Problems, pointer, spoken

Choice = TypeVar("Choice", bound=StrEnum)

INT_LIMIT = 2**31 - 1
"""Conductor's numbers are Java's; a longer time than this would not fit a calendar either."""


class Fields:
    """One object of a document, its place, and where to put what is wrong with it."""

    def __init__(
        self,
        source: Mapping[str, JSONValue],
        path: str,
        problems: Problems,
        reference: str = "",
    ) -> None:
        self.source = source
        self.path = path
        self.problems = problems
        self.reference = reference

    def at(self, key: str) -> str:
        """Return the pointer of a key, or of the object while the key is not there."""
        return pointer(self.path, key) if key in self.source else self.path

    def wrong(self, key: str, message: str) -> None:
        """Note that the value of a key cannot be taken."""
        self.problems.conductor(self.at(key), message, self.reference)

    def expected(self, key: str, kind: str) -> None:
        """Note that a key must hold something else."""
        self.wrong(key, f"`{key}` must be {kind}, not {spoken(self.source[key])}.")

    def given(self, key: str) -> JSONValue:
        """Return the value of a key, null when it is not there."""
        return self.source.get(key)

    def text(self, key: str, default: str = "") -> str:
        """Read a string; a number or a bool is taken by its spelling."""
        value = self.given(key)
        if value is None:
            return default
        if isinstance(value, bool | int | float):
            return spoken(value)
        if isinstance(value, str):
            return value
        self.expected(key, "a text")
        return default

    def integer(self, key: str, default: int, *, least: int | None = None) -> int:
        """Read a whole number; a string that spells one is one."""
        value = self.coerced(key, default)
        if value is None or abs(value) > INT_LIMIT or (least is not None and value < least):
            self.expected(
                key, "a whole number" + ("" if least is None else f" of at least {least}")
            )
            return default
        return value

    def coerced(self, key: str, default: int) -> int | None:
        """Return the number a value stands for; None when it stands for none."""
        value = self.given(key)
        if value is None:
            return default
        if isinstance(value, bool):
            return None
        if isinstance(value, float):
            return int(value) if abs(value) <= INT_LIMIT else None
        if isinstance(value, str):
            digits = value.strip().removeprefix("-")
            if not (digits.isascii() and digits.isdigit() and len(digits) <= len(str(INT_LIMIT))):
                return None
            return int(value.strip())
        return value if isinstance(value, int) else None

    def optional_integer(self, key: str, *, least: int = 0) -> int | None:
        """Read a whole number that may be left out."""
        return None if self.given(key) is None else self.integer(key, least, least=least)

    def flag(self, key: str, *, default: bool) -> bool:
        """Read a bool; the strings true and false are taken too."""
        value = self.given(key)
        if value is None:
            return default
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value.lower() in ("true", "false"):
            return value.lower() == "true"
        self.expected(key, "true or false")
        return default

    def choice(self, key: str, default: Choice) -> Choice:
        """Read one of the names of an enum."""
        value = self.given(key)
        if value is None:
            return default
        names = [member.value for member in type(default)]
        if isinstance(value, str) and value in names:
            return type(default)(value)
        self.expected(key, f"one of {', '.join(names)}")
        return default

    def mapping(self, key: str) -> Mapping[str, JSONValue]:
        """Read an object; an empty one when it is not there."""
        value = self.given(key)
        if value is None:
            return {}
        if isinstance(value, dict):
            return value
        self.expected(key, "an object")
        return {}

    def items(self, key: str) -> list[JSONValue]:
        """Read a list; an empty one when it is not there."""
        value = self.given(key)
        if value is None:
            return []
        if isinstance(value, list):
            return value
        self.expected(key, "a list")
        return []

    def texts(self, key: str) -> tuple[str, ...]:
        """Read a list of strings."""
        found: list[str] = []
        for index, item in enumerate(self.items(key)):
            if isinstance(item, str):
                found.append(item)
            else:
                place = pointer(self.at(key), index)
                self.note(place, f"`{key}` must hold texts, not {spoken(item)}.")
        return tuple(found)

    def note(self, place: str, message: str) -> None:
        """Note something wrong at a place inside a value."""
        self.problems.conductor(place, message, self.reference)


class SagaFields(Fields):
    """One object of a saga part: strict, and every key must be known."""

    def __init__(
        self,
        source: Mapping[str, JSONValue],
        path: str,
        problems: Problems,
        reference: str = "",
        origins: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(source, path, problems, reference)
        self._origins = origins or {}
        """Where a key really stands, when the carrier brought it."""

    def at(self, key: str) -> str:
        """Return the pointer of a key, or of the object while the key is not there."""
        return self._origins.get(key) or super().at(key)

    def note(self, place: str, message: str) -> None:
        """Note something wrong at a place inside a value."""
        self.problems.format(place, message, self.reference)

    def wrong(self, key: str, message: str) -> None:
        """Note that the value of a key cannot be taken."""
        self.problems.format(self.at(key), message, self.reference)

    def only(self, known: Collection[str]) -> None:
        """Note every key that has no meaning here."""
        for key in self.source:
            if key not in known:
                self.wrong(key, f"`{key}` is not a key that is known here.")

    def required(self, key: str) -> bool:
        """Tell whether a key is there, and note it when not."""
        if self.given(key) is not None:
            return True
        self.wrong(key, f"`{key}` is required here.")
        return False

    def text(self, key: str, default: str = "") -> str:
        """Read a string."""
        value = self.given(key)
        if value is None or isinstance(value, str):
            return default if value is None else value
        self.expected(key, "a text")
        return default

    def coerced(self, key: str, default: int) -> int | None:
        """Return the whole number; nothing else is taken for one, but `3.0`, which is 3."""
        value = self.given(key)
        if value is None:
            return default
        if isinstance(value, float):
            return int(value) if value.is_integer() else None
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def number(self, key: str, default: float, *, least: float = 0) -> float:
        """Read a number."""
        value = self.given(key)
        if value is None:
            return default
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if isinstance(value, int | float) and is_number and least <= value <= INT_LIMIT:
            return value
        self.expected(key, f"a number of at least {least:g}")
        return default

    def flag(self, key: str, *, default: bool) -> bool:
        """Read a bool."""
        value = self.given(key)
        if value is None or isinstance(value, bool):
            return default if value is None else value
        self.expected(key, "true or false")
        return default

    def one_of(self, key: str, default: str, names: Collection[str]) -> str:
        """Read one of a few names."""
        value = self.given(key)
        if value is None:
            return default
        if isinstance(value, str) and value in names:
            return value
        self.expected(key, f"one of {', '.join(names)}")
        return default

    def some_of(self, key: str, names: Collection[str]) -> tuple[str, ...]:
        """Read a list that holds only names out of a few."""
        found: list[str] = []
        for index, item in enumerate(self.items(key)):
            if isinstance(item, str) and item in names:
                found.append(item)
                continue
            message = f"`{key}` may hold {', '.join(names)}, not {spoken(item)}."
            self.note(pointer(self.at(key), index), message)
        return tuple(found)

    def inner(self, key: str) -> "SagaFields | None":
        """Read an object as saga fields of its own; None when it is not there."""
        value = self.given(key)
        if value is None:
            return None
        if isinstance(value, dict):
            return SagaFields(value, self.at(key), self.problems, self.reference)
        self.expected(key, "an object")
        return None

    def inner_items(self, key: str) -> list["SagaFields"]:
        """Read a list of objects as saga fields each."""
        found: list[SagaFields] = []
        for index, item in enumerate(self.items(key)):
            place = pointer(self.at(key), index)
            if isinstance(item, dict):
                found.append(SagaFields(item, place, self.problems, self.reference))
            else:
                self.note(place, f"`{key}` must hold objects, not {spoken(item)}.")
        return found
