"""What is asked of the jail, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.engine.canonical import JSONValue


class Language(StrEnum):
    """What kind of text is evaluated."""

    JAVASCRIPT = "javascript"
    """Sees the data as `$`; its value is that of the last statement, or what its body returns."""
    JQ = "jq"
    """Its value is the list of all outputs."""
    SCHEMA = "schema"
    """JSON Schema as JSON text; its value is a list of `{pointer, message}`, empty when valid."""
    SYNTAX = "syntax"
    """JavaScript that is parsed and not run; its value is null."""


class Budget(StrEnum):
    """How long a script may take."""

    CONDITION = "condition"
    """Conditions and policies: 300 ms of computing, and killed after a second."""
    STEP = "step"
    """Script and jq steps: 4 seconds."""


class ErrorKind(StrEnum):
    """Why there is no value. All of them are definite: the same script fails again."""

    ERROR = "error"
    """The script is wrong, threw, or used too much memory."""
    TIMEOUT = "timeout"
    REFUSED = "refused"
    """It asks for something that is not allowed, or script, data or result are too large."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptCall:
    """One script with its data."""

    language: Language
    source: str
    data: JSONValue = None
    budget: Budget = Budget.CONDITION
    body: bool = False
    """JavaScript only: the source is the body of a function and returns its value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptError:
    """Why a script gave no value."""

    kind: ErrorKind
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptResult:
    """A value, or an error."""

    value: JSONValue = None
    error: ScriptError | None = None


def failure(kind: ErrorKind, message: str) -> ScriptResult:
    """Return a result that is an error."""
    return ScriptResult(error=ScriptError(kind=kind, message=message))
