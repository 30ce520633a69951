"""How a value looks inside a longer text: as Java prints it, since workflows rely on that."""

import json
from decimal import Decimal

from orchestrator.engine.canonical import JSONValue
from orchestrator.engine.expressions.limits import MAX_BUILT, ExpressionTooLarge

LOWEST_PLAIN = 1e-3
LOWEST_SCIENTIFIC = 1e7


def size_of(value: JSONValue) -> int:
    """Return the length of a value's JSON, roughly: what it costs to store."""
    if isinstance(value, str):
        return len(value)
    if not isinstance(value, dict | list):
        return 8
    try:
        return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
    except RecursionError:
        raise ExpressionTooLarge("a value is nested without end", MAX_BUILT) from None


def embedded(value: JSONValue, *, is_match_list: bool) -> str:
    """Return the text of a value inside a longer one.

    A list that the expression made itself (`[*]`, filters) is JSON; one found in the data is not.
    """
    if isinstance(value, dict | list) and size_of(value) > MAX_BUILT:
        raise ExpressionTooLarge(f"a text holds a value of {size_of(value)} characters", MAX_BUILT)
    if is_match_list:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return java_text(value)


def java_text(value: JSONValue) -> str:
    """Return what Java's `toString` makes of the value: `{k=v}`, `[1, two]`, `null`."""
    match value:
        case None | bool():
            return json.dumps(value)
        case float():
            return java_number(value)
        case str():
            return value
        case dict():
            return "{" + ", ".join(f"{key}={java_text(item)}" for key, item in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(java_text, value)) + "]"
        case _:
            return str(value)


def java_number(value: float) -> str:
    """Return a number with a point as Java prints it: `1.5`, `1.0E10`."""
    magnitude = abs(value)
    if value == 0 or LOWEST_PLAIN <= magnitude < LOWEST_SCIENTIFIC:
        plain = format(Decimal(repr(value)), "f")
        return plain if "." in plain else f"{plain}.0"
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    if not isinstance(exponent, int):
        return str(value)
    text = "".join(map(str, digits))
    power = exponent + len(text) - 1
    return f"{'-' if sign else ''}{text[0]}.{text[1:] or '0'}E{power}"
