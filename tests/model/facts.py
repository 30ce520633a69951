"""What is known about the calls of one step run, and what must follow from it.

Rules: saga-semantics §2.2 (states of a step run), §2.3 (its entry), §3 (what is undone).
"""

import dataclasses
from collections.abc import Sequence
from enum import StrEnum

from tests.model.trees import Effect, Step, Undo


class Known(StrEnum):
    """What one finished attempt told."""

    APPLIED = "applied"
    NOT_APPLIED = "not applied"
    TERMINAL = "not applied, never try again"
    PARTIAL = "something was applied"
    UNKNOWN = "unknown"
    NOTHING_DONE = "the worker did nothing"


@dataclasses.dataclass(frozen=True)
class Expected:
    """The states a step run and its entry may stand in now."""

    step: frozenset[str]
    entry: frozenset[str]


IN_FLIGHT = frozenset({"DISPATCHED", "WAITING"})
UNDO_OPEN = frozenset(
    {
        "PLANNED",
        "AWAITING_APPROVAL",
        "DELAYED",
        "READY",
        "RUNNING",
        "RETRY_WAIT",
        "COMPENSATION_FAILED",
        "MANUAL",
    }
)
UNDO_ENDED = frozenset({"COMPENSATED", "SKIPPED", "RESOLVED_MANUALLY", "LATE_EFFECT"})
SETTLED = frozenset({"COMPENSATED", "RESOLVED_MANUALLY", "SKIPPED", "VOID", "SEALED"})
STEP_SETTLED = frozenset(
    {"COMPLETED", "COMPLETED_WITH_ERRORS", "FAILED", "UNKNOWN", "SKIPPED", "CANCELLED"}
)


def doubted(step: Step, known: Known) -> bool:
    """Whether an attempt leaves a doubt: nothing outside was asked of an effect `NONE` (§2.2)."""
    return known is Known.UNKNOWN and step.effect is not Effect.NONE


def after_attempts(step: Step, attempts: Sequence[Known], *, stopped: bool) -> str:
    """Return the state of a step run whose newest attempt has just ended (§2.2, §3).

    `stopped`: the run no longer runs, so that no further try is made. Probes are not modelled
    here; a step with one is asked about through them first.
    """
    newest = attempts[-1]
    if newest is Known.APPLIED:
        return "COMPLETED"
    # That something was applied is known, whatever an earlier attempt left open (FAILED, §2.2).
    in_doubt = newest is not Known.PARTIAL and any(doubted(step, known) for known in attempts)
    if newest is Known.NOTHING_DONE:
        return "UNKNOWN" if in_doubt else "CANCELLED"
    tries_left = len(attempts) <= step.retries
    final = newest in {Known.TERMINAL, Known.PARTIAL}
    may_retry = "RETRY" in step.on_unknown or not doubted(step, newest)
    if tries_left and not stopped and not final and may_retry:
        return "RETRY_WAIT"
    if in_doubt:
        return "UNKNOWN"
    return "COMPLETED_WITH_ERRORS" if step.optional else "FAILED"


def entry_before_plan(step_state: str, attempts: Sequence[Known]) -> str:
    """Return the state of the entry of a step run that no plan has chosen yet (§2.3, §3)."""
    match step_state:
        case "COMPLETED":
            return "ARMED"
        case "UNKNOWN":
            return "UNCERTAIN"
        case "FAILED" | "COMPLETED_WITH_ERRORS" if Known.PARTIAL in attempts:
            return "UNCERTAIN"
        case "FAILED" | "COMPLETED_WITH_ERRORS" | "CANCELLED" | "SKIPPED":
            return "VOID"
        case _:
            return "TENTATIVE"


def asks(step: Step, attempts: Sequence[Known]) -> bool:
    """Whether a step UNKNOWN for good needs a person before a plan is made (§3, points 3, 4).

    An optional step never asks while the run goes on; `irreversible` and `none` never ask;
    `pivot` follows §11.
    """
    if not any(doubted(step, known) for known in attempts):
        return False
    return step.effect is Effect.REVERSIBLE and not undo_takes_doubt(step.undo, step.on_unknown)


def undo_takes_doubt(undo: Undo | None, on_unknown: Sequence[str]) -> bool:
    """Whether the undo may be sent for something that perhaps never happened (§3, point 3)."""
    return undo is not None and undo.safe and not undo.reads_output and "COMPENSATE" in on_unknown


def first_undo_states(undo: Undo, *, uncertain: bool) -> frozenset[str]:
    """Where an entry may go from PLANNED once nothing ordered after it is open (§2.3, §6)."""
    match undo.policy:
        case "APPROVAL":
            return frozenset({"AWAITING_APPROVAL"})
        case "MANUAL":
            return frozenset({"MANUAL"})
        case _:
            return frozenset({"DELAYED"}) if uncertain else frozenset({"READY", "RUNNING"})
