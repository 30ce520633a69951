"""Each entry's road from PLANNED to settled: policies, people, failures, operators (§6, §7, §9)."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.engine.outcomes import Failed, Succeeded, Unknown
from orchestrator.engine.snapshot import (
    AttemptEnded,
    Claimed,
    EntryActed,
    StepDue,
    UndoRequested,
)
from orchestrator.engine.states import Direction, StepState
from tests.unit.engine.definitions import saga, task, undone
from tests.unit.engine.driver import Run, World

REFUSED = Failed(reason="no", terminal=True)
NO = Failed(reason="no")
UNDO = Direction.COMPENSATION


def undoing(undo: dict[str, Any] | None = None, *, world: World | None = None, **keys: Any) -> Run:
    """Return a completed run of `p` and `a` that is being undone from the end."""
    run = (world or World()).start(saga(undone("p"), undone("a", undo=undo), **keys))
    run.work("p")
    run.work("a")
    request(run)
    return run


def request(run: Run, *entries: str) -> None:
    chosen = frozenset(run.step(name).id for name in entries) if entries else None
    run.feed(UndoRequested(actor="op", reason="undo it", entries=chosen))


def act(run: Run, action: str, reference: str = "a") -> tuple[str, ...]:
    entry = run.step(reference)
    item = EntryActed(entry_id=entry.id, action=action, actor="ann", reason="because")
    return run.feed(item).refused


def test_completed_run_is_undone_on_request():
    run = undoing()
    run.work("un_a")
    run.work("un_p")

    assert (run.state, run.execution.outcome) == ("COMPENSATED", "COMPLETED")
    assert run.plans[0].state == "SETTLED"
    assert run.plans[0].command.trigger == "REQUEST"


def test_chosen_entries_leave_the_rest_for_another_request():
    run = World().start(saga(undone("p"), undone("a")))
    run.work("p")
    run.work("a")

    request(run, "a")
    run.work("un_a")
    assert (run.state, run.ledger()) == (
        "PARTIALLY_COMPENSATED",
        {"p": "ARMED", "a": "COMPENSATED"},
    )

    request(run)
    run.work("un_p")
    assert run.state == "COMPENSATED"


def test_skipped_entry_may_be_asked_for_again_in_a_new_round():
    run = undoing({"policy": "MANUAL"})
    act(run, "SKIP")
    run.work("un_p")
    assert (run.state, run.ledger()["a"]) == ("PARTIALLY_COMPENSATED", "SKIPPED")

    request(run)
    act(run, "RETRY")
    run.work("un_a")

    assert (run.state, run.step("a").round) == ("COMPENSATED", 1)


def test_undo_is_retried_by_its_own_policy_and_counter():
    run = undoing({"retry": {"maximumAttempts": 3, "initialIntervalSeconds": 4}})
    for _ in range(2):
        run.work("un_a", NO)
        assert run.ledger()["a"] == "RETRY_WAIT"
        run.world.pass_time(16)
    run.work("un_a", Unknown(reason="?"))

    assert (run.ledger(), run.step("a").undo_attempts) == (
        {"p": "PLANNED", "a": "COMPENSATION_FAILED"},
        3,
    )
    assert run.state == "NEEDS_ATTENTION"


def test_terminal_refusal_skips_the_rest_of_the_attempts():
    run = undoing()

    run.work("un_a", REFUSED)

    assert (run.state, run.ledger()["a"]) == ("NEEDS_ATTENTION", "COMPENSATION_FAILED")


def test_undo_whose_worker_goes_away_is_tried_again_with_its_key():
    run = undoing()
    undo = run.claimable()[0]
    run.feed(Claimed(step_run_id=undo.id, worker="w"))
    due_at = run.runs[undo.id].due_at
    assert due_at is not None
    run.world.now = due_at

    run.feed(StepDue(step_run_id=undo.id))

    assert run.runs[undo.id].state is StepState.RETRY_WAIT
    assert run.ledger()["a"] == "RETRY_WAIT"


def test_undo_that_fails_may_let_others_go_on():
    run = undoing({"onFailure": "CONTINUE"})
    run.work("un_a", REFUSED)
    run.work("un_p")
    assert (run.state, run.ledger()) == (
        "NEEDS_ATTENTION",
        {"p": "COMPENSATED", "a": "COMPENSATION_FAILED"},
    )

    act(run, "RETRY")
    assert run.state == "COMPENSATING"
    run.work("un_a")

    assert run.state == "COMPENSATED"


@pytest.mark.parametrize(
    ("action", "entry", "state"),
    [
        ("SKIP", "SKIPPED", "PARTIALLY_COMPENSATED"),
        ("RESOLVE", "RESOLVED_MANUALLY", "PARTIALLY_COMPENSATED"),
        ("RETRY", "COMPENSATED", "COMPENSATED"),
    ],
)
@pytest.mark.parametrize("by_hand", [False, True])
def test_operator_settles_what_failed(action: str, entry: str, state: str, by_hand: bool):  # noqa: FBT001
    """Invariant 37."""
    run = undoing()
    run.work("un_a", REFUSED)
    if by_hand:
        act(run, "TO_MANUAL")
        assert run.ledger()["a"] == "MANUAL"

    act(run, action)
    while steps := run.claimable():
        run.work(steps[0].reference)

    assert (run.ledger()["a"], run.state) == (entry, state)


def test_operator_acts_only_on_what_is_stuck():
    run = undoing()

    assert act(run, "SKIP") == (run.step("a").id,)
    assert act(run, "SKIP", "p") == (run.step("p").id,)
    run.work("un_a", REFUSED)
    assert act(run, "NONSENSE") == (run.step("a").id,)


def test_retry_of_an_undo_with_several_steps_goes_on_where_it_failed():
    run = undoing({"tasks": [task("un_a1"), task("un_a2")]})
    run.work("un_a1")
    run.work("un_a2", REFUSED)

    act(run, "RETRY")

    assert [step.reference for step in run.claimable()] == ["un_a2"]
    assert run.claimable()[0].attempt == 2
    run.work("un_a2")
    assert run.ledger()["a"] == "COMPENSATED"


def test_definite_late_success_settles_a_failed_undo():
    """Invariant 37."""
    run = undoing({"retry": {"maximumAttempts": 1}})
    run.work("un_a", Unknown(reason="?"))
    undo = run.step("un_a", UNDO)

    run.feed(AttemptEnded(step_run_id=undo.id, attempt_id=undo.attempt_id, outcome=Succeeded()))

    assert (run.ledger(), run.state) == ({"p": "READY", "a": "COMPENSATED"}, "COMPENSATING")
