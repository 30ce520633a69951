"""What can be done to a run now: each action with whether it is possible, and why not."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.urls import reverse

from orchestrator.access.policy import Answer
from orchestrator.engine.states import EntryState, ExecutionState, StepState

Row = Mapping[str, Any]
UNTOUCHED = frozenset({"TENTATIVE", "ARMED", "UNCERTAIN", "VOID", "SEALED"})
"""Entry states of which no undo was sent yet."""
ENTRY_ACTS = {
    EntryState.COMPENSATION_FAILED: ("retry", "amend", "skip", "resolve", "to-manual"),
    EntryState.MANUAL: ("retry", "skip", "resolve"),
    EntryState.LATE_EFFECT: ("retry", "resolve"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One control of a run; a disabled one keeps its reason."""

    key: str
    label: str
    address: str
    is_form: bool = False
    """True: pressed at once. False: leads to a page that asks for a reason."""
    reason: str = ""
    """Why it is not possible; empty when it is."""
    tone: str = ""

    @property
    def is_possible(self) -> bool:
        """Tell whether the control is enabled."""
        return not self.reason


def run_actions(*, detail: Row, can: Mapping[str, Answer]) -> list[Action]:
    """List the actions on a run, in the order in which they are shown."""
    run = detail["id"]
    state = ExecutionState(detail["state"])
    control, undo = can["control_execution"], can["compensate_execution"]
    hold = "resume" if detail["paused"] else "pause"
    return [
        Action(
            key=hold,
            label=hold.capitalize(),
            address=reverse(f"run_{hold}", args=[run]),
            is_form=True,
            reason=_first(_missing(control), "The run has ended." if state.is_terminal else ""),
        ),
        Action(
            key="retry",
            label="Retry…",
            address=reverse("run_retry", args=[run]),
            reason=_first(_missing(control), _why_no_retry(state, detail)),
        ),
        Action(
            key="undo",
            label="Undo…",
            address=reverse("run_undo", args=[run]),
            reason=_first(_missing(undo), _why_no_undo(state, detail)),
            tone="undo",
        ),
        Action(
            key="cancel",
            label="Cancel…",
            address=reverse("run_cancel", args=[run]),
            reason=_first(_missing(can["cancel_execution"]), _why_no_cancel(state)),
            tone="danger",
        ),
    ]


def plan_actions(*, detail: Row, can: Mapping[str, Answer]) -> list[Action]:
    """List what a person can do with a plan that waits for one."""
    if detail["state"] != ExecutionState.PLANNING:
        return []
    run = detail["id"]
    return [
        Action(
            key="confirm-plan",
            label="Confirm plan…",
            address=reverse("run_confirm_plan", args=[run]),
            reason=_missing(can["compensate_execution"]),
            tone="undo",
        ),
        Action(
            key="reject-plan",
            label="Reject plan…",
            address=reverse("run_reject_plan", args=[run]),
            reason=_missing(can["break_glass"]),
            tone="danger",
        ),
    ]


def entry_actions(*, run: str, entry: Row, can: Mapping[str, Answer]) -> list[Action]:
    """List what a person can do with an undo that is stuck."""
    is_late = entry["state"] == EntryState.LATE_EFFECT
    labels = {
        "retry": "Undo it again…" if is_late else "Try again…",
        "amend": "Try again with other input…",
        "skip": "Skip…",
        "resolve": "Done by hand…",
        "to-manual": "Do it by hand…",
    }
    acts = ENTRY_ACTS.get(EntryState(entry["state"]), ())
    return [
        Action(
            key=act,
            label=labels[act],
            address=reverse("run_entry_act", args=[run, entry["id"], act]),
            reason=_missing(can["settle_compensation"]),
        )
        for act in acts
    ]


def settle_action(*, run: str, step: Row, can: Mapping[str, Answer]) -> Action | None:
    """Return the question “did this happen?” for a step whose outcome nobody knows."""
    if step["state"] != StepState.UNKNOWN:
        return None
    return Action(
        key="settle",
        label="Say what happened…",
        address=reverse("run_settle", args=[run, step["id"]]),
        reason=_missing(can["settle_compensation"]),
    )


def _missing(answer: Answer) -> str:
    return "" if answer.allowed else answer.reason


_RETRYABLE = frozenset(
    {
        ExecutionState.FAILED,
        ExecutionState.TIMED_OUT,
        ExecutionState.TERMINATED,
        ExecutionState.NEEDS_ATTENTION,
    }
)


def _first(*reasons: str) -> str:
    return next((reason for reason in reasons if reason), "")


def _why_no_retry(state: ExecutionState, detail: Row) -> str:
    if any(entry["state"] not in UNTOUCHED for entry in detail["ledger"]):
        return (
            "Something in this run was already undone, or is about to be, so it cannot go on from "
            "here. Start a new run."
        )
    if state not in _RETRYABLE:
        return "Only a run that failed, or waits for a person, can be tried again."
    return ""


def _why_no_undo(state: ExecutionState, detail: Row) -> str:
    if not state.is_terminal and state is not ExecutionState.NEEDS_ATTENTION:
        return "The run has not ended. Cancel it with undo instead."
    if state is ExecutionState.COMPENSATED:
        return "Everything that could be undone is undone."
    if not any(entry["state"] in ("ARMED", "UNCERTAIN", "SKIPPED") for entry in detail["ledger"]):
        return "There is nothing to undo."
    return ""


def _why_no_cancel(state: ExecutionState) -> str:
    if state.is_terminal:
        return "The run has ended."
    if state in (ExecutionState.STOPPING, ExecutionState.PLANNING, ExecutionState.COMPENSATING):
        return "The run is already being undone."
    return ""
