"""Collecting what is wrong with a definition, and pointing at it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from orchestrator.engine.canonical import JSONValue
from orchestrator.engine.definition.model import Problem

ERROR: Final = "error"
WARNING: Final = "warning"
FORMAT: Final = "FORMAT"
CONDUCTOR: Final = "CONDUCTOR"


def pointer(path: str, *parts: str | int) -> str:
    """Extend a JSON pointer."""
    escaped = (str(part).replace("~", "~0").replace("/", "~1") for part in parts)
    return "/".join((path, *escaped))


def to_public(problem: Problem) -> dict[str, JSONValue]:
    """Return a problem as the API shows it."""
    shown: dict[str, JSONValue] = {
        "severity": problem.severity,
        "code": problem.code,
        "path": problem.path,
        "taskReferenceName": problem.task_reference,
        "message": problem.message,
    }
    if problem.waived:
        shown["waived"] = problem.waived
    return shown


def spoken(value: JSONValue) -> str:
    """Return a value as a message names it: short, and never a whole document."""
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list | tuple):
        return "a list"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value) if not isinstance(value, int) else int_text(value)
    shown = text if len(text) <= 60 else f"{text[:60]}…"
    return f'"{shown}"' if isinstance(value, str) else shown


def int_text(value: int) -> str:
    """Spell a whole number; Python refuses to spell one of thousands of digits."""
    return str(value) if value.bit_length() < 1000 else "a huge number"


@dataclass(slots=True)
class Problems:
    """The problems found so far, in the order of the document."""

    found: list[Problem] = field(default_factory=list)

    def error(self, code: str, path: str, message: str, reference: str = "") -> None:
        """Note an error."""
        problem = Problem(
            code=code, severity=ERROR, path=path, message=message, task_reference=reference
        )
        self.found.append(problem)

    def format(self, path: str, message: str, reference: str = "") -> None:
        """Note a saga part of the wrong shape, or a limit that is passed."""
        self.error(FORMAT, path, message, reference)

    def conductor(self, path: str, message: str, reference: str = "") -> None:
        """Note that one of Conductor's own rules is broken."""
        self.error(CONDUCTOR, path, message, reference)
