"""Approvals, pauses and undos that the engine does itself (§6, §7)."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.engine.outcomes import Failed
from orchestrator.engine.snapshot import (
    Answer,
    Claimed,
    EntryActed,
    PauseSet,
    UndoRequested,
    VerdictReached,
)
from orchestrator.engine.states import Direction
from tests.unit.engine.definitions import child, flow, fork, plain, saga, task, undone
from tests.unit.engine.driver import Run, World

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


def vote(run: Run, verdict: str, reference: str = "a") -> tuple[str, ...]:
    entry = run.step(reference)
    item = VerdictReached(
        entry_id=entry.id, approval_id=str(entry.approval_id), verdict=verdict, actor="ann"
    )
    return run.feed(item).refused


def test_approval_is_asked_for_what_will_be_sent():
    inputs = {"id": "${a.output.of}"}
    undo = {"policy": "APPROVAL", "tasks": [task("un_a", inputParameters=inputs)]}

    run = undoing(undo)

    assert (run.state, run.ledger()["a"], run.claimable()) == (
        "COMPENSATING",
        "AWAITING_APPROVAL",
        [],
    )
    (asked,) = run.approvals.values()
    assert (asked.undo_input, asked.endpoint, asked.triggered_by) == ({"id": "a"}, "un_a", "op")
    vote(run, "APPROVED")
    run.work("un_a")
    assert run.ledger()["a"] == "COMPENSATED"


def test_body_of_an_http_undo_is_what_people_see():
    request_ = {"uri": "http://x", "method": "POST", "body": {"n": 1}}
    call = task("un_a", "HTTP", inputParameters={"http_request": request_})

    run = undoing({"policy": "APPROVAL", "tasks": [call]})

    assert next(iter(run.approvals.values())).undo_input == {"n": 1}


@pytest.mark.parametrize(
    ("verdict", "entry"),
    [("SKIP", "SKIPPED"), ("MANUAL", "MANUAL"), ("NONSENSE", "AWAITING_APPROVAL")],
)
def test_people_may_say_no(verdict: str, entry: str):
    run = undoing({"policy": "APPROVAL"})

    vote(run, verdict)

    assert run.ledger()["a"] == entry


def test_second_verdict_is_refused():
    run = undoing({"policy": "APPROVAL"})
    vote(run, "APPROVED")

    assert vote(run, "SKIP") == (run.step("a").id,)


def test_approval_that_no_longer_holds_is_asked_for_again():
    run = undoing({"policy": "APPROVAL"})
    first = run.step("a").approval_id
    run.feed(PauseSet(paused=True, actor="op"))
    vote(run, "APPROVED")
    run.world.stale_approvals.add(str(first))
    run.feed(PauseSet(paused=False, actor="op"))

    assert run.ledger()["a"] == "AWAITING_APPROVAL"
    assert run.step("a").approval_id != first
    vote(run, "APPROVED")
    run.work("un_a")
    assert run.ledger()["a"] == "COMPENSATED"


def test_approval_is_checked_again_when_a_worker_asks():
    run = undoing({"policy": "APPROVAL"})
    vote(run, "APPROVED")
    undo = run.claimable()[0]
    run.world.stale_approvals.add(str(run.step("a").approval_id))

    refused = run.feed(Claimed(step_run_id=undo.id, worker="w")).refused

    assert refused == (undo.id,)
    assert (run.ledger()["a"], run.claimable()) == ("AWAITING_APPROVAL", [])
    vote(run, "APPROVED")
    run.work("un_a")
    assert run.ledger()["a"] == "COMPENSATED"


@pytest.mark.parametrize(
    ("answer", "entry"),
    [
        (Answer(value=False), "READY"),
        (Answer(value=True), "AWAITING_APPROVAL"),
        (Answer(value=None), "AWAITING_APPROVAL"),
        (Answer(error="boom", error_class="error"), "AWAITING_APPROVAL"),
    ],
)
def test_rule_that_is_not_plainly_false_asks_people(answer: Answer, entry: str):
    rule = {"evaluatorType": "javascript", "expression": "$.amount.value > 10"}
    undo = {"policy": "APPROVAL_IF", "approvalIf": rule}

    run = undoing(undo, world=World(evaluate=lambda _: answer))

    assert run.ledger()["a"] == entry


def test_handing_back_never_goes_past_the_people_who_must_agree():
    run = undoing({"policy": "APPROVAL"})
    vote(run, "MANUAL")
    run.world.stale_approvals.add(str(run.step("a").approval_id))

    act(run, "RETRY")

    assert run.ledger()["a"] == "AWAITING_APPROVAL"


def test_manual_undo_needs_a_person_at_once():
    run = undoing({"policy": "MANUAL", "approval": {"instructions": "call them"}})

    assert (run.state, run.step("a").entry_reason) == ("NEEDS_ATTENTION", "call them")
    act(run, "RESOLVE")
    run.work("un_p")
    assert run.state == "PARTIALLY_COMPENSATED"


def test_nothing_new_is_undone_while_paused():
    world = World()
    world.register(saga(undone("x"), name="inner"))
    branches = fork("f", [undone("a")], [child("s", "inner")])
    run = world.start(saga(branches))
    run.work("a")
    world.all[str(run.step("s").child_id)].work("x")
    world.settle()
    run.feed(PauseSet(paused=True, actor="op"))

    request(run)
    assert (run.claimable(), run.ledger()) == ([], {"a": "READY", "s": "PLANNED"})
    run.feed(PauseSet(paused=False, actor="op"))

    assert run.ledger() == {"a": "READY", "s": "RUNNING"}
    assert [step.reference for step in run.claimable()] == ["un_a"]


# ---- undos that the engine does itself -------------------------------------------------------


def test_undo_by_a_script():
    script = task(
        "un_a",
        "INLINE",
        inputParameters={"evaluatorType": "javascript", "expression": "1"},
    )
    world = World(evaluate=lambda _: Answer(value=1))

    run = undoing({"tasks": [script]}, world=world)

    assert run.ledger()["a"] == "COMPENSATED"


def test_undo_by_a_script_that_fails_is_tried_again_by_a_person():
    script = task(
        "un_a",
        "INLINE",
        inputParameters={"evaluatorType": "javascript", "expression": "1"},
    )
    answers = [Answer(error="boom", error_class="error"), Answer(value=1)]
    run = undoing({"tasks": [script]}, world=World(evaluate=lambda _: answers.pop(0)))
    assert run.ledger()["a"] == "COMPENSATION_FAILED"

    act(run, "RETRY")

    assert run.ledger()["a"] == "COMPENSATED"


def test_undo_that_waits():
    wait = task("un_a", "WAIT", inputParameters={"duration": "10 seconds"})
    run = undoing({"tasks": [wait]})
    assert (run.ledger()["a"], run.claimable()) == ("RUNNING", [])

    run.world.pass_time(10)

    assert run.ledger() == {"p": "READY", "a": "COMPENSATED"}


def test_undo_by_a_sub_workflow_is_retried_and_then_given_up():
    world = World()
    world.register(flow(plain("x", retryCount=0), name="inner"))
    retry = {"maximumAttempts": 2, "initialIntervalSeconds": 1}
    run = undoing({"tasks": [child("un_a", "inner")], "retry": retry}, world=world)

    first = str(run.step("un_a", UNDO).child_id)
    world.all[first].work("x", NO)
    world.settle()
    assert run.ledger()["a"] == "RETRY_WAIT"
    world.pass_time(2)
    second = str(run.step("un_a", UNDO).child_id)
    assert (second != first, run.ledger()["a"]) == (True, "RUNNING")
    world.all[second].work("x", NO)
    world.settle()
    assert run.ledger()["a"] == "COMPENSATION_FAILED"

    act(run, "RETRY")
    third = str(run.step("un_a", UNDO).child_id)
    world.all[third].work("x")
    world.settle()
    assert run.ledger()["a"] == "COMPENSATED"
