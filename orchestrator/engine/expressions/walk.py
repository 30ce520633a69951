"""Walking a parsed path over plain data: only dicts, lists and strings are looked into."""

from collections.abc import Iterator, Mapping
from typing import Final

from orchestrator.engine.canonical import JSONValue
from orchestrator.engine.expressions.limits import MAX_VISITS, ExpressionTooLarge
from orchestrator.engine.expressions.patterns import Pattern
from orchestrator.engine.expressions.syntax import (
    AllOf,
    AnyOf,
    Call,
    Comparison,
    Deep,
    Exists,
    Filter,
    Index,
    Indexes,
    Key,
    Keys,
    Literal,
    Not,
    Operand,
    Path,
    Reference,
    Selector,
    Slice,
    Test,
    Token,
    Wildcard,
)


class Missing:
    """The type of `MISSING`: there is nothing at that place, which is not the same as null."""


MISSING: Final = Missing()


def read(path: Path, roots: Mapping[str, JSONValue]) -> JSONValue:
    """Return what the path finds: its value or null, or the list of all matches."""
    if path.direct is not None:
        return read_direct(path.direct, roots)
    return Walk(dict(roots)).value(path)


def read_direct(steps: tuple[str | int, ...], roots: Mapping[str, JSONValue]) -> JSONValue:
    """Follow bare keys and positions: nearly every path of a real definition."""
    first = steps[0]
    found: JSONValue = roots.get(first) if isinstance(first, str) else None
    for step in steps[1:]:
        if isinstance(step, str):
            if not isinstance(found, dict):
                return None
            found = found.get(step)
        elif isinstance(found, list) and -len(found) <= step < len(found):
            found = found[step]
        else:
            return None
    return found


class Walk:
    """One evaluation of one path, with its bound on the work done."""

    def __init__(self, root: JSONValue) -> None:
        self._root = root
        self._visits = 0

    def value(self, path: Path) -> JSONValue:
        """Return the value of a definite path, or the matches of another one as a list."""
        found = self._find(path.tokens, self._root)
        if path.is_definite:
            return found[0] if found else None
        return found

    def _spend(self, visits: int) -> None:
        self._visits += visits
        if self._visits > MAX_VISITS:
            raise ExpressionTooLarge(f"it looks at {self._visits} values", MAX_VISITS)

    def _find(self, tokens: tuple[Token, ...], start: JSONValue) -> list[JSONValue]:
        found = [start]
        is_scan = False
        for token in tokens:
            match token:
                case Call(function=function) if is_scan:
                    # After a deep scan the function is given all matches as one list.
                    found = [call(function, found)]
                case Call(function=function):
                    found = [call(function, value) for value in found]
                case Deep(selector=selector):
                    is_scan = True
                    found = [
                        match
                        for value in found
                        for inner in self._inside(value)
                        for match in self._select_deep(selector, inner)
                    ]
                case _:
                    found = [match for value in found for match in self._select(token, value)]
            self._spend(len(found))
        return found

    def _inside(self, value: JSONValue) -> Iterator[JSONValue]:
        """Give the value and everything in it, parents first."""
        waiting = [value]
        while waiting:
            current = waiting.pop()
            self._spend(1)
            yield current
            if isinstance(current, dict):
                waiting.extend(reversed(current.values()))
            elif isinstance(current, list):
                waiting.extend(reversed(current))

    def _select_deep(self, selector: Selector, value: JSONValue) -> list[JSONValue]:
        if isinstance(selector, Filter) and not isinstance(value, dict):
            # Its elements are visited themselves; testing them here as well would double them.
            return []
        return self._select(selector, value)

    def _select(self, selector: Selector, value: JSONValue) -> list[JSONValue]:
        if isinstance(selector, Filter):
            return self._filtered(selector.test, value)
        if isinstance(value, dict):
            return select_in_object(selector, value)
        if isinstance(value, list):
            return select_in_list(selector, value)
        return []

    def _filtered(self, test: Test, value: JSONValue) -> list[JSONValue]:
        candidates = (
            value if isinstance(value, list) else [value] if isinstance(value, dict) else []
        )
        self._spend(len(candidates))
        return [candidate for candidate in candidates if self._holds(test, candidate)]

    def _holds(self, test: Test, element: JSONValue) -> bool:
        match test:
            case Exists(reference=reference):
                return self._operand(reference, element) is not MISSING
            case Comparison(operator="=~", left=left, right=right):
                return self._describes(left, right, element)
            case Comparison(operator=operator, left=left, right=right):
                return compare(
                    operator, self._operand(left, element), self._operand(right, element)
                )
            case Not(test=inner):
                return not self._holds(inner, element)
            case AllOf(tests=tests):
                return all(self._holds(inner, element) for inner in tests)
            case AnyOf(tests=tests):
                return any(self._holds(inner, element) for inner in tests)

    def _operand(self, operand: Operand, element: JSONValue) -> JSONValue | Missing:
        match operand:
            case Literal(value=value):
                return value
            case Reference(path=path, from_root=from_root):
                found = self._find(path.tokens, self._root if from_root else element)
                if path.is_definite:
                    return found[0] if found else MISSING
                return found
            case _:
                return MISSING

    def _describes(self, left: Operand, right: Operand, element: JSONValue) -> bool:
        pattern, other = (left, right) if isinstance(left, Pattern) else (right, left)
        if not isinstance(pattern, Pattern) or isinstance(other, Pattern):
            return False
        text = self._operand(other, element)
        if isinstance(text, bool):
            text = "true" if text else "false"
        elif isinstance(text, int | float):
            text = str(text)
        if not isinstance(text, str):
            return False
        # Each character costs up to one look at every state.
        self._spend(len(text) * len(pattern.states) // 50)
        return pattern.matches(text)


def select_in_object(selector: Selector, value: dict[str, JSONValue]) -> list[JSONValue]:
    """Apply a selector to an object."""
    match selector:
        case Key(name=name):
            return [value[name]] if name in value else []
        case Keys(names=names, is_last=True):
            return [{name: value[name] for name in names if name in value}]
        case Keys(names=names):
            return [value[name] for name in names if name in value]
        case Wildcard():
            return list(value.values())
        case _:
            return []


def select_in_list(selector: Selector, value: list[JSONValue]) -> list[JSONValue]:
    """Apply a selector to a list."""
    match selector:
        case Index(position=position):
            return [value[position]] if -len(value) <= position < len(value) else []
        case Indexes(positions=positions):
            size = len(value)
            return [value[position] for position in positions if -size <= position < size]
        case Slice(start=start, stop=stop):
            return value[start:stop]
        case Wildcard():
            return value
        case _:
            return []


def call(function: str, value: JSONValue) -> JSONValue:
    """Call a function of the path language; null where it makes no sense."""
    if function == "keys":
        return list(value) if isinstance(value, dict) else None
    return len(value) if isinstance(value, dict | list) else None


def compare(operator: str, left: JSONValue | Missing, right: JSONValue | Missing) -> bool:
    """Compare two operands; only numbers and strings have an order."""
    if operator == "==":
        return is_equal(left, right)
    if operator == "!=":
        return not is_equal(left, right)
    if is_number(left) and is_number(right):
        return in_order(operator, float_or_int(left), float_or_int(right))
    if isinstance(left, str) and isinstance(right, str):
        return in_order(operator, *((left > right) - (left < right), 0))
    return False


def in_order(operator: str, left: int | float, right: int | float) -> bool:
    """Tell whether two numbers stand in the order that the operator names."""
    if operator == "<":
        return left < right
    if operator == "<=":
        return left <= right
    if operator == ">":
        return left > right
    return left >= right


def is_equal(left: JSONValue | Missing, right: JSONValue | Missing) -> bool:
    """Tell whether two operands are the same; a numeric string equals its number, as in Jayway."""
    if isinstance(left, Missing) or isinstance(right, Missing):
        return left is right
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if is_number(left) and isinstance(right, str):
        return numeric(right) == left
    if isinstance(left, str) and is_number(right):
        return numeric(left) == right
    return left == right


def is_number(value: JSONValue | Missing) -> bool:
    """Tell whether a value is a number; a bool is not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def float_or_int(value: JSONValue | Missing) -> int | float:
    """Narrow a value that `is_number` has accepted."""
    return value if isinstance(value, int | float) else 0


def numeric(text: str) -> float | None:
    """Return the number that a text spells, or None."""
    if len(text) > 40:
        return None
    try:
        return float(text)
    except ValueError:
        return None
