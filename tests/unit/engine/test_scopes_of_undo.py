"""What is undone in loops, forks given as data and sub-workflows (saga-semantics §3, §4.2)."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.engine.outcomes import Failed, Succeeded
from orchestrator.engine.snapshot import Answer, Cancelled, EntryActed, UndoRequested
from orchestrator.engine.states import Direction
from tests.unit.engine.definitions import (
    Document,
    child,
    dynamic,
    fork,
    loop,
    plain,
    saga,
    task,
    undone,
    work,
)
from tests.unit.engine.driver import Run, World

NO = Failed(reason="no")
UNDO = Direction.COMPENSATION


def undo(run: Run) -> None:
    run.feed(UndoRequested(actor="op", reason="undo it"))
    run.world.settle()


def undo_order(run: Run) -> list[str]:
    """Carry the plan out, one undo after the other; return the positions in that order."""
    order = []
    while steps := [step for step in run.claimable() if step.direction is UNDO]:
        order.append(steps[0].position)
        run.work(steps[0].reference)
        run.world.settle()
    return order


# ---- loops --------------------------------------------------------------------------------------

ALL = {"of": "${compensation.iterations}"}


def once(items: list[Any], *body: Document, **keys: Any) -> Document:
    compensation = {"tasks": [task("un_l", inputParameters=ALL)], "safeIfNotApplied": True}
    return loop("l", items, *body) | {
        "compensate": "ONCE",
        "compensation": compensation,
        "effect": "REVERSIBLE",
        **keys,
    }


def each(reference: str) -> Document:
    return undone(reference, inputParameters={"item": "${l.input.loopItem}"})


def test_rounds_are_undone_backwards_with_the_data_of_each():
    """Invariant 6; X, Y in 3 rounds: Y3 X3 Y2 X2 Y1 X1."""
    reads = {"tasks": [task("un_x", inputParameters={"item": "${x.input.item}"})]}
    x = undone("x", undo=reads, inputParameters={"item": "${l.input.loopItem}"})
    run = World().start(saga(loop("l", ["p", "q", "r"], x, undone("y"))))
    for _ in range(3):
        run.work("x")
        run.work("y")

    undo(run)

    assert undo_order(run) == ["y@3", "x@3", "y@2", "x@2", "y@1", "x@1"]
    given = {step.position: step.input for step in run.runs.values() if step.reference == "un_x"}
    assert given == {"x@1": {"item": "p"}, "x@2": {"item": "q"}, "x@3": {"item": "r"}}


def test_pruned_output_of_a_loop_prunes_no_entry():
    """`keepLastN` is about what is shown, never about the ledger."""
    rounds = loop("l", [1, 2, 3], undone("x")) | {"inputParameters": {"keepLastN": 1}}
    run = World().start(saga(rounds))
    for _ in range(3):
        run.work("x")
    assert set(run.step("l").output or {}) == {"3", "iteration"}
    assert run.ledger() == {"x@1": "ARMED", "x@2": "ARMED", "x@3": "ARMED"}

    undo(run)

    assert undo_order(run) == ["x@3", "x@2", "x@1"]


def test_loop_undone_once_gets_all_its_rounds():
    run = World().start(saga(undone("p"), once(["a", "b"], each("x"), each("y"))))
    run.work("p")
    for number in (1, 2):
        run.work("x", Succeeded(output={"n": number}))
        run.work("y")
    assert run.ledger() == {"p": "ARMED", "l": "ARMED"}

    undo(run)
    assert run.step("un_l", UNDO).input == {
        "of": [
            {
                "iteration": 1,
                "x": {"input": {"item": "a"}, "output": {"n": 1}},
                "y": {"input": {"item": "a"}, "output": {"of": "y"}},
            },
            {
                "iteration": 2,
                "x": {"input": {"item": "b"}, "output": {"n": 2}},
                "y": {"input": {"item": "b"}, "output": {"of": "y"}},
            },
        ]
    }
    assert undo_order(run) == ["l", "p"]
    assert run.state == "COMPENSATED"


def test_loop_undone_once_shows_rounds_that_are_not_kept():
    run = World().start(saga(once(["a", "b"], each("x"), inputParameters={"keepLastN": 1})))
    run.work("x")
    run.work("x")

    undo(run)

    sent = run.step("un_l", UNDO).input["of"]
    assert [row["iteration"] for row in sent] == [1, 2]


def test_loop_that_did_not_complete_uses_the_entries_of_its_rounds():
    run = World().start(saga(once(["a", "b"], each("x"), undone("y"))))
    run.work("x")
    run.work("y")
    run.work("x")

    run.work("y", NO)

    assert undo_order(run) == ["x@2", "y@1", "x@1"]
    assert (run.state, run.ledger()["l"]) == ("COMPENSATED", "VOID")


def test_loop_whose_condition_breaks_uses_the_entries_of_its_rounds():
    looped = once([], each("x")) | {"loopCondition": "broken"}
    del looped["items"]
    run = World(evaluate=lambda _: Answer(error="no", error_class="error")).start(saga(looped))
    run.work("x")

    assert undo_order(run) == ["x@1"]
    assert (run.state, run.ledger()["l"]) == ("COMPENSATED", "VOID")


def test_loop_undone_once_in_a_round_of_another_loop():
    outer = loop("o", [1, 2], once(["a", "b"], each("x")))
    run = World().start(saga(outer))
    for _ in range(4):
        run.work("x")
    assert run.ledger() == {"l@1": "ARMED", "l@2": "ARMED"}

    undo(run)
    assert undo_order(run) == ["l@2", "l@1"]

    rows = [step.input["of"] for step in run.runs.values() if step.reference == "un_l"]
    assert [[row["iteration"] for row in rounds] for rounds in rows] == [[1, 2], [1, 2]]


# ---- forks given as data ------------------------------------------------------------------------


def test_items_given_as_data_have_entries_of_their_own():
    items = [undone("i0"), undone("i1"), undone("i2")]
    run = World().start(saga(undone("p"), dynamic("f", items), settings={"maxParallel": 2}))
    for name in ("p", "i0", "i1", "i2"):
        run.work(name)

    undo(run)

    assert {step.reference for step in run.claimable()} == {"un_i2", "un_i1"}
    run.work("un_i1")
    assert {step.reference for step in run.claimable()} == {"un_i2", "un_i0"}
    run.work("un_i0")
    assert run.ledger()["p"] == "PLANNED"
    run.work("un_i2")
    run.work("un_p")
    assert run.state == "COMPENSATED"


SHARED = {"tasks": [task("un")], "safeIfNotApplied": True}
OTHER = {"tasks": [task("un", inputParameters={"n": 1})], "safeIfNotApplied": True}


@pytest.mark.parametrize(
    ("item", "why"),
    [
        (task("i", effect="REVERSIBLE", compensation={"tasks": []}), "at least one task"),
        (task("i", effect="SOMETIMES"), "effect"),
        (undone("i", undo={"retries": 3}), "retries"),
        (undone("i", undo={"tasks": [undone("un_i")]}), "task of an undo"),
        (task("i", effect="PIVOT", compensation=SHARED), "E3"),
        (undone("i", undo={"tasks": [task("p")]}), "p"),
        (undone("i", undo={"tasks": [task("i")]}), "i"),
        (undone("i", probe=task("un_i")), "un_i"),
        (task("i", effect="REVERSIBLE", compensation=OTHER), "un"),
    ],
)
def test_invalid_saga_keys_of_an_item_fail_the_run_before_anything_is_scheduled(
    item: Document, why: str
):
    good = task("g", effect="REVERSIBLE", compensation=SHARED)
    run = World().start(saga(undone("p"), dynamic("f", [good, item])))
    run.work("p")

    assert set(run.states()) == {"p", "f"}
    assert run.state == "COMPENSATING"
    failure = run.execution.failure
    assert failure is not None
    assert why in failure["message"]


def test_items_may_share_an_undo_that_says_the_same():
    items = [task(name, effect="REVERSIBLE", compensation=SHARED) for name in ("i", "j")]
    run = World().start(saga(dynamic("f", items)))
    run.work("i")
    run.work("j")

    undo(run)
    run.work("un")
    run.work("un")

    assert (run.state, run.ledger()) == ("COMPENSATED", {"i": "COMPENSATED", "j": "COMPENSATED"})


def test_children_given_as_data_are_undone_beside_each_other():
    world = World()
    world.register(saga(undone("x"), name="inner"))
    run = world.start(saga(undone("p"), dynamic("f", [child("s", "inner"), child("t", "inner")])))
    run.work("p")
    inside = [world.all[str(run.step(name).child_id)] for name in ("s", "t")]
    for one in inside:
        one.work("x")
    world.settle()

    undo(run)
    assert [one.ledger() for one in inside] == [{"x": "READY"}] * 2
    for one in inside:
        one.work("un_x")
    world.settle()

    assert run.ledger() == {"p": "READY", "s": "COMPENSATED", "t": "COMPENSATED"}


# ---- sub-workflows ------------------------------------------------------------------------------


def start(inner: Document, *tasks: Document | list[Document], **policies: Any) -> Run:
    world = World(**policies)
    world.register(inner)
    return world.start(saga(*tasks))


def child_of(run: Run, reference: str = "s") -> Run:
    return run.world.all[str(run.step(reference).child_id)]


def report(run: Run, reference: str, outcome: Any = None) -> None:
    child_of(run).work(reference, outcome)
    run.world.settle()


def black_box(**undo_keys: Any) -> Document:
    compensation = {"tasks": [task("un_s")], "safeIfNotApplied": True, **undo_keys}
    return child("s", "inner", effect="REVERSIBLE", compensation=compensation, retryCount=0)


INNER = saga(undone("a"), undone("b"), name="inner")


def test_everything_inside_is_undone_between_what_came_after_and_before():
    run = start(INNER, undone("p"), child("s", "inner"), undone("q"))
    run.work("p")
    report(run, "a")
    report(run, "b")
    run.work("q")

    undo(run)
    assert child_of(run).state == "COMPLETED"
    run.work("un_q")
    run.world.settle()
    assert undo_order(child_of(run)) == ["b", "a"]
    run.world.settle()
    assert undo_order(run) == ["p"]

    assert (run.state, child_of(run).state) == ("COMPENSATED", "COMPENSATED")


def test_running_child_is_stopped_with_undo():
    run = start(INNER, fork("f", [child("s", "inner")], [work("z", retryCount=0)]))
    report(run, "a")

    run.work("z", NO)
    run.world.settle()
    assert (run.state, child_of(run).state) == ("STOPPING", "COMPENSATING")
    report(run, "un_a")

    assert (run.states()["s"], run.ledger()) == ("CANCELLED", {"s": "COMPENSATED"})
    assert child_of(run).state == "COMPENSATED"


def test_running_black_box_uses_its_own_ledger():
    run = start(INNER, black_box())
    report(run, "a")

    run.feed(Cancelled(compensate=True, actor="op", reason="enough"))
    run.world.settle()
    report(run, "un_a")

    assert (run.ledger(), run.claimable()) == ({"s": "COMPENSATED"}, [])


def test_failed_child_is_undone_before_the_step_is_tried_again():
    inner = saga(undone("a"), work("x", retryCount=0), name="inner")
    run = start(inner, child("s", "inner", retryCount=1))
    first = child_of(run)
    report(run, "a")
    report(run, "x", NO)
    assert (run.states(), first.state) == ({"s": "WAITING"}, "COMPENSATING")

    report(run, "un_a")
    run.world.pass_time(60)
    second = child_of(run)
    assert second is not first
    report(run, "a")
    report(run, "x")

    assert (run.state, run.ledger()) == ("COMPLETED", {"s": "ARMED"})
    undo(run)
    assert undo_order(second) == ["a"]
    run.world.settle()
    assert (run.state, first.state) == ("COMPENSATED", "COMPENSATED")


def test_child_undone_in_part_before_is_skipped():
    run = start(saga(undone("a", undo={"policy": "MANUAL"}), name="inner"), child("s", "inner"))
    report(run, "a")
    inside = child_of(run)
    undo(inside)
    skip = EntryActed(entry_id=inside.step("a").id, action="SKIP", actor="ann", reason="no")
    inside.feed(skip)
    run.world.settle()

    assert (inside.state, run.ledger()) == ("PARTIALLY_COMPENSATED", {"s": "SKIPPED"})


def test_cascade_over_a_child_without_anything_to_undo():
    run = start(saga(undone("a", optional=True), name="inner"), black_box(cascade=True))
    report(run, "a", NO)

    undo(run)
    run.world.settle()
    run.work("un_s")

    assert (run.state, child_of(run).state) == ("COMPENSATED", "COMPLETED")


def test_cascade_over_a_child_that_was_undone_before():
    run = start(INNER, black_box(cascade=True))
    report(run, "a")
    report(run, "b")
    undo(child_of(run))
    undo_order(child_of(run))
    run.world.settle()
    assert run.ledger() == {"s": "ARMED"}

    undo(run)
    run.world.settle()
    run.work("un_s")

    assert run.ledger() == {"s": "COMPENSATED"}


def test_parent_waits_for_a_child_that_waits_for_people():
    """Invariant 28."""
    inner = saga(undone("a", undo={"policy": "MANUAL"}), name="inner")
    run = start(inner, undone("p"), child("s", "inner"))
    run.work("p")
    report(run, "a")

    undo(run)
    assert (child_of(run).state, run.ledger()) == (
        "NEEDS_ATTENTION",
        {"p": "PLANNED", "s": "RUNNING"},
    )
    inside = child_of(run)
    inside.feed(EntryActed(entry_id=inside.step("a").id, action="RETRY", actor="ann", reason="."))
    report(run, "un_a")
    run.work("un_p")

    assert run.state == "COMPENSATED"


def test_plain_child_has_nothing_to_undo():
    run = start({"name": "inner", "version": 1, "tasks": [plain("x")]}, child("s", "inner"))
    report(run, "x")

    assert (run.state, run.ledger()) == ("COMPLETED", {})
