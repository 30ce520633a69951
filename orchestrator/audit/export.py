"""The trail as files: JSON lines, and CSV that is safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING

from orchestrator.audit.selectors import PUBLIC_FIELDS, public

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from orchestrator.audit.models import AuditEntry

FORMATS = ("csv", "jsonl")
# A spreadsheet takes a cell that begins so for a formula; the last ones are full-width twins.
_ACTIVE = ("=", "+", "-", "@", "\t", "\r", "\n", "\0", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def lines(entries: Iterable[AuditEntry], form: str) -> Iterator[str]:
    """Yield the lines of an export in one of `FORMATS`."""
    return _csv(entries) if form == "csv" else _json(entries)


def _json(entries: Iterable[AuditEntry]) -> Iterator[str]:
    for entry in entries:
        yield json.dumps(public(entry), ensure_ascii=False) + "\n"


def _csv(entries: Iterable[AuditEntry]) -> Iterator[str]:
    yield _row(PUBLIC_FIELDS)
    for entry in entries:
        shown = public(entry) | {"changes": entry.changes}
        yield _row(_cell(shown[name]) for name in PUBLIC_FIELDS)


def _row(cells: Iterable[str]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, quoting=csv.QUOTE_ALL).writerow(list(cells))
    return buffer.getvalue()


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_ACTIVE) else text
