"""Canonical JSON and its hash: one spelling of a value, so that equal values have equal digests."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

JSONValue: TypeAlias = (
    bool | int | float | str | Sequence["JSONValue"] | Mapping[str, "JSONValue"] | None
)
"""What can stand in a JSON document."""


def canonical(value: JSONValue) -> str:
    """Return the one spelling of a value: sorted keys, no spaces (reliability.md §13.6)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(value: JSONValue) -> str:
    """Return the SHA-256 of the canonical spelling, in hex."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def copied(value: Any) -> Any:
    """Copy JSON containers; leaves are immutable."""
    if isinstance(value, dict):
        return {name: copied(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [copied(inner) for inner in value]
    return value
