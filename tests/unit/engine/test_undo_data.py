"""What undo and probe steps are given: snapshots, and what has become of the run since (§8)."""

from __future__ import annotations

from typing import Any

from orchestrator.engine import keys
from orchestrator.engine.outcomes import Failed, Succeeded, Unknown
from orchestrator.engine.snapshot import Claimed, UndoRequested, VariablesSet
from orchestrator.engine.states import Direction
from tests.unit.engine.definitions import Document, dynamic, loop, saga, task, undone, work
from tests.unit.engine.driver import Run, World

UNDO = Direction.COMPENSATION


def undo_with(**inputs: Any) -> Document:
    return {"tasks": [task("un_a", inputParameters=inputs)], "safeIfNotApplied": True}


def undone_run(definition: Document, world: World | None = None, **given: Any) -> Run:
    """Complete every step of a definition, then ask for the undo."""
    run = (world or World()).start(definition, **given)
    while steps := run.claimable():
        run.work(steps[0].reference)
    run.feed(UndoRequested(actor="op", reason="undo it"))
    return run


def test_undo_reads_the_snapshot_of_its_step_and_of_steps_before():
    undo = undo_with(
        own="${a.input.n}", got="${a.output.of}", before="${p.output.of}", none="${b.output.of}"
    )
    step = undone("a", undo=undo, inputParameters={"n": "${workflow.input.n}"})

    run = undone_run(saga(work("p"), step, work("b")), n=7)

    assert run.step("un_a", UNDO).input == {"own": 7, "got": "a", "before": "p", "none": None}


def test_undo_reads_variables_as_they_were_and_as_they_are():
    undo = undo_with(then="${workflow.variables.v}", now="${compensation.variables.v}")
    run = World().start(saga(undone("a", undo=undo), work("b"), variables={"v": 1}))
    run.work("a")
    run.feed(VariablesSet(values={"v": 2}, actor="op"))
    run.work("b")

    run.feed(UndoRequested(actor="op", reason=""))

    assert run.step("un_a", UNDO).input == {"then": 1, "now": 2}


def test_undo_is_told_why_and_under_which_keys():
    names = ("reason", "trigger", "forwardKey", "key", "round")
    undo = undo_with(**{name: f"${{compensation.{name}}}" for name in names})

    run = undone_run(saga(undone("a", undo=undo)))

    entry = run.step("a")
    assert run.step("un_a", UNDO).input == {
        "reason": "undo it",
        "trigger": "REQUEST",
        "forwardKey": f"f:{run.execution.id}:a:e1",
        "key": f"c:{entry.id}:r0",
        "round": 0,
    }


def test_undo_is_told_what_failed():
    undo = undo_with(
        why="${compensation.failure.message}", who="${compensation.failure.taskReferenceName}"
    )
    run = World().start(saga(undone("a", undo=undo), work("z", retryCount=0)))
    run.work("a")

    run.work("z", Failed(reason="broken"))

    assert run.step("un_a", UNDO).input == {"why": "broken", "who": "z"}


def test_undo_in_a_loop_reads_its_own_round():
    undo = undo_with(item="${l.input.loopItem}", round="${l.output.iteration}", got="${a.output.n}")
    run = World().start(saga(loop("l", ["p", "q"], undone("a", undo=undo))))
    for number in (1, 2):
        run.work("a", Succeeded(output={"n": number}))

    run.feed(UndoRequested(actor="op", reason=""))

    assert run.step("un_a", UNDO).input["item"] == "q"
    assert run.step("un_a", UNDO).input["got"] == 2
    run.work("un_a")
    assert run.step("un_a", UNDO).input["item"] == "p"
    assert run.step("un_a", UNDO).input["got"] == 1


def test_one_undo_for_a_whole_loop_is_given_its_rounds():
    rounds = loop("l", ["p", "q"], undone("a", inputParameters={"item": "${l.input.loopItem}"}))
    undo = {"tasks": [task("un_l", inputParameters={"rounds": "${compensation.iterations}"})]}
    keys_ = {"compensate": "ONCE", "compensation": undo | {"safeIfNotApplied": True}}
    run = undone_run(saga(undone("b"), rounds | keys_ | {"effect": "REVERSIBLE"}))

    assert run.ledger() == {"b": "PLANNED", "l": "READY"}
    assert run.step("un_l", UNDO).input == {
        "rounds": [
            {"iteration": 1, "a": {"input": {"item": "p"}, "output": {"of": "a"}}},
            {"iteration": 2, "a": {"input": {"item": "q"}, "output": {"of": "a"}}},
        ]
    }
    run.work("un_l")
    run.work("un_b")
    assert run.state == "COMPENSATED"


def test_one_undo_for_a_whole_loop_stands_for_its_dynamic_forks_too():
    rounds = loop("l", ["p", "q"], dynamic("d", [undone("a")]))
    undo = {"tasks": [task("un_l", inputParameters={"rounds": "${compensation.iterations}"})]}
    keys_ = {"compensate": "ONCE", "compensation": undo | {"safeIfNotApplied": True}}
    run = undone_run(saga(rounds | keys_ | {"effect": "REVERSIBLE"}))

    assert run.ledger() == {"l": "READY"}
    rounds_seen = run.step("un_l", UNDO).input["rounds"]
    assert [seen["a"]["output"] for seen in rounds_seen] == [{"of": "a"}, {"of": "a"}]


def test_loop_that_did_not_complete_uses_the_entries_of_its_rounds():
    rounds = loop("l", ["p", "q"], undone("a"), work("z", retryCount=0))
    undo = {"tasks": [task("un_l")], "safeIfNotApplied": True}
    keys_ = {"compensate": "ONCE", "compensation": undo, "effect": "REVERSIBLE"}
    run = World().start(saga(rounds | keys_))
    run.work("a")
    run.work("z", Failed(reason="no"))

    assert run.ledger() == {"l": "VOID", "a@1": "READY"}


def test_steps_of_the_engine_may_have_an_undo_too():
    undo = {"tasks": [task("un_h")], "safeIfNotApplied": True}
    run = World().start(saga(task("h", "NOOP", compensation=undo), work("z", retryCount=0)))

    run.work("z", Failed(reason="no"))

    assert run.ledger() == {"h": "READY"}


def test_later_step_of_an_undo_reads_an_earlier_one():
    key = "${compensation.key}"
    second = task("un_a2", inputParameters={"first": "${un_a1.output.of}", "key": key})
    undo = {"tasks": [task("un_a1"), second]}
    run = undone_run(saga(undone("a", undo=undo)))

    run.work("un_a1")

    key = f"c:{run.step('a').id}:r0:un_a2"
    assert run.step("un_a2", UNDO).input == {"first": "un_a1", "key": key}


def test_undo_of_an_unknown_outcome_has_no_output():
    undo = undo_with(id="${a.input.id}", own="${CPEWF_TASK_ID}")
    run = World().start(saga(undone("a", undo=undo, inputParameters={"id": 1})))
    run.work("a", Unknown(reason="?"))
    run.world.pass_time(30)

    undo_run = run.step("un_a", UNDO)
    assert undo_run.input == {"id": 1, "own": undo_run.attempt_id}


def test_probe_is_given_the_call_it_asks_about():
    look = task(
        "look", inputParameters={"id": "${a.input.id}", "key": "${compensation.forwardKey}"}
    )
    run = World().start(saga(undone("a", probe=look, inputParameters={"id": 1})))

    run.work("a", Unknown(reason="?"))

    given = run.step("look", Direction.PROBE).input
    assert given == {"id": 1, "key": f"f:{run.execution.id}:a:e1"}


def test_each_probe_is_a_step_run_of_its_own():
    step = undone("a", probe=task("look"), retryCount=1)
    run = World().start(saga(step))
    run.work("a", Unknown(reason="?"))
    run.work("look", Succeeded(output={"applied": False}))
    run.world.pass_time(60)

    run.work("a", Unknown(reason="?"))
    run.work("look", Succeeded(output={"applied": True}))

    probes = [each for each in run.runs.values() if each.direction is Direction.PROBE]
    assert len({probe.id for probe in probes}) == 2
    assert run.state == "COMPLETED"


def test_amount_is_frozen_with_the_step():
    amount = {"value": "${a.output.price}", "currency": "${workflow.variables.currency}"}
    step = undone("a", amount=amount)
    run = World().start(saga(step, work("b"), variables={"currency": "EUR"}))
    run.work("a", Succeeded(output={"price": 12}))
    run.feed(VariablesSet(values={"currency": "USD"}, actor="op"))
    run.work("b")
    run.feed(UndoRequested(actor="op", reason=""))

    assert run.step("a").amount == {"value": 12, "currency": "EUR"}
    assert run.plans[0].command.entries[0]["amount"] == {"value": 12, "currency": "EUR"}


def test_entry_that_is_too_large_to_map_fails_and_waits_for_a_person():
    undo = undo_with(text="x ${a.output.big}")
    run = World().start(saga(undone("a", undo=undo)))
    run.work("a", Succeeded(output={"big": ["x" * 1000] * 2000}))

    run.feed(UndoRequested(actor="op", reason=""))

    assert run.ledger() == {"a": "COMPENSATION_FAILED"}
    assert run.state == "NEEDS_ATTENTION"


def test_what_is_too_large_to_show_is_not_approved_but_failed():
    undo = undo_with(text="x ${a.output.big}") | {"policy": "APPROVAL"}
    run = World().start(saga(undone("a", undo=undo)))
    run.work("a", Succeeded(output={"big": ["x" * 1000] * 2000}))

    run.feed(UndoRequested(actor="op", reason=""))

    assert run.ledger() == {"a": "COMPENSATION_FAILED"}


def test_lease_of_a_call_outlasts_its_own_deadline():
    http = {"uri": "http://x", "method": "POST", "connectionTimeOut": 2000, "readTimeOut": 5000}
    step = task("a", "HTTP", effect="NONE", inputParameters={"http_request": http})
    run = World(queues={("HTTP", "a"): "http"}).start(saga(step))
    run.feed(Claimed(step_run_id=run.step("a").id, worker="w"))

    due_at = run.step("a").due_at
    assert due_at is not None
    assert (due_at - run.world.now).total_seconds() == 7 + 10


def test_keys_name_what_they_are_for():
    assert keys.forward_key("r", "a@1", 2) == "f:r:a@1:e2"
    assert keys.undo_key("e", 1) == "c:e:r1"
    assert keys.undo_key("e", 1, "step") == "c:e:r1:step"
    assert keys.probe_key("e", 3) == "p:e:a3"
    assert keys.confirm_key("e") == "k:e"


def test_ids_are_derived_and_lie_near_their_execution():
    first = keys.derive_id("01234567-89ab-7000-8000-000000000000", "f", "a", 1)

    assert first == keys.derive_id("01234567-89ab-7000-8000-000000000000", "f", "a", 1)
    assert first.startswith("01234567-89ab-8")
    assert first != keys.derive_id("01234567-89ab-7000-8000-000000000000", "f", "a", 2)
