"""What can be done to a run, and the sentence when it cannot."""

from typing import Any

import pytest

from orchestrator.access.policy import Answer
from orchestrator.views.actions import entry_actions, run_actions, settle_action

RUN = "0198aaaa-0000-7000-8000-000000000001"
ENTRY = "0198aaaa-0000-7000-8000-000000000002"
MAY = Answer(allowed=True, reason="")
MAY_NOT = Answer(allowed=False, reason="For this you need the role operator.")
RIGHTS = (
    "control_execution",
    "compensate_execution",
    "cancel_execution",
    "settle_compensation",
    "break_glass",
)


def rights(answer: Answer) -> dict[str, Answer]:
    return dict.fromkeys(RIGHTS, answer)


def possible(detail: dict[str, Any]) -> list[str]:
    found = run_actions(detail={"id": RUN, "paused": False, "ledger": []} | detail, can=rights(MAY))
    return [action.key for action in found if action.is_possible]


@pytest.mark.parametrize(
    ("detail", "keys"),
    [
        ({"state": "RUNNING"}, ["pause", "cancel"]),
        ({"state": "RUNNING", "paused": True}, ["resume", "cancel"]),
        ({"state": "COMPENSATING"}, ["pause"]),
        ({"state": "FAILED"}, ["retry"]),
        ({"state": "COMPLETED", "ledger": [{"state": "ARMED"}]}, ["undo"]),
        ({"state": "COMPLETED"}, []),
        ({"state": "COMPENSATED", "ledger": [{"state": "COMPENSATED"}]}, []),
        ({"state": "FAILED", "ledger": [{"state": "COMPENSATED"}]}, []),
        (
            {"state": "NEEDS_ATTENTION", "ledger": [{"state": "ARMED"}]},
            ["pause", "retry", "undo", "cancel"],
        ),
    ],
)
def test_possible_actions(detail: dict[str, Any], keys: list[str]) -> None:
    assert possible(detail) == keys


def test_without_the_right_each_action_says_which_role_is_missing() -> None:
    detail = {"id": RUN, "state": "RUNNING", "paused": False, "ledger": []}

    found = run_actions(detail=detail, can=rights(MAY_NOT))

    assert {action.reason for action in found} == {"For this you need the role operator."}


def test_retry_after_an_undo_is_refused_with_the_reason() -> None:
    detail = {
        "id": RUN,
        "state": "FAILED",
        "paused": False,
        "ledger": [{"state": "COMPENSATED"}],
    }

    retry = {action.key: action for action in run_actions(detail=detail, can=rights(MAY))}["retry"]

    assert "undone" in retry.reason


@pytest.mark.parametrize(
    ("state", "acts"),
    [
        ("COMPENSATION_FAILED", ["retry", "amend", "skip", "resolve", "to-manual"]),
        ("MANUAL", ["retry", "skip", "resolve"]),
        ("LATE_EFFECT", ["retry", "resolve"]),
        ("RUNNING", []),
        ("COMPENSATED", []),
    ],
)
def test_a_stuck_undo_can_be_moved_on(state: str, acts: list[str]) -> None:
    entry = {"id": ENTRY, "state": state}

    found = entry_actions(run=RUN, entry=entry, can=rights(MAY))

    assert [action.key for action in found] == acts


def test_only_an_unknown_outcome_is_asked_about() -> None:
    unknown = {"id": ENTRY, "state": "UNKNOWN"}
    known = {"id": ENTRY, "state": "FAILED"}

    assert settle_action(run=RUN, step=unknown, can=rights(MAY)) is not None
    assert settle_action(run=RUN, step=known, can=rights(MAY)) is None
