"""The saga view: each step beside its undo, in every state of a run."""

import json
from pathlib import Path
from typing import Any

from orchestrator.engine.definition import document
from orchestrator.selectors.outline import Line, outline
from orchestrator.views.lanes import lanes, named_plan

DEFINITIONS = Path(__file__).parents[3] / "orchestrator" / "demo" / "definitions"


def lines_of(name: str) -> tuple[Line, ...]:
    parsed = document.parse(json.loads((DEFINITIONS / f"{name}.json").read_text()))
    assert parsed.definition is not None
    return outline(parsed.definition)


def a_step(step_id: str, reference: str, name: str, **fields: Any) -> dict[str, Any]:
    return {
        "id": step_id,
        "taskReferenceName": reference,
        "name": name,
        "type": "HTTP",
        "direction": "FORWARD",
        "compensates": None,
        "iteration": 0,
        "epoch": 1,
        "state": "COMPLETED",
        "reason": "",
    } | fields


def a_detail(**fields: Any) -> dict[str, Any]:
    return {"steps": [], "ledger": [], "plan": None} | fields


def test_a_run_that_has_not_begun_shows_what_will_come() -> None:
    pairs = lanes(lines=lines_of("order_fulfilment"), detail=a_detail())

    assert [pair.forward.spoken for pair in pairs if pair.forward] == [
        "reserve_inventory, HTTP, Not reached",
        "charge_payment, HTTP, Not reached",
        "create_shipment, HTTP, Not reached",
    ]
    assert [pair.undo.title for pair in pairs if pair.undo] == [
        "release_inventory",
        "refund_payment",
        "cancel_shipment",
    ]


def test_a_step_that_ran_in_several_epochs_says_which() -> None:
    steps = [
        a_step("1", "reserve", "reserve_inventory"),
        a_step("2", "charge", "charge_payment"),
        a_step("3", "charge", "charge_payment", epoch=2, state="DISPATCHED"),
    ]
    pairs = lanes(lines=lines_of("order_fulfilment"), detail=a_detail(steps=steps))

    assert [(pair.forward.epoch, pair.forward.spoken) for pair in pairs if pair.forward][:3] == [
        (None, "reserve_inventory, HTTP, Succeeded"),
        (1, "charge_payment, HTTP, epoch 1, Succeeded"),
        (2, "charge_payment, HTTP, epoch 2, Running"),
    ]


def test_undos_carry_their_order_and_state() -> None:
    steps = [
        a_step("1", "reserve", "reserve_inventory"),
        a_step("2", "charge", "charge_payment"),
        a_step("3", "ship", "create_shipment", state="FAILED", reason="No courier."),
        a_step("4", "refund", "refund_payment", direction="COMPENSATION", compensates="2"),
    ]
    ledger = [
        {"id": "1", "state": "RUNNING"},
        {"id": "2", "state": "COMPENSATED"},
    ]
    plan = {"entries": [{"id": "2"}, {"id": "1"}]}

    pairs = lanes(
        lines=lines_of("order_fulfilment"),
        detail=a_detail(steps=steps, ledger=ledger, plan=plan),
    )

    assert [pair.undo.spoken for pair in pairs if pair.undo] == [
        "release_inventory, undo of reserve_inventory, order 2, Undoing",
        "refund_payment, undo of charge_payment, order 1, Undone",
    ]
    assert pairs[2].forward is not None
    assert pairs[2].forward.note == "No courier."
    assert pairs[1].undo is not None
    assert pairs[1].undo.step_id == "4"


def test_rounds_of_a_loop_stand_under_each_other() -> None:
    lines = lines_of("order_fulfilment")[:1]
    steps = [
        a_step("1", "reserve__1", "reserve_inventory", iteration=1),
        a_step("2", "reserve__2", "reserve_inventory", iteration=2),
    ]

    pairs = lanes(lines=lines, detail=a_detail(steps=steps))

    assert [pair.forward.title for pair in pairs if pair.forward] == [
        "reserve_inventory, round 1",
        "reserve_inventory, round 2",
    ]


def test_steps_that_the_definition_does_not_name_follow_at_the_end() -> None:
    steps = [a_step("9", "close_mail", "close_mail")]

    pairs = lanes(lines=lines_of("order_fulfilment"), detail=a_detail(steps=steps))

    assert pairs[-2].heading == "Steps given as data"
    assert pairs[-1].forward is not None
    assert pairs[-1].forward.title == "close_mail"


def test_branches_are_headed_and_indented() -> None:
    pairs = lanes(lines=lines_of("travel_booking"), detail=a_detail())

    assert [pair.heading for pair in pairs if pair.heading][:3] == [
        "Branch 1",
        "Branch 2",
        "Branch 3",
    ]
    assert max(pair.depth for pair in pairs) >= 1


def test_a_plan_is_told_with_the_names_of_its_undos() -> None:
    plan = {"entries": [{"id": "2", "taskReferenceName": "charge"}]}

    named = named_plan(lines=lines_of("order_fulfilment"), plan=plan)

    assert named is not None
    assert named["entries"] == [
        {
            "id": "2",
            "taskReferenceName": "charge",
            "undo": "refund_payment",
            "step": "charge_payment",
        }
    ]
