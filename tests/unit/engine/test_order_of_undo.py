"""The order of undo (saga-semantics §4): backwards, and side by side where nothing orders."""

from __future__ import annotations

from orchestrator.engine.outcomes import Failed
from tests.unit.engine.definitions import (
    child,
    dynamic,
    fork,
    loop,
    saga,
    switch,
    task,
    undone,
    work,
)
from tests.unit.engine.driver import Run, World

FAILS = work("z", retryCount=0)


def run_until_z_fails(run: Run) -> None:
    """Complete every worker step in order of scheduling; the step `z` fails."""
    while steps := [step for step in run.claimable() if step.reference != "z"]:
        run.work(steps[0].reference)
    run.work("z", Failed(reason="no"))


def waves_of_undo(run: Run) -> list[set[str]]:
    """Undo all that may be undone at once, again and again; return each wave by position."""
    waves = []
    while steps := run.claimable():
        waves.append({step.position for step in steps})
        for step in steps:
            run.work(step.reference)
        run.world.settle()
    return waves


def test_sequence_is_undone_backwards():
    run = World().start(saga(undone("a"), undone("b"), undone("c"), FAILS))

    run_until_z_fails(run)

    assert waves_of_undo(run) == [{"c"}, {"b"}, {"a"}]
    assert run.state == "COMPENSATED"


def test_branches_are_undone_side_by_side_each_backwards():
    branches = fork("f", [undone("b1"), undone("b2")], [undone("c1")])
    run = World().start(saga(undone("a"), branches, undone("d"), FAILS))

    run_until_z_fails(run)

    assert waves_of_undo(run) == [{"d"}, {"b2", "c1"}, {"b1"}, {"a"}]


def test_fork_that_fails_is_undone_before_what_stands_before_it():
    branches = fork("f", [undone("b1"), undone("b2"), FAILS], [undone("c1")])
    run = World().start(saga(undone("a"), branches))

    run_until_z_fails(run)

    assert waves_of_undo(run) == [{"b2", "c1"}, {"b1"}, {"a"}]


def test_only_the_branch_taken_is_undone():
    choice = switch("s", "x", {"x": [undone("x1"), undone("x2")], "y": [undone("y1")]})
    run = World().start(saga(undone("a"), choice, undone("b"), FAILS))

    run_until_z_fails(run)

    assert waves_of_undo(run) == [{"b"}, {"x2"}, {"x1"}, {"a"}]


def test_rounds_of_a_loop_are_undone_from_the_last_to_the_first():
    rounds = loop("l", [1, 2, 3], undone("x"), undone("y"))
    run = World().start(saga(undone("a"), rounds, undone("b"), FAILS))

    run_until_z_fails(run)

    waves = waves_of_undo(run)
    assert waves == [{"b"}, {"y@3"}, {"x@3"}, {"y@2"}, {"x@2"}, {"y@1"}, {"x@1"}, {"a"}]


def test_what_stands_before_a_loop_waits_for_a_loop_that_fails():
    run = World().start(saga(undone("a"), loop("l", [1, 2], undone("x"), FAILS)))

    run_until_z_fails(run)

    assert waves_of_undo(run) == [{"x@1"}, {"a"}]


def test_loops_inside_loops_keep_the_order_of_their_rounds():
    inner = loop("inner", [1, 2], undone("y"))
    run = World().start(saga(undone("a"), loop("outer", [1, 2], undone("x"), inner), FAILS))

    run_until_z_fails(run)

    expected = ["y@2.2", "y@2.1", "x@2", "y@1.2", "y@1.1", "x@1", "a"]
    assert waves_of_undo(run) == [{position} for position in expected]


def test_loop_in_a_branch_and_fork_in_a_loop():
    branches = fork("f", [loop("l", [1, 2], undone("x"))], [undone("c")])
    body = [*fork("g", [undone("p")], [undone("q")]), undone("r")]
    run = World().start(saga(branches, loop("m", [1, 2], body), FAILS))

    run_until_z_fails(run)

    assert waves_of_undo(run) == [
        {"r@2"},
        {"p@2", "q@2"},
        {"r@1"},
        {"p@1", "q@1"},
        {"x@2", "c"},
        {"x@1"},
    ]


def test_items_of_a_dynamic_fork_are_undone_side_by_side():
    items = [undone("i0"), undone("i1")]
    run = World().start(saga(undone("a"), dynamic("f", items), undone("b"), FAILS))

    run_until_z_fails(run)

    assert waves_of_undo(run) == [{"b"}, {"i0", "i1"}, {"a"}]
    assert run.state == "COMPENSATED"


def test_sub_workflow_is_undone_between_its_neighbours():
    world = World()
    world.register(saga(undone("x"), undone("y"), name="inner"))
    run = world.start(saga(undone("a"), child("s", "inner"), undone("b"), FAILS))
    run.work("a")
    inner = next(other for other in world.all.values() if other is not run)
    inner.work("x")
    inner.work("y")
    world.settle()
    run.work("b")
    run.work("z", Failed(reason="no"))

    run.work("un_b")
    assert run.ledger()["s"] == "RUNNING"
    world.settle()
    assert waves_of_undo(inner) == [{"y"}, {"x"}]

    assert inner.state == "COMPENSATED"
    assert run.ledger()["s"] == "COMPENSATED"
    assert waves_of_undo(run) == [{"a"}]


def test_undo_with_several_steps_goes_forwards_and_counts_as_one():
    two = {"tasks": [task("un_b1"), task("un_b2")]}
    run = World().start(saga(undone("a"), undone("b", undo=two), FAILS))
    run_until_z_fails(run)

    done = []
    while steps := run.claimable():
        done.append([step.reference for step in steps])
        run.work(steps[0].reference)

    assert done == [["un_b1"], ["un_b2"], ["un_a"]]


def test_serial_mode_undoes_one_at_a_time_later_settled_first():
    branches = fork("f", [undone("b1"), undone("b2")], [undone("c1")])
    run = World().start(saga(undone("a"), branches, FAILS, settings={"mode": "SERIAL"}))
    for reference in ("a", "b1", "c1", "b2"):
        run.work(reference)
    run.work("z", Failed(reason="no"))

    assert waves_of_undo(run) == [{"b2"}, {"c1"}, {"b1"}, {"a"}]


def test_serial_mode_obeys_extra_edges():
    branches = fork("f", [undone("b", undo={"after": ["c"]})], [undone("c")])
    run = World().start(saga(branches, FAILS, settings={"mode": "SERIAL"}))
    for reference in ("c", "b"):
        run.work(reference)
    run.work("z", Failed(reason="no"))

    assert waves_of_undo(run) == [{"c"}, {"b"}]


def test_extra_edges_hold_within_a_round_only():
    body = fork("f", [undone("x", undo={"after": ["y"]})], [undone("y")])
    run = World().start(saga(loop("l", [1, 2], body), FAILS))

    run_until_z_fails(run)

    assert waves_of_undo(run) == [{"y@2"}, {"x@2"}, {"y@1"}, {"x@1"}]


def test_nobody_waits_for_an_independent_undo_but_it_waits_for_its_own():
    mail = undone("mail", undo={"independent": True})
    run = World().start(saga(undone("a"), mail, undone("b"), FAILS))

    run_until_z_fails(run)

    assert waves_of_undo(run) == [{"b"}, {"mail", "a"}]


def test_serial_mode_does_not_wait_for_an_independent_undo():
    mail = undone("mail", undo={"independent": True, "retry": {"maximumAttempts": 1}})
    definition = saga(undone("a"), mail, FAILS, settings={"mode": "SERIAL"})
    run = World().start(definition)
    run_until_z_fails(run)

    run.work(run.claimable()[0].reference, Failed(reason="no", terminal=True))
    rest = waves_of_undo(run)

    assert (run.ledger(), rest) == ({"a": "COMPENSATED", "mail": "COMPENSATION_FAILED"}, [{"a"}])
    assert run.state == "NEEDS_ATTENTION"


def test_no_more_undos_are_in_flight_than_allowed():
    items = [undone(f"i{index}") for index in range(5)]
    run = World().start(saga(dynamic("f", items), FAILS, settings={"maxParallel": 2}))

    run_until_z_fails(run)

    assert len(run.claimable()) == 2
    run.work(run.claimable()[0].reference)
    assert len(run.claimable()) == 2
