"""Whose effect an undo would take away (saga-semantics §8)."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.engine.outcomes import Succeeded, Unknown
from orchestrator.engine.snapshot import Claimed, EntryActed, UndoRequested
from tests.unit.engine.definitions import saga, task, undone
from tests.unit.engine.driver import Run, World

CHARGE = "${a.output.charge}"


def ended(world: World | None = None, output: dict[str, Any] | None = None, **keys: Any) -> Run:
    keys.setdefault("effectId", CHARGE)
    run = (world or World()).start(saga(undone("p"), undone("a", **keys)), account="acc-1")
    run.work("p")
    run.work("a", Succeeded(output={"charge": "ch-1"} if output is None else output))
    return run


def undo(run: Run) -> None:
    run.feed(UndoRequested(actor="op", reason="undo it"))


@pytest.mark.parametrize(
    ("expression", "output", "effect"),
    [
        (CHARGE, {"charge": "ch-1"}, "ch-1"),
        (CHARGE, {"charge": 17}, "17"),
        (CHARGE, {}, ""),
        ("${workflow.input.account}", {}, "acc-1"),
        ("pay:${a.output.charge}", {"charge": "x"}, "pay:x"),
    ],
)
def test_id_of_the_effect_is_kept_when_the_step_completes(
    expression: str, output: dict[str, Any], effect: str
):
    run = ended(output=output, effectId=expression)

    assert run.step("a").effect_id == effect
    assert run.step("p").effect_id == ""


def test_long_id_is_kept_as_its_digest():
    run = ended(output={"charge": "x" * 300})

    assert len(run.step("a").effect_id) == 64


def test_step_without_an_undo_has_an_effect_too():
    mail = task("mail", effect="IRREVERSIBLE", effectId="${mail.output.id}")
    run = World().start(saga(mail, undone("a")))
    run.work("mail", Succeeded(output={"id": "m-1"}))

    assert run.step("mail").effect_id == "m-1"


def test_unknown_step_keeps_the_id_that_its_input_gives():
    run = World().start(saga(undone("a", effectId="${workflow.input.n}")), n="n-1")
    run.work("a", Unknown(reason="?"))

    assert run.step("a").effect_id == "n-1"


def test_effect_of_another_run_is_not_taken_away():
    run = ended(World(owners={"ch-1": "another"}))

    undo(run)

    assert (run.state, run.ledger()) == (
        "NEEDS_ATTENTION",
        {"p": "PLANNED", "a": "COMPENSATION_FAILED"},
    )
    assert "another" in run.step("a").entry_reason
    assert run.claimable() == []


def test_owner_is_asked_for_again_when_it_is_tried_again():
    run = ended(World(owners={"ch-1": "another"}))
    undo(run)
    retry = EntryActed(entry_id=run.step("a").id, action="RETRY", actor="ann", reason="look")
    run.feed(retry)
    assert run.ledger()["a"] == "COMPENSATION_FAILED"

    run.world.owners.clear()
    run.feed(retry)
    run.work("un_a")

    assert run.ledger()["a"] == "COMPENSATED"


def test_owner_is_asked_for_in_the_transaction_that_hands_the_undo_out():
    run = ended()
    undo(run)
    step = run.claimable()[0]
    run.world.owners["ch-1"] = "another"

    decision = run.feed(Claimed(step_run_id=step.id, worker="w"))

    assert (decision.refused, decision.claimed) == ((step.id,), ())
    assert run.ledger() == {"p": "PLANNED", "a": "COMPENSATION_FAILED"}
    assert run.runs[step.id].state == "CANCELLED"
    run.world.owners.clear()
    run.feed(EntryActed(entry_id=run.step("a").id, action="RETRY", actor="ann", reason="ok"))
    run.work("un_a")
    assert run.ledger()["a"] == "COMPENSATED"


def test_effect_without_an_id_is_nobody_elses():
    run = ended(World(owners={"": "another"}), output={})

    undo(run)

    assert run.ledger()["a"] == "READY"
