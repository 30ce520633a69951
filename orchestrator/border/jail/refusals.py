"""The errors with which an evaluator inside the jail says why it has no value."""

from __future__ import annotations


class NoValue(Exception):
    """There is no value; `kind` says which word the parent is told."""

    kind = "error"


class ScriptFailed(NoValue):
    """The script is wrong or threw."""


class ScriptRefused(NoValue):
    """The script asks for something that is not allowed."""

    kind = "refused"


class ScriptTimeout(NoValue):
    """The script ran out of time."""

    kind = "timeout"

    def __init__(self) -> None:
        super().__init__("The script ran out of time.")
