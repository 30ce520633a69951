"""RETRY_AMENDED: a failed undo is tried again with another input (saga-semantics §7, §9)."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.engine.outcomes import Failed, Outcome, Succeeded, Unknown
from orchestrator.engine.snapshot import (
    Answer,
    Claimed,
    EntryActed,
    StepDue,
    StepSettled,
    UndoRequested,
    VerdictReached,
)
from orchestrator.engine.states import Direction
from tests.unit.engine.definitions import saga, task, undone
from tests.unit.engine.driver import Run, World

REFUSED = Failed(reason="wrong amount", terminal=True)
LOST = Unknown(reason="?")
UNDO = Direction.COMPENSATION
ONCE = {"retry": {"maximumAttempts": 1}}
MAPPED = {"tasks": [task("un_a", inputParameters={"amount": 5})], **ONCE}


def stuck(
    undo: dict[str, Any] | None = None, outcome: Outcome = REFUSED, world: World | None = None
) -> Run:
    """Return a run whose undo of `a` has failed."""
    run = (world or World()).start(saga(undone("p"), undone("a", undo={**MAPPED, **(undo or {})})))
    run.work("p")
    run.work("a")
    run.feed(UndoRequested(actor="op", reason="undo it"))
    run.work("un_a", outcome)
    assert run.ledger()["a"] == "COMPENSATION_FAILED"
    return run


def amend(run: Run, given: dict[str, Any], *, not_applied: bool = False) -> tuple[str, ...]:
    entry = run.step("a")
    item = EntryActed(
        entry_id=entry.id,
        action="AMEND",
        actor="ann",
        reason="typo",
        input=given,
        not_applied=not_applied,
    )
    return run.feed(item).refused


def test_amended_input_is_sent_in_a_new_round():
    run = stuck()

    amend(run, {"amount": 4})
    run.work("un_a")

    undo = run.step("un_a", UNDO)
    assert (undo.input, undo.round) == ({"amount": 4}, 1), "invariant 19: a new key"
    assert run.ledger() == {"p": "READY", "a": "COMPENSATED"}


def test_original_input_stays_readable():
    """Invariant 33, also when it is amended twice."""
    run = stuck()
    amend(run, {"amount": 4})
    run.work("un_a", REFUSED)

    amend(run, {"amount": 3})

    assert run.step("a").undo_input == {"input": {"amount": 3}, "original": {"amount": 5}}


def test_amended_undo_has_its_own_attempts():
    """Invariant 36: the counter of a round begins at 0."""
    run = stuck({"retry": {"maximumAttempts": 2}}, REFUSED)
    amend(run, {"amount": 4})

    run.work("un_a", Failed(reason="again"))

    assert run.ledger()["a"] == "RETRY_WAIT"


def test_amending_is_refused_while_an_attempt_is_unknown():
    """Invariant 38."""
    run = stuck(outcome=LOST)

    assert amend(run, {"amount": 4}) == (run.step("a").id,)
    assert (run.ledger()["a"], run.step("a").round) == ("COMPENSATION_FAILED", 0)
    assert amend(run, {"amount": 4}, not_applied=True) == ()
    assert run.ledger()["a"] == "READY"


def test_lost_lease_leaves_an_undo_unknown():
    run = World().start(saga(undone("a", undo=MAPPED)))
    run.work("a")
    run.feed(UndoRequested(actor="op", reason=""))
    undo = run.claimable()[0]
    run.feed(Claimed(step_run_id=undo.id, worker="w"))
    due_at = run.runs[undo.id].due_at
    assert due_at is not None
    run.world.now = due_at
    run.feed(StepDue(step_run_id=undo.id))

    assert amend(run, {"amount": 4}) == (run.step("a").id,)


def test_unknown_attempt_before_a_definite_one_counts():
    run = World().start(saga(undone("a", undo={**MAPPED, "retry": {"maximumAttempts": 2}})))
    run.work("a")
    run.feed(UndoRequested(actor="op", reason=""))
    run.work("un_a", LOST)
    run.world.pass_time(60)
    run.work("un_a", REFUSED)

    assert amend(run, {"amount": 4}) == (run.step("a").id,)


def test_undo_of_which_a_step_was_applied_is_not_begun_anew():
    run = stuck_at_second_step()

    assert amend(run, {"amount": 4}) == (run.step("a").id,)


def stuck_at_second_step() -> Run:
    undo = {"tasks": [task("un_a"), task("un_a2")], **ONCE}
    run = World().start(saga(undone("a", undo=undo)))
    run.work("a")
    run.feed(UndoRequested(actor="op", reason=""))
    run.work("un_a")
    run.work("un_a2", REFUSED)
    return run


def test_amended_undo_with_several_steps_begins_with_the_first():
    run = stuck_at_second_step()

    amend(run, {"amount": 4}, not_applied=True)
    run.work("un_a")
    run.work("un_a2")

    assert run.step("un_a", UNDO).input == {"amount": 4}
    assert run.step("un_a2", UNDO).input == {}
    assert run.state == "COMPENSATED"


def test_policy_is_asked_again_about_the_amended_input():
    """§7: an amendment may need people although the first input did not."""
    asked: list[Any] = []

    def big(question: Any) -> Answer:
        asked.append(question.data["compensationInput"]["amount"])
        return Answer(value=asked[-1] > 10)

    rule = {"evaluatorType": "javascript", "expression": "$.compensationInput.amount > 10"}
    run = stuck({"policy": "APPROVAL_IF", "approvalIf": rule}, world=World(evaluate=big))
    assert set(asked) == {5}

    amend(run, {"amount": 12})

    assert (run.ledger()["a"], asked[-1]) == ("AWAITING_APPROVAL", 12)
    request = next(iter(run.approvals.values()))
    assert (request.undo_input, request.original_input, request.round) == (
        {"amount": 12},
        {"amount": 5},
        1,
    )


def test_approval_of_the_first_input_does_not_hold_for_another():
    """Invariants 29 and 30."""
    run = World().start(saga(undone("a", undo={**MAPPED, "policy": "APPROVAL"})))
    run.work("a")
    run.feed(UndoRequested(actor="op", reason=""))
    approve(run)
    run.work("un_a", REFUSED)

    amend(run, {"amount": 4})
    assert (run.ledger(), run.claimable()) == ({"a": "AWAITING_APPROVAL"}, [])
    approve(run)
    run.work("un_a")

    assert run.state == "COMPENSATED"


def approve(run: Run) -> None:
    entry = run.step("a")
    assert entry.approval_id is not None
    run.feed(
        VerdictReached(
            entry_id=entry.id, approval_id=entry.approval_id, verdict="APPROVED", actor="bob"
        )
    )


@pytest.mark.parametrize(
    ("inputs", "sent"),
    [
        (
            {"http_request": {"uri": "http://x", "method": "POST", "body": {"n": 1}}},
            {"http_request": {"uri": "http://x", "method": "POST", "body": {"n": 2}}},
        ),
        (
            {"uri": "http://x", "method": "POST", "body": {"n": 1}},
            {"uri": "http://x", "method": "POST", "body": {"n": 2}},
        ),
        (
            {"uri": "http://x", "method": "POST"},
            {"uri": "http://x", "method": "POST", "body": {"n": 2}},
        ),
    ],
)
def test_amended_input_of_an_http_undo_is_its_body(inputs: dict[str, Any], sent: dict[str, Any]):
    call = {"tasks": [task("un_a", "HTTP", inputParameters=inputs)], **ONCE}
    run = stuck(call, world=World(queues={("HTTP", "un_a"): "http"}))

    amend(run, {"n": 2})

    assert run.step("un_a", UNDO).input == sent


def test_amended_body_that_was_no_object_is_put_in_its_place():
    inputs = {"http_request": {"uri": "http://x", "method": "POST", "body": "one"}}
    call = {"tasks": [task("un_a", "HTTP", inputParameters=inputs)], **ONCE}
    run = stuck(call, world=World(queues={("HTTP", "un_a"): "http"}))

    amend(run, {"body": "two"})

    assert run.step("un_a", UNDO).input["http_request"]["body"] == "two"
    assert run.step("a").undo_input == {"input": {"body": "two"}, "original": {"body": "one"}}


def test_undo_that_lacks_the_output_it_reads_is_not_called_with_holes():
    """§8: somebody said that it happened, and not with which output."""
    reads = {"tasks": [task("un_a", inputParameters={"id": "${a.output.id}"})]}
    run = World().start(saga(undone("a", undo=reads)))
    run.work("a", LOST)
    answer = StepSettled(step_run_id=run.step("a").id, applied=True, actor="eve", reason="")
    run.feed(answer)
    run.feed(UndoRequested(actor="op", reason=""))
    assert (run.state, run.ledger()) == ("NEEDS_ATTENTION", {"a": "COMPENSATION_FAILED"})

    amend(run, {"id": 7})
    run.work("un_a", Succeeded())

    assert run.step("un_a", UNDO).input == {"id": 7}
    assert run.state == "COMPENSATED"


def test_budget_is_that_of_the_whole_undo():
    """§9: the total counts from the first call of the round, over all steps of the undo."""
    retry = {"maximumAttempts": 99, "totalTimeoutSeconds": 100, "initialIntervalSeconds": 1}
    undo = {"tasks": [task("un_a"), task("un_a2")], "retry": retry}
    run = World().start(saga(undone("a", undo=undo)))
    run.work("a")
    run.feed(UndoRequested(actor="op", reason=""))
    run.world.pass_time(300)
    run.work("un_a", Failed(reason="not yet"))
    assert run.ledger() == {"a": "RETRY_WAIT"}, "waiting for a worker uses nothing up"
    run.world.pass_time(60)
    run.work("un_a")

    run.world.pass_time(60)
    run.work("un_a2", Failed(reason="not yet"))

    assert run.ledger() == {"a": "COMPENSATION_FAILED"}
    run.feed(EntryActed(entry_id=run.step("a").id, action="RETRY", actor="ann", reason="again"))
    run.work("un_a2", Failed(reason="not yet"))
    assert run.ledger() == {"a": "RETRY_WAIT"}
