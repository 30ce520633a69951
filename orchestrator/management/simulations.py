"""A simulation as a table that people read in a shell."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
HEAD = ("fails at", "how", "undone, in this order", "asked", "ends", "at least", "stays")
_LONGEST = 60


def lines(result: Row) -> Iterator[str]:
    """Give the lines that tell a simulation."""
    path = result["path"]
    yield f"without trouble: {path['finalState']} after {_duration(path['seconds'])}"
    if path["reason"]:
        yield f"  {path['failureAt'] or 'the run'}: {path['reason']}"
    yield f"coverage: {result['coverage']['text']}"
    yield ""
    yield from table([HEAD, *(_cells(row) for row in result["scenarios"])])
    yield ""
    clean, count = result["summary"]["clean"], result["summary"]["scenarios"]
    yield f"{clean} of {count} scenarios end clean."
    if result["notReached"]:
        yield f"not reached: {', '.join(result['notReached'])}"
    if result["unusedMocks"]:
        yield f"mocks that no step has used: {', '.join(result['unusedMocks'])}"
    yield from result["cut"]


def table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Give rows with their columns under each other."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _cells(row: Row) -> tuple[str, ...]:
    asked = [*(", ".join(each["groups"]) or "approvers" for each in row["approvals"])]
    asked += [each["question"] for each in row["questions"]]
    time = row["timeToUndone"]
    people = " + people" if time["waitsForPeople"] else ""
    return (
        _place(row["failureAt"], row),
        _how(row),
        _short(
            ", ".join(_place(each["taskReferenceName"], each) for each in row["entries"]) or "-"
        ),
        _short("; ".join(dict.fromkeys(asked)) or "-"),
        row["finalState"],
        _duration(time["atLeastSeconds"]) + people,
        _short(", ".join(dict.fromkeys(each["taskReferenceName"] for each in row["stays"])) or "-"),
    )


def _place(reference: str, row: Row) -> str:
    round_ = f" #{row['iteration']}" if row["iteration"] else ""
    inside = "".join(f"{step} > " for step in row["within"])
    return f"{inside}{reference}{round_}"


def _how(row: Row) -> str:
    branches = "".join(f", {switch} = {case}" for switch, case in row["branches"].items())
    also = row["also"]
    other = f" + {_place(also['taskReferenceName'], also)} {also['outcome']}" if also else ""
    return f"{row['outcome']}{other}{branches}"


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:g} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 172_800 else f"{seconds / 86400:.0f} d"
