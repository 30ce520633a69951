"""Values as SQL literals of PostgreSQL, for statements that are made of few rows and many columns.

A literal costs the server half of what the same value costs in a set that is unfolded from JSON,
and the driver nothing. Only the kinds of values that our own columns hold are written.
"""

import json
from datetime import datetime
from typing import Any

_encode = json.JSONEncoder(default=str).encode
"""Made once; `json.dumps` makes an encoder for every value that is not of its own kinds."""


class Unspeakable(ValueError):
    """A value that PostgreSQL cannot hold."""


def quoted(text: str) -> str:
    """Return a text as a literal that means itself whatever the server's settings are.

    Raises:
        Unspeakable: It holds NUL.
    """
    if "\0" in text:
        raise Unspeakable("a text must not hold NUL")
    if "\\" in text:
        # Only so written a backslash means the same under both `standard_conforming_strings`.
        doubled = text.replace("\\", "\\\\").replace("'", "''")
        return f" E'{doubled}'"
    if "'" in text:
        return "'" + text.replace("'", "''") + "'"
    return f"'{text}'"


def literal(kind: str, value: Any) -> str:
    """Return the value of a column of this kind (`Table.kinds`)."""
    if value is None:
        return "NULL"
    if kind == "json":
        return quoted(_encode(value))
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, datetime):
        return f"'{value.isoformat()}'"
    return quoted(str(value))


def array(type_: str, values: list[str]) -> str:
    """Return texts as an array of a type whose texts need no quotes of their own, such as uuid."""
    return quoted("{" + ",".join(values) + "}") + f"::{type_}[]"
