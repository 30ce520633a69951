"""Parsed paths as values: what `paths.parse_path` makes of the text between `${` and `}`."""

from dataclasses import dataclass
from typing import Final, TypeAlias

from orchestrator.engine.expressions.patterns import Pattern


@dataclass(frozen=True, slots=True)
class Key:
    """One property of an object."""

    name: str


@dataclass(frozen=True, slots=True)
class Keys:
    """Several properties: as the last token a smaller object, else each of them."""

    names: tuple[str, ...]
    is_last: bool


@dataclass(frozen=True, slots=True)
class Index:
    """One element of a list, counted from the end when negative."""

    position: int


@dataclass(frozen=True, slots=True)
class Indexes:
    """Several elements of a list."""

    positions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Slice:
    """A run of elements."""

    start: int | None
    stop: int | None


@dataclass(frozen=True, slots=True)
class Wildcard:
    """Every element or property value."""


@dataclass(frozen=True, slots=True)
class Filter:
    """The elements (or the object itself) for which the test holds."""

    test: "Test"


@dataclass(frozen=True, slots=True)
class Call:
    """`length` or `keys`; always the last token."""

    function: str


Selector: TypeAlias = Key | Keys | Index | Indexes | Slice | Wildcard | Filter


@dataclass(frozen=True, slots=True)
class Deep:
    """A selector applied to a value and to everything inside it."""

    selector: Selector


Token: TypeAlias = Selector | Deep | Call


@dataclass(frozen=True, slots=True)
class Path:
    """Tokens from a root on."""

    tokens: tuple[Token, ...]
    is_definite: bool
    """Leads to one place, so that its value is that place's; otherwise a list of matches."""
    direct: tuple[str | int, ...] | None
    """The same path as bare keys and positions, when it consists of nothing else."""


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant in a filter."""

    value: bool | int | float | str | None


@dataclass(frozen=True, slots=True)
class Reference:
    """A path in a filter, from the element (`@`) or from the root (`$`)."""

    path: Path
    from_root: bool


Operand: TypeAlias = Literal | Reference | Pattern


@dataclass(frozen=True, slots=True)
class Exists:
    """The path leads somewhere."""

    reference: Reference


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two operands and one of `==`, `!=`, `<`, `<=`, `>`, `>=`, `=~`."""

    operator: str
    left: Operand
    right: Operand


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite of a test."""

    test: "Test"


@dataclass(frozen=True, slots=True)
class AllOf:
    """Tests joined by `&&`."""

    tests: tuple["Test", ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Tests joined by `||`."""

    tests: tuple["Test", ...]


Test: TypeAlias = Exists | Comparison | Not | AllOf | AnyOf

FUNCTIONS: Final = frozenset({"length", "size", "keys"})
