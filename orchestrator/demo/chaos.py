"""The switches that make a participant misbehave: from the text of an input to what it does."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

LATE_ANSWER_SECONDS = 4.0
"""Longer than any read timeout in the definitions of the demo, short enough to watch."""
LONGEST_SECONDS = 30.0
DEFAULT_SLOW_SECONDS = 1.0


class Mode(StrEnum):
    """One way to misbehave."""

    WELL = "well"
    FAIL = "fail"
    FAIL_TERMINAL = "fail_terminal"
    FLAKY = "flaky"
    SLOW = "slow"
    TIMEOUT = "timeout"
    TIMEOUT_AFTER_EFFECT = "timeout_after_effect"
    RESET_AFTER_EFFECT = "reset_after_effect"
    ERROR_AFTER_EFFECT = "error_after_effect"
    FAIL_UNDO = "fail_undo"
    REFUSE_UNDO = "refuse_undo"
    FLAKY_UNDO = "flaky_undo"


MEANINGS: dict[str, str] = {
    "fail": "Every call answers 503 and nothing happens; the retries are used up.",
    "fail_terminal": "Refused for good (422) and nothing happens; no retry.",
    "flaky:N": "The first N calls answer 503, the next one works.",
    "slow:SECONDS": "Works, but only after so many seconds, even if the caller has given up.",
    "timeout": "Nothing happens, and the answer comes too late.",
    "timeout_after_effect": "Takes effect, but the answer comes too late.",
    "reset_after_effect": "Takes effect, then the connection breaks in the middle of the answer.",
    "error_after_effect": "Takes effect, but answers 500.",
    "fail_undo": "The undo answers 422 each time; the effect stays until a person acts.",
    "refuse_undo": "The undo is refused for good (403); it is not even retried.",
    "flaky_undo:N": "The first N undos answer 422, the next one works.",
}

_NEEDS_NUMBER = frozenset({Mode.FLAKY, Mode.FLAKY_UNDO})
_TAKES_NUMBER = _NEEDS_NUMBER | {Mode.SLOW}


class ChaosError(ValueError):
    """The input asks for a misbehaviour that the shop does not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chaos:
    """What one participant was told to do wrong."""

    mode: Mode = Mode.WELL
    number: float = 0
    """Calls of `flaky` and `flaky_undo`, seconds of `slow`."""


def chaos_for(switches: object, *, step: str, item: str = "") -> Chaos:
    """Read the `chaos` of a request body: one switch, or a map of task names to switches.

    In a map the key `name#item` speaks of one item of a loop and goes before the plain name.
    """
    if isinstance(switches, Mapping):
        switches = switches.get(f"{step}#{item}", switches.get(step))
    if switches is None or switches == "":
        return Chaos()
    if not isinstance(switches, str):
        raise ChaosError(f"chaos for {step} must be text such as 'flaky:2', not {switches!r}")
    return _parse(switches)


def _parse(text: str) -> Chaos:
    name, colon, argument = text.partition(":")
    try:
        mode = Mode(name.strip())
    except ValueError:
        raise ChaosError(f"the shop does not know the chaos {text!r}") from None
    if not colon:
        if mode in _NEEDS_NUMBER:
            raise ChaosError(f"{name} needs a number, as in '{name}:2'")
        return Chaos(mode=mode, number=DEFAULT_SLOW_SECONDS if mode is Mode.SLOW else 0)
    if mode not in _TAKES_NUMBER:
        raise ChaosError(f"{name} takes no number, but {text!r} has one")
    return Chaos(mode=mode, number=_number(argument, text))


def _number(argument: str, text: str) -> float:
    try:
        number = float(argument)
    except ValueError:
        raise ChaosError(f"{text!r} needs a number after the colon") from None
    if not 0 <= number <= LONGEST_SECONDS:
        raise ChaosError(f"the number in {text!r} must be between 0 and {LONGEST_SECONDS:g}")
    return number
