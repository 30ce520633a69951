"""Results that come late (saga-semantics §12)."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.engine.outcomes import Failed, Outcome, Succeeded, Unknown
from orchestrator.engine.snapshot import (
    AttemptEnded,
    Cancelled,
    Claimed,
    EntryActed,
    StepRun,
    StepSettled,
    UndoRequested,
)
from orchestrator.engine.states import Direction, EntryState
from tests.unit.engine.definitions import saga, task, undone
from tests.unit.engine.driver import Run, World

WHO_KNOWS = Unknown(reason="who knows")
UNSAFE = {"safeIfNotApplied": False}


def start(*, undo: dict[str, Any] | None = None, **keys: Any) -> Run:
    """Start `a`, whose outcome becomes unknown, before `b`."""
    run = World().start(saga(undone("a", undo=undo, **keys), undone("b")))
    run.work("a", WHO_KNOWS)
    return run


def report(run: Run, step: StepRun, outcome: Outcome) -> None:
    run.feed(AttemptEnded(step_run_id=step.id, attempt_id=step.id, outcome=outcome))


def test_late_success_before_the_undo_is_sent_arms_the_entry():
    run = start(undo=UNSAFE)

    report(run, run.step("a"), Succeeded(output={"id": 1}))

    assert run.states() == {"a": "COMPLETED"}
    assert run.step("a").output == {"id": 1}
    assert (run.state, run.ledger()) == ("COMPENSATING", {"a": "READY"})


def test_late_success_of_an_optional_step_is_not_followed_twice():
    run = start(optional=True)

    report(run, run.step("a"), Succeeded())

    assert run.states() == {"a": "COMPLETED", "b": "SCHEDULED"}
    run.work("b")
    assert run.state == "COMPLETED"


def test_late_success_after_the_undo_is_a_late_effect():
    run = start()
    run.world.pass_time(30)
    run.work("un_a")

    report(run, run.step("a"), Succeeded())

    assert run.ledger() == {"a": "LATE_EFFECT"}
    assert run.state == "NEEDS_ATTENTION"


def test_late_success_while_the_undo_is_in_flight_counts_when_it_settles():
    run = start()
    run.world.pass_time(30)
    undo = run.claimable()[0]
    run.feed(Claimed(step_run_id=undo.id, worker="w"))
    report(run, run.step("a"), Succeeded())
    assert run.ledger() == {"a": "RUNNING"}

    run.end(run.step("un_a", Direction.COMPENSATION), Succeeded())

    assert run.ledger() == {"a": "LATE_EFFECT"}
    assert run.state == "NEEDS_ATTENTION"


@pytest.mark.parametrize(
    ("action", "state"), [("HARMLESS", "COMPENSATED"), ("RESOLVE", "PARTIALLY_COMPENSATED")]
)
def test_person_settles_a_late_effect(action: str, state: str):
    run = start()
    run.world.pass_time(30)
    run.work("un_a")
    report(run, run.step("a"), Succeeded())

    act = EntryActed(entry_id=run.step("a").id, action=action, actor="ann", reason="looked")
    run.feed(act)

    assert run.state == state
    assert run.feed(act).refused == (run.step("a").id,)


def test_late_success_of_what_was_thought_not_to_have_happened():
    run = start(undo=UNSAFE)
    step = run.step("a")
    run.feed(StepSettled(step_run_id=step.id, applied=False, actor="eve", reason=""))
    assert run.state == "FAILED"

    report(run, step, Succeeded())
    assert (run.state, run.ledger()) == ("NEEDS_ATTENTION", {"a": "LATE_EFFECT"})
    run.feed(EntryActed(entry_id=step.id, action="RESOLVE", actor="ann", reason="by hand"))

    assert (run.state, run.ledger()) == ("FAILED", {"a": "RESOLVED_MANUALLY"})


def test_success_told_twice_after_the_undo_is_no_late_effect():
    run = World().start(saga(undone("a")))
    run.work("a")
    run.feed(UndoRequested(actor="op", reason=""))
    run.work("un_a")

    report(run, run.step("a"), Succeeded())

    assert (run.state, run.step("a").entry_state) == ("COMPENSATED", EntryState.COMPENSATED)


def test_late_success_of_the_attempt_before_changes_nothing_while_another_runs():
    run = start(retryCount=1)

    report(run, run.step("a"), Succeeded())

    assert run.states() == {"a": "RETRY_WAIT"}
    assert len(run.late) == 1


def test_result_of_the_attempt_before_does_not_end_the_one_in_flight():
    run = start(retryCount=1)
    before = run.step("a")
    run.world.pass_time(60)
    run.feed(Claimed(step_run_id=before.id, worker="w"))
    assert run.states() == {"a": "DISPATCHED"}

    report(run, before, Succeeded())

    assert run.states() == {"a": "DISPATCHED"}
    assert [late.attempt_id for late in run.late] == [before.id]


def test_answer_to_a_question_that_was_not_asked_is_refused():
    run = World().start(saga(undone("a")))

    decision = run.feed(
        StepSettled(step_run_id=run.step("a").id, applied=True, actor="eve", reason="")
    )

    assert decision.refused == (run.step("a").id,)


def test_question_is_dropped_by_a_cancel_without_undo():
    run = start(undo=UNSAFE)

    run.feed(Cancelled(compensate=False, actor="op", reason="leave it"))

    assert (run.state, run.ledger()) == ("FAILED", {"a": "UNCERTAIN"})


NO = Failed(reason="it was refused")


def test_late_failure_of_the_only_attempt_answers_the_question():
    """§2.2: UNKNOWN becomes FAILED by a late result; invariants 4 and 20."""
    run = start(undo=UNSAFE)
    assert run.state == "NEEDS_ATTENTION"

    report(run, run.step("a"), NO)

    assert (run.state, run.ledger()) == ("FAILED", {"a": "VOID"})
    assert (run.states(), run.step("a").reason) == ({"a": "FAILED"}, "it was refused")


def test_late_failure_says_nothing_about_other_attempts():
    run = start(undo=UNSAFE, retryCount=1)
    first = run.step("a")
    run.world.pass_time(60)
    run.work("a", WHO_KNOWS)
    assert run.state == "NEEDS_ATTENTION"

    run.feed(AttemptEnded(step_run_id=first.id, attempt_id=first.id, outcome=NO))

    assert (run.state, run.ledger()) == ("NEEDS_ATTENTION", {"a": "UNCERTAIN"})


def test_late_failure_by_halves_stays_uncertain():
    run = start(undo=UNSAFE)

    report(run, run.step("a"), Failed(reason="half", partial=True))

    assert run.ledger() == {"a": "UNCERTAIN"}


def test_late_failure_while_it_is_probed_lets_the_step_be_retried():
    run = start(probe=task("look"), retryCount=1)

    report(run, run.step("a"), NO)
    assert run.states() == {"a": "RETRY_WAIT"}
    run.work("look", Succeeded(output={"applied": True}))
    assert run.states() == {"a": "RETRY_WAIT"}
    run.world.pass_time(60)
    run.work("a")

    assert run.states() == {"a": "COMPLETED", "b": "SCHEDULED"}


def test_late_failure_of_an_optional_step_lets_the_run_go_on():
    run = start(optional=True)

    report(run, run.step("a"), NO)

    assert run.states() == {"a": "FAILED", "b": "SCHEDULED"}
    assert run.ledger()["a"] == "VOID"


def test_late_failure_takes_nothing_out_of_a_plan():
    run = start()
    assert run.ledger() == {"a": "DELAYED"}

    report(run, run.step("a"), NO)

    assert run.ledger() == {"a": "DELAYED"}
