"""Explicit `saga` blocks and the COMPENSATE node (saga-semantics §5, T1 and T3)."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.engine.outcomes import Failed, Succeeded, Unknown
from orchestrator.engine.snapshot import Claimed, PlanRejected, RetryRequested, StepSettled
from tests.unit.engine.definitions import dynamic, fork, loop, saga, switch, task, undone, work
from tests.unit.engine.driver import Run, World

NO = Failed(reason="no")
FAILS = work("z", retryCount=0)
AGAIN = {"onFailure": "FORWARD", "maxRetries": 1, "retryDelaySeconds": 0}


def point(reference: str = "s") -> dict[str, Any]:
    return task(reference, "NOOP", savepoint=True)


def forked(*branches: list[dict[str, Any]], settings: Any, optional: bool = False) -> Any:
    """Build a fork that is a block."""
    tasks = fork("f", *branches)
    tasks[0] |= {"saga": settings, "optional": optional}
    return tasks


def back(**inputs: Any) -> dict[str, Any]:
    return task("back", "COMPENSATE", inputParameters=inputs)


def finish(run: Run, *order: str) -> None:
    for reference in order:
        run.work(reference)


def claimable(run: Run) -> list[str]:
    return sorted(step.reference for step in run.claimable())


# ---- blocks ----------------------------------------------------------------------------------


def test_the_nearest_block_with_a_retry_left_is_tried_again():
    definition = saga(
        undone("a", savepoint=True),
        forked([undone("b", savepoint=True), undone("c"), FAILS], [undone("d")], settings=AGAIN),
        settings={**AGAIN, "maxRetries": 1},
    )
    run = World().start(definition)
    finish(run, "a", "b", "c", "d")
    run.work("z", NO)
    assert claimable(run) == ["un_c"]
    finish(run, "un_c", "c")
    assert run.execution.epoch == 2
    run.work("z", NO)
    # The block has no retry left: the run has one, from the savepoint passed last.
    finish(run, "un_c", "c")
    assert run.execution.epoch == 3
    run.work("z", NO)
    while run.claimable():
        run.work(run.claimable()[0].reference)
    assert (run.state, run.execution.epoch) == ("COMPENSATED", 3)


def test_savepoints_outside_a_block_are_not_its_own():
    definition = saga(
        undone("a", savepoint=True), forked([undone("b"), FAILS], [undone("d")], settings=AGAIN)
    )
    run = World().start(definition)
    finish(run, "a", "b", "d")
    run.work("z", NO)
    while run.claimable():
        run.work(run.claimable()[0].reference)
    assert (run.state, run.execution.epoch) == ("COMPENSATED", 1)


def test_an_optional_block_is_undone_and_the_run_goes_on_after_it():
    definition = saga(
        undone("a"),
        forked([undone("b"), FAILS], [undone("d")], settings={}, optional=True),
        undone("g"),
    )
    run = World().start(definition)
    finish(run, "a", "b")
    run.work("z", NO)
    finish(run, "un_b")
    assert run.step("f_join").state == "COMPLETED_WITH_ERRORS"
    assert run.execution.outcome is None
    run.work("g")
    assert (run.state, run.execution.epoch) == ("COMPLETED", 1)
    assert run.ledger() == {"a": "ARMED", "b": "COMPENSATED", "d": "VOID", "g": "ARMED"}


def test_what_follows_an_optional_block_is_undone_before_what_came_before():
    definition = saga(
        undone("a"),
        forked([undone("b"), FAILS], [undone("d")], settings={}, optional=True),
        undone("g"),
        work("y", retryCount=0),
    )
    run = World().start(definition)
    finish(run, "a", "b")
    run.work("z", NO)
    finish(run, "un_b", "g")
    run.work("y", NO)
    assert claimable(run) == ["un_g"]
    finish(run, "un_g", "un_a")
    assert run.state == "COMPENSATED"


def test_an_optional_block_that_keeps_its_effects():
    definition = saga(
        forked([undone("b"), FAILS], [undone("d")], settings={"onFailure": "NONE"}, optional=True),
        undone("g"),
    )
    run = World().start(definition)
    run.work("b")
    run.work("z", NO)
    run.work("g")
    assert (run.state, run.ledger()["b"]) == ("COMPLETED", "ARMED")


@pytest.mark.parametrize("kind", ["switch", "loop", "dynamic"])
def test_every_kind_of_block(kind: str) -> None:
    keys = {"saga": {}, "optional": True}
    if kind == "switch":
        block: Any = [switch("w", "x", {"x": [undone("b"), FAILS]}, **keys)]
    elif kind == "loop":
        block = [{**loop("l", [1, 2], undone("b"), FAILS), **keys}]
    else:
        block = dynamic("f", [undone("b"), FAILS])
        block[0] |= keys
    run = World().start(saga(undone("a"), block, undone("g")))
    finish(run, "a", "b")
    run.work("z", NO)
    finish(run, "un_b", "g")
    assert (run.state, run.ledger()["a"]) == ("COMPLETED", "ARMED")


def test_a_block_inside_a_branch_leaves_the_other_branch_alone():
    block = switch("w", "x", {"x": [undone("b"), FAILS]}, saga={}, optional=True)
    run = World().start(saga(fork("f", [block, undone("c")], [undone("d"), undone("e")])))
    busy = next(step for step in run.claimable() if step.reference == "d")
    run.feed(Claimed(step_run_id=busy.id, worker="w"))
    run.work("b")
    run.work("z", NO)
    run.end(run.step("d"), Succeeded())
    run.work("un_b")
    finish(run, "c", "e")
    assert run.state == "COMPLETED"


def test_a_block_as_the_last_step_of_a_round():
    block = switch("w", "x", {"x": [undone("b"), FAILS]}, saga={}, optional=True)
    run = World().start(saga(loop("l", [1, 2], block), undone("g")))
    for _ in range(2):
        run.work("b")
        run.work("z", NO)
        run.work("un_b")
    run.work("g")
    assert run.state == "COMPLETED"


def test_a_completed_pivot_in_an_optional_block_is_not_left_behind():
    """Invariant 23."""
    pivot = task("p", effect="PIVOT")
    run = World().start(
        saga(forked([undone("b"), pivot, FAILS], [undone("d")], settings={}, optional=True))
    )
    finish(run, "b", "p", "d")
    run.work("z", NO)
    assert (run.state, run.ledger()) == ("NEEDS_ATTENTION", {"b": "ARMED", "d": "ARMED"})


# ---- the COMPENSATE node ---------------------------------------------------------------------


def test_undoes_a_step_and_what_came_after_then_goes_on():
    run = World().start(saga(undone("a"), undone("b"), undone("c"), back(step="b"), undone("g")))
    finish(run, "a", "b", "c")
    assert claimable(run) == ["un_c"]
    finish(run, "un_c", "un_b", "g")
    assert (run.state, run.execution.epoch) == ("COMPLETED", 1)
    assert run.ledger() == {"a": "ARMED", "b": "COMPENSATED", "c": "COMPENSATED", "g": "ARMED"}
    assert run.execution.outcome == "COMPLETED"


def test_a_step_that_was_not_taken_needs_no_undo():
    run = World().start(saga(switch("w", "x", {"y": [undone("b")]}), back(step="b"), undone("g")))
    run.work("g")
    assert (run.state, run.plans) == ("COMPLETED", [])


def test_undo_of_a_step_inside_a_branch():
    run = World().start(
        saga(fork("f", [undone("b"), back(step="b"), undone("c")], [undone("d")]), undone("g"))
    )
    run.work("b")
    finish(run, "un_b", "c", "d", "g")
    assert run.state == "COMPLETED"


def test_undo_of_a_step_while_what_came_after_it_is_at_work_fails_the_node():
    run = World().start(saga(undone("a"), fork("f", [back(step="a")], [undone("d")])))
    run.work("a")
    assert run.step("back").state == "FAILED"
    assert "d came after it" in run.step("back").reason


def test_goes_back_to_the_named_savepoint():
    settings = {"maxRetries": 1, "retryDelaySeconds": 0, "keep": ["again"]}
    definition = saga(
        undone("a"),
        point("s1"),
        undone("b"),
        point("s2"),
        undone("c"),
        switch(
            "w",
            "${workflow.variables.again}",
            {
                "no": [
                    task("v", "SET_VARIABLE", inputParameters={"again": "yes"}),
                    back(savepoint="s1"),
                ]
            },
        ),
        settings=settings,
        variables={"again": "no"},
    )
    run = World().start(definition)
    finish(run, "a", "b", "c", "un_c", "un_b")
    assert run.execution.epoch == 2
    finish(run, "b", "c")
    assert run.state == "COMPLETED"


def test_the_last_refused_retry_undoes_the_scope():
    definition = saga(
        undone("a"),
        point(),
        undone("b"),
        back(savepoint="s", reason="again"),
        settings={"maxRetries": 1, "retryDelaySeconds": 0},
    )
    run = World().start(definition)
    finish(run, "a", "b", "un_b", "b", "un_b", "un_a")
    assert (run.state, run.execution.epoch) == ("COMPENSATED", 2)


def test_without_a_name_the_run_is_undone():
    run = World().start(saga(undone("a"), back(reason="fraud"), undone("b")))
    finish(run, "a", "un_a")
    assert (run.state, run.execution.outcome) == ("COMPENSATED", "FAILED")
    assert (run.execution.failure or {})["message"] == "fraud"


def test_without_a_name_an_optional_block_is_undone():
    block = switch("w", "x", {"x": [undone("b"), back()]}, saga={}, optional=True)
    run = World().start(saga(undone("a"), block, undone("g")))
    finish(run, "a", "b", "un_b", "g")
    assert run.state == "COMPLETED"


def test_past_a_pivot_only_what_came_after_it_is_undone():
    """Invariant 23."""
    run = World().start(
        saga(undone("a"), task("p", effect="PIVOT"), undone("b"), back(step="a"), undone("g"))
    )
    finish(run, "a", "p", "b", "un_b")
    assert (run.state, run.ledger()) == ("NEEDS_ATTENTION", {"a": "ARMED", "b": "COMPENSATED"})


def test_behind_a_pivot_it_goes_on():
    run = World().start(
        saga(undone("a"), task("p", effect="PIVOT"), undone("b"), back(step="b"), undone("g"))
    )
    finish(run, "a", "p", "b", "un_b", "g")
    assert run.state == "COMPLETED"


def test_an_open_question_is_asked_before_a_part_is_undone():
    settings = {**AGAIN, "retryOn": ["UNKNOWN"]}
    run = World().start(saga(point(), undone("b", onUnknown=["ASK"]), settings=settings))
    run.work("b", Unknown(reason="?"))
    assert (run.state, run.execution.epoch) == ("NEEDS_ATTENTION", 1)
    run.feed(StepSettled(step_run_id=run.step("b").id, applied=False, actor="op", reason="no"))
    assert (run.state, run.execution.epoch) == ("RUNNING", 2)


def test_operator_retry_after_the_run_gave_up():
    run = World().start(saga(point(), work("b", retryCount=0), settings=AGAIN))
    run.work("b", NO)
    run.work("b", NO)
    assert (run.state, run.execution.epoch) == ("FAILED", 2)
    run.feed(RetryRequested(actor="op", reason="mended"))
    run.work("b")
    assert run.state == "COMPLETED"


def test_a_rejected_plan_of_a_part_ends_the_run():
    settings = {**AGAIN, "confirmPlan": "ALWAYS"}
    run = World().start(
        saga(fork("f", [point(), undone("b"), FAILS], [undone("d")]), settings=settings)
    )
    run.work("b")
    busy = next(step for step in run.claimable() if step.reference == "d")
    run.feed(Claimed(step_run_id=busy.id, worker="w"))
    run.work("z", NO)
    assert run.state == "PLANNING"
    run.feed(PlanRejected(hash=run.plans[-1].command.hash, actor="op", reason="keep it"))
    assert run.state == "STOPPING"
    run.end(run.step("d"), Succeeded())
    assert (run.state, run.ledger()) == ("FAILED", {"b": "ARMED", "d": "ARMED"})
