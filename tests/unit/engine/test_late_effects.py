"""Late effects: what a person may do about them, and what waits meanwhile (§2.3, §9, §12)."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.engine import keys
from orchestrator.engine.outcomes import Failed, Outcome, Succeeded, Unknown
from orchestrator.engine.snapshot import (
    AttemptEnded,
    Claimed,
    EntryActed,
    PlanConfirmed,
    StepRun,
    StepSettled,
    UndoRequested,
)
from orchestrator.engine.states import Direction
from tests.unit.engine.definitions import fork, saga, task, undone, work
from tests.unit.engine.driver import Run, World

WHO_KNOWS = Unknown(reason="who knows")
REFUSED = Failed(reason="no", terminal=True)
UNSAFE = {"safeIfNotApplied": False}
UNDO = Direction.COMPENSATION


def report(run: Run, step: StepRun, outcome: Outcome | None = None) -> None:
    """Report on the first attempt of a step run, however late."""
    done = outcome or Succeeded(output={"id": 9})
    run.feed(AttemptEnded(step_run_id=step.id, attempt_id=step.id, outcome=done))


def act(run: Run, action: str, reference: str = "a", **given: Any) -> tuple[str, ...]:
    entry = run.step(reference)
    item = EntryActed(entry_id=entry.id, action=action, actor="ann", reason="looked", **given)
    return run.feed(item).refused


def late_after_undo(*, undo: dict[str, Any] | None = None) -> Run:
    """Return a run whose undo of `a` was settled before the call of `a` landed."""
    run = World().start(saga(undone("a", undo=undo)))
    run.work("a", WHO_KNOWS)
    run.world.pass_time(30)
    run.work("un_a")
    assert run.state == "COMPENSATED"
    report(run, run.step("a"))
    return run


def test_late_effect_is_undone_again_in_a_new_round_with_a_new_key():
    run = late_after_undo()
    first = run.step("un_a", UNDO)

    act(run, "RETRY")
    assert (run.state, run.ledger()) == ("COMPENSATING", {"a": "READY"})
    run.work("un_a")

    second = run.step("un_a", UNDO)
    assert (first.round, second.round) == (0, 1)
    assert keys.undo_key(run.step("a").id, 1) != keys.undo_key(run.step("a").id, 0)
    assert first.id != second.id, "invariant 19"
    assert (run.state, run.ledger()) == ("COMPENSATED", {"a": "COMPENSATED"})
    assert [plan.command.trigger for plan in run.plans] == ["FAILURE", "LATE_EFFECT"]
    assert run.execution.outcome == "FAILED"


def test_step_whose_success_came_late_is_known_to_have_completed():
    run = late_after_undo()

    assert run.states() == {"a": "COMPLETED"}
    assert run.step("a").output == {"id": 9}


def test_undo_again_may_fail_and_is_then_a_failed_undo():
    run = late_after_undo()
    act(run, "RETRY")
    run.work("un_a", REFUSED)
    assert (run.state, run.ledger()) == ("NEEDS_ATTENTION", {"a": "COMPENSATION_FAILED"})

    act(run, "RESOLVE")

    assert run.state == "PARTIALLY_COMPENSATED"


def test_undo_again_asks_people_again():
    run = World().start(saga(undone("a", undo={"policy": "MANUAL"})))
    run.work("a", WHO_KNOWS)
    run.world.pass_time(30)
    act(run, "RETRY")
    run.work("un_a")
    report(run, run.step("a"))

    act(run, "RETRY")

    assert run.ledger() == {"a": "MANUAL"}


@pytest.mark.parametrize("action", ["SKIP", "TO_MANUAL", "AMEND"])
def test_late_effect_allows_nothing_else(action: str):
    run = late_after_undo()

    assert act(run, action, input={}) == (run.step("a").id,)
    assert run.ledger() == {"a": "LATE_EFFECT"}


def test_harmless_is_said_of_late_effects_alone():
    run = World().start(saga(undone("a")))
    run.work("a")
    run.feed(UndoRequested(actor="op", reason=""))
    run.work("un_a", REFUSED)

    assert act(run, "HARMLESS") == (run.step("a").id,)
    assert run.ledger() == {"a": "COMPENSATION_FAILED"}


def test_late_effect_of_what_was_void_is_undone_with_the_output_that_came():
    reads = {"tasks": [task("un_a", inputParameters={"id": "${a.output.id}"})], **UNSAFE}
    run = World().start(saga(undone("a", undo=reads)))
    run.work("a", WHO_KNOWS)
    step = run.step("a")
    run.feed(StepSettled(step_run_id=step.id, applied=False, actor="eve", reason=""))
    assert (run.state, run.ledger()) == ("FAILED", {"a": "VOID"})
    report(run, step)

    act(run, "RETRY")
    run.work("un_a")

    assert run.step("un_a", UNDO).input == {"id": 9}
    assert (run.state, run.ledger()) == ("COMPENSATED", {"a": "COMPENSATED"})


def test_two_late_effects_are_dealt_with_one_by_one():
    """Invariant 16: the run ends when both are settled; the later one is undone first."""
    run = World().start(saga(undone("a", optional=True), undone("b")))
    run.work("a", WHO_KNOWS)
    run.work("b", WHO_KNOWS)
    run.world.pass_time(30)
    run.work("un_b")
    run.work("un_a")
    report(run, run.step("a"))
    report(run, run.step("b"))
    assert run.ledger() == {"a": "LATE_EFFECT", "b": "LATE_EFFECT"}

    act(run, "RETRY", "a")
    assert (run.claimable(), run.state) == ([], "NEEDS_ATTENTION"), "invariant 8"
    act(run, "RETRY", "b")
    assert [step.reference for step in run.claimable()] == ["un_b"]
    run.work("un_b")
    run.work("un_a")

    assert run.state == "COMPENSATED"


def test_late_effect_beside_one_that_is_undone_again_keeps_the_run_open():
    run = World().start(saga(fork("f", [undone("a", optional=True)], [undone("b")])))
    run.work("a", WHO_KNOWS)
    run.work("b", WHO_KNOWS)
    run.world.pass_time(30)
    run.work("un_a")
    run.work("un_b")
    report(run, run.step("a"))
    report(run, run.step("b"))
    act(run, "RETRY", "a")

    run.work("un_a")
    assert (run.state, run.ledger()["b"]) == ("NEEDS_ATTENTION", "LATE_EFFECT")
    act(run, "HARMLESS", "b")

    assert run.state == "COMPENSATED"


def test_late_effect_while_others_are_undone_holds_back_what_came_before_it():
    """Invariant 8: a LATE_EFFECT entry is not settled, so its waiters wait again."""
    run = World().start(saga(undone("p"), undone("a")))
    run.work("p")
    run.work("a", WHO_KNOWS)
    run.world.pass_time(30)
    undo = run.claimable()[0]
    run.feed(Claimed(step_run_id=undo.id, worker="w"))
    report(run, run.step("a"))
    run.end(run.runs[undo.id], Succeeded())
    assert (run.state, run.ledger()) == (
        "NEEDS_ATTENTION",
        {"p": "PLANNED", "a": "LATE_EFFECT"},
    )

    act(run, "RETRY")
    assert run.ledger() == {"p": "PLANNED", "a": "READY"}
    run.work("un_a")
    run.work("un_p")

    assert (run.state, len(run.plans)) == ("COMPENSATED", 1)


def test_late_effect_of_a_settled_entry_holds_back_what_waited_for_it():
    run = World().start(saga(undone("p", undo={"policy": "MANUAL"}), undone("a")))
    run.work("p")
    run.work("a", WHO_KNOWS)
    run.world.pass_time(30)
    run.work("un_a")
    report(run, run.step("a"))
    assert run.ledger() == {"p": "MANUAL", "a": "LATE_EFFECT"}

    act(run, "RETRY", "p")
    assert (run.claimable(), run.state) == ([], "NEEDS_ATTENTION")
    act(run, "RESOLVE", "a")
    run.work("un_p")

    assert run.state == "PARTIALLY_COMPENSATED"


def test_late_success_after_the_undo_failed_makes_its_later_success_a_late_effect():
    """The call of the undo may have come before the effect: the same key says nothing (§2.3)."""
    run = World().start(saga(undone("a")))
    run.work("a", WHO_KNOWS)
    run.world.pass_time(30)
    run.work("un_a", REFUSED)
    report(run, run.step("a"))
    assert run.ledger() == {"a": "COMPENSATION_FAILED"}

    act(run, "RETRY")
    run.work("un_a")

    assert (run.state, run.ledger()) == ("NEEDS_ATTENTION", {"a": "LATE_EFFECT"})


def test_late_success_of_the_failed_undo_itself_is_a_late_effect_too():
    """Both were late, and nobody knows which came first; the plan goes on to its end (§2.3)."""
    run = World().start(saga(undone("a")))
    run.work("a", WHO_KNOWS)
    run.world.pass_time(30)
    run.work("un_a", REFUSED)
    report(run, run.step("a"))

    undo = run.step("un_a", UNDO)
    report(run, undo)

    assert (run.state, run.ledger()) == ("NEEDS_ATTENTION", {"a": "LATE_EFFECT"})
    act(run, "HARMLESS")
    assert (run.state, run.ledger()) == ("COMPENSATED", {"a": "COMPENSATED"})


def test_late_success_before_the_undo_is_handed_out_is_just_what_it_undoes():
    run = World().start(saga(undone("a")))
    run.work("a", WHO_KNOWS)
    run.world.pass_time(30)
    report(run, run.step("a"))
    assert run.ledger() == {"a": "READY"}

    run.work("un_a")

    assert (run.state, run.ledger()) == ("COMPENSATED", {"a": "COMPENSATED"})


def test_late_effect_in_a_run_that_goes_on_is_called_out_when_it_ends():
    """An optional step that was taken for failed; the run is not stopped for it."""
    run = World().start(saga(undone("a", optional=True, probe=task("look")), undone("b")))
    run.work("a", WHO_KNOWS)
    run.work("look", Succeeded(output={"applied": False}))
    report(run, run.step("a"))
    assert (run.state, run.ledger()["a"]) == ("RUNNING", "LATE_EFFECT")
    assert act(run, "RETRY") == (run.step("a").id,)

    run.work("b")
    assert run.state == "NEEDS_ATTENTION"
    act(run, "RETRY")
    run.work("un_a")

    assert (run.state, run.execution.outcome) == ("PARTIALLY_COMPENSATED", "COMPLETED")
    assert run.ledger() == {"a": "COMPENSATED", "b": "ARMED"}


def test_plan_made_beside_a_late_effect_waits_for_the_person():
    run = World().start(
        saga(undone("p"), undone("a", optional=True, probe=task("look")), work("z"))
    )
    run.work("p")
    run.work("a", WHO_KNOWS)
    run.work("look", Succeeded(output={"applied": False}))
    report(run, run.step("a"))

    run.work("z", REFUSED)
    assert (run.claimable(), run.state) == ([], "NEEDS_ATTENTION")
    act(run, "HARMLESS")
    run.work("un_p")

    assert run.state == "COMPENSATED"


def test_late_success_of_a_step_without_an_undo_is_recorded():
    run = World().start(saga(undone("a"), task("mail", effect="IRREVERSIBLE", retryCount=0)))
    run.work("a")
    run.work("mail", WHO_KNOWS)
    run.work("un_a")

    report(run, run.step("mail"))

    assert run.state == "COMPENSATED"
    assert (run.states()["mail"], len(run.late)) == ("COMPLETED", 1)


def test_undo_again_of_one_entry_needs_no_confirmation_of_a_plan():
    """A named person has asked for exactly this undo (§5, `confirmPlan`)."""
    run = World().start(saga(undone("a"), settings={"confirmPlan": "ALWAYS"}))
    run.work("a", WHO_KNOWS)
    plan = run.plans[0].command
    run.feed(PlanConfirmed(hash=plan.hash, actor="op", reason="yes"))
    run.world.pass_time(30)
    run.work("un_a")
    report(run, run.step("a"))

    act(run, "RETRY")
    run.work("un_a")

    assert (run.state, len(run.plans)) == ("COMPENSATED", 2)
