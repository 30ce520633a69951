"""`confirmPlan`: a person starts the plan or rejects it (saga-semantics §5)."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.engine.outcomes import Failed
from orchestrator.engine.snapshot import (
    Answer,
    Cancelled,
    EntryActed,
    ParentSpoke,
    PlanConfirmed,
    PlanRejected,
    RetryRequested,
    UndoRequested,
)
from tests.unit.engine.definitions import child, saga, undone
from tests.unit.engine.driver import Run, World

NO = Failed(reason="no", terminal=True)
ALWAYS = {"confirmPlan": "ALWAYS"}


def failed(settings: Any = None, *, world: World | None = None) -> Run:
    """Return a run of `p` and `a` in which `a` has failed."""
    run = (world or World()).start(saga(undone("p"), undone("a"), settings=settings or ALWAYS))
    run.work("p")
    run.work("a", NO)
    return run


def confirm(run: Run, plan_hash: str | None = None) -> tuple[str, ...]:
    key = plan_hash or run.plans[-1].command.hash
    return run.feed(PlanConfirmed(hash=key, actor="op", reason="go")).refused


def reject(run: Run, plan_hash: str | None = None) -> tuple[str, ...]:
    key = plan_hash or run.plans[-1].command.hash
    return run.feed(PlanRejected(hash=key, actor="boss", reason="leave it")).refused


def test_a_plan_waits_and_nothing_of_it_is_sent():
    run = failed()
    assert (run.state, run.ledger()) == ("PLANNING", {"p": "PLANNED", "a": "VOID"})
    assert run.claimable() == []


def test_confirmed_the_plan_is_carried_out():
    run = failed()
    assert confirm(run) == ()
    assert run.state == "COMPENSATING"
    run.work("un_p")
    assert run.state == "COMPENSATED"


def test_rejected_the_run_ends_as_its_outcome_says_and_can_be_undone_later():
    run = failed()
    assert reject(run) == ()
    assert (run.state, run.ledger()["p"], run.plans[0].state) == ("FAILED", "ARMED", "REJECTED")

    run.feed(UndoRequested(actor="op", reason="after all"))
    assert (run.state, run.plans[1].command.number) == ("PLANNING", 2)
    confirm(run)
    run.work("un_p")
    assert run.state == "COMPENSATED"


def test_a_rejected_plan_leaves_the_run_free_to_be_retried():
    run = failed()
    reject(run)
    run.feed(RetryRequested(actor="op", reason="again"))
    run.work("a")
    assert (run.state, run.ledger()) == ("COMPLETED", {"p": "ARMED", "a": "ARMED"})


def test_another_plan_than_waits_is_neither_confirmed_nor_rejected():
    run = failed()
    assert confirm(run, "other") == ("other",)
    assert reject(run, "other") == ("other",)
    assert run.state == "PLANNING"


def test_a_plan_that_runs_is_not_confirmed_or_rejected_again():
    run = failed()
    confirm(run)
    assert confirm(run)
    assert reject(run)
    assert run.state == "COMPENSATING"


def test_a_completed_run_is_completed_again_when_its_plan_is_rejected():
    run = World().start(saga(undone("a"), settings=ALWAYS))
    run.work("a")
    run.feed(UndoRequested(actor="op", reason="undo it"))
    reject(run)
    assert (run.state, run.ledger()) == ("COMPLETED", {"a": "ARMED"})


def test_a_waived_entry_is_waived_again_when_the_next_plan_is_rejected():
    run = World().start(saga(undone("p"), undone("a", undo={"policy": "MANUAL"}), settings=ALWAYS))
    run.work("p")
    run.work("a")
    run.feed(UndoRequested(actor="op", reason="undo it"))
    confirm(run)
    entry = run.step("a")
    run.feed(EntryActed(entry_id=entry.id, action="SKIP", actor="op", reason="no need"))
    run.work("un_p")
    run.feed(UndoRequested(actor="op", reason="after all"))
    assert run.state == "PLANNING"
    reject(run)
    assert (run.state, run.ledger()["a"]) == ("PARTIALLY_COMPENSATED", "SKIPPED")


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (Answer(value=False), "COMPENSATING"),
        (Answer(value=True), "PLANNING"),
        (Answer(value=None), "PLANNING"),
        (Answer(error="boom", error_class="error"), "PLANNING"),
    ],
)
def test_only_a_plain_no_of_the_rule_starts_the_plan(answer: Answer, state: str):
    asked: list[Any] = []

    def evaluate(question: Any) -> Answer:
        asked.append(question.data)
        return answer

    rule = {"evaluatorType": "javascript", "expression": "$.amount.value > 5"}
    run = failed({"confirmPlan": rule}, world=World(evaluate=evaluate))
    assert run.state == state
    assert asked[0]["plan"] == {"trigger": "FAILURE", "entries": 1, "amounts": {}}


def test_a_rule_may_name_an_input():
    rule = {"evaluatorType": "value-param", "expression": "careful"}
    for given, state in ((False, "COMPENSATING"), (True, "PLANNING"), (None, "PLANNING")):
        run = World().start(saga(undone("a"), settings={"confirmPlan": rule}), careful=given)
        run.work("a")
        run.feed(UndoRequested(actor="op", reason="undo it"))
        assert run.state == state


def test_a_cancel_without_undo_does_not_drop_a_plan_that_waits():
    run = failed()
    run.feed(Cancelled(compensate=False, actor="op", reason="stop"))
    assert run.state == "PLANNING"


def test_a_child_under_its_parents_plan_does_not_ask_again():
    world = World()
    world.register(saga(undone("inner"), name="kid", settings=ALWAYS))
    run = world.start(saga(child("sub", "kid"), undone("b"), settings=ALWAYS))
    kid = next(each for each in world.all.values() if each is not run)
    kid.work("inner")
    world.settle()
    run.work("b", NO)
    assert run.state == "PLANNING"

    confirm(run)
    world.settle()
    assert kid.state == "COMPENSATING"
    kid.work("un_inner")
    world.settle()
    assert (kid.state, run.state) == ("COMPENSATED", "COMPENSATED")


def test_a_childs_plan_that_waits_is_started_by_its_parents():
    world = World()
    world.register(saga(undone("inner"), name="kid", settings=ALWAYS))
    run = world.start(saga(child("sub", "kid"), undone("b")))
    kid = next(each for each in world.all.values() if each is not run)
    kid.work("inner")
    world.settle()
    kid.feed(UndoRequested(actor="op", reason="this part only"))
    assert kid.state == "PLANNING"

    run.work("b", NO)
    world.settle()
    assert kid.state == "COMPENSATING"


def test_the_parents_word_starts_nothing_where_nothing_waits():
    run = World().start(saga(undone("a"), settings=ALWAYS))
    run.feed(ParentSpoke(undo=True, stop=False, reason="now"))
    assert run.state != "PLANNING"
