"""SUB_WORKFLOW: children that complete, fail, are retried, timed out and undone (§3, §5.9)."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.engine.definition.model import TaskPolicy, TimeoutPolicy
from orchestrator.engine.outcomes import Failed
from orchestrator.engine.snapshot import Cancelled, EntryActed, PauseSet, UndoRequested
from tests.unit.engine.definitions import Document, child, flow, plain, saga, task, undone, work
from tests.unit.engine.driver import Run, World

NO = Failed(reason="no")
X = plain("x", retryCount=0)


def start(inner: Document, *tasks: Document, world: World | None = None, **inputs: Any) -> Run:
    world = world or World()
    world.register(inner)
    return world.start(saga(*tasks), **inputs)


def child_of(run: Run, reference: str = "s") -> Run:
    return run.world.all[str(run.step(reference).child_id)]


def report(run: Run, reference: str, outcome: Any = None) -> None:
    child_of(run).work(reference, outcome)
    run.world.settle()


def undo(run: Run) -> None:
    run.feed(UndoRequested(actor="op", reason="undo it"))
    run.world.settle()


def test_child_gets_its_input_and_gives_its_output():
    inner = flow(X, name="inner", outputParameters={"got": "${workflow.input.n}"})
    run = start(inner, child("s", "inner", inputParameters={"n": "${workflow.input.n}"}), n=7)
    assert child_of(run).execution.input == {"n": 7}

    report(run, "x")

    assert run.step("s").output == {"got": 7, "subWorkflowId": run.step("s").child_id}
    assert run.step("s").input == {
        "subWorkflowName": "inner",
        "subWorkflowVersion": 1,
        "workflowInput": {"n": 7},
    }
    assert run.state == "COMPLETED"


def test_unknown_child_fails_the_step_for_good():
    run = World().start(flow(child("s", "nobody", retryCount=3)))

    assert (run.state, run.step("s").error_class) == ("FAILED", "FAILED_TERMINAL")
    assert run.step("s").reason == "No such workflow found by name: nobody, version: 1"


def test_inline_definition_is_a_child_of_its_own():
    inline = {"name": "inline", "version": 1, "tasks": [X]}
    step = task("s", "SUB_WORKFLOW", subWorkflowParam={"name": "i", "workflowDefinition": inline})
    run = World().start(flow(step))

    assert child_of(run).execution.input == {
        "subWorkflowName": "i",
        "subWorkflowVersion": None,
        "subWorkflowDefinition": inline,
        "_systemMetadata": {"dynamic": True},
    }
    report(run, "x")
    assert run.state == "COMPLETED"


def test_plain_child_that_fails_is_started_afresh_by_the_retry_policy():
    world = World(policies={"s": TaskPolicy(name="s", retry_count=1, retry_delay_seconds=5)})
    world.register(flow(X, name="inner"))
    run = world.start(flow(child("s", "inner")))
    first = child_of(run)
    report(run, "x", NO)
    assert run.states() == {"s": "RETRY_WAIT"}

    world.pass_time(5)

    assert child_of(run) is not first
    report(run, "x")
    assert run.state == "COMPLETED"


def test_retry_of_a_child_waits_for_the_end_of_a_pause():
    world = World(policies={"s": TaskPolicy(name="s", retry_count=1, retry_delay_seconds=5)})
    world.register(flow(X, name="inner"))
    run = world.start(flow(child("s", "inner")))
    first = child_of(run)
    report(run, "x", NO)
    run.feed(PauseSet(paused=True, actor="op"))
    world.pass_time(5)
    assert child_of(run) is first

    run.feed(PauseSet(paused=False, actor="op"))
    world.pass_time(1)

    assert child_of(run) is not first


def test_failed_child_is_undone_before_its_parent_goes_on():
    run = start(saga(undone("a"), X | {"effect": "NONE"}, name="inner"), child("s", "inner"))
    report(run, "a")
    report(run, "x", NO)
    assert run.states() == {"s": "WAITING"}

    report(run, "un_a")

    assert (run.states(), run.ledger()) == ({"s": "FAILED"}, {"s": "COMPENSATED"})
    assert run.state == "FAILED"


def test_effects_that_a_failed_child_leaves_are_undone_with_the_parent():
    inner = saga(undone("a"), work("x", retryCount=0), name="inner", settings={"onFailure": "NONE"})
    run = start(inner, undone("p"), child("s", "inner", retryCount=5))
    run.work("p")
    report(run, "a")

    report(run, "x", NO)

    assert (run.states()["s"], run.ledger()) == ("FAILED", {"p": "PLANNED", "s": "RUNNING"})
    report(run, "un_a")
    assert run.ledger() == {"p": "READY", "s": "COMPENSATED"}
    run.work("un_p")
    assert (run.state, child_of(run).state) == ("COMPENSATED", "COMPENSATED")


def black_box() -> Document:
    compensation = {"tasks": [task("un_s")], "safeIfNotApplied": True}
    return child("s", "inner", effect="REVERSIBLE", compensation=compensation, retryCount=0)


def test_black_box_is_undone_by_its_own_undo():
    run = start(saga(undone("a"), name="inner"), black_box())
    report(run, "a")

    undo(run)
    run.work("un_s")

    assert (run.state, child_of(run).ledger()) == ("COMPENSATED", {"a": "ARMED"})


def test_black_box_that_did_not_complete_uses_its_own_ledger():
    inner = saga(undone("a"), work("x", retryCount=0), name="inner", settings={"onFailure": "NONE"})
    run = start(inner, black_box())
    report(run, "a")
    report(run, "x", NO)

    assert (run.state, run.ledger(), run.claimable()) == ("COMPENSATING", {"s": "RUNNING"}, [])
    report(run, "un_a")

    assert run.ledger() == {"s": "COMPENSATED"}


def test_black_box_does_not_follow_a_child_that_is_undone_by_itself():
    run = start(saga(undone("a"), name="inner"), black_box())
    report(run, "a")

    undo(child_of(run))
    report(run, "un_a")

    assert (child_of(run).state, run.ledger()) == ("COMPENSATED", {"s": "ARMED"})


def test_cascade_undoes_the_child_first():
    step = black_box()
    step["compensation"]["cascade"] = True
    run = start(saga(undone("a"), name="inner"), undone("p"), step)
    run.work("p")
    report(run, "a")

    undo(run)
    assert (run.claimable(), run.ledger()["s"]) == ([], "RUNNING")
    report(run, "un_a")
    run.work("un_s")
    run.work("un_p")

    assert (run.state, child_of(run).state) == ("COMPENSATED", "COMPENSATED")


def test_child_without_effects_has_no_entry():
    run = start(flow(X, name="inner"), child("s", "inner"))
    report(run, "x")

    assert (run.state, run.ledger()) == ("COMPLETED", {})


def test_child_with_nothing_left_to_undo_is_void():
    inner = saga(undone("a", optional=True), name="inner")
    run = start(inner, undone("p"), child("s", "inner"))
    run.work("p")
    report(run, "a", NO)
    assert run.ledger() == {"p": "ARMED", "s": "ARMED"}

    undo(run)

    assert run.ledger() == {"p": "READY", "s": "VOID"}


def test_child_undone_by_itself_before_counts_as_undone():
    run = start(saga(undone("a"), name="inner"), child("s", "inner"), undone("b"))
    report(run, "a")
    undo(child_of(run))
    child_of(run).work("un_a")
    run.world.settle()

    assert run.ledger() == {"s": "COMPENSATED", "b": "TENTATIVE"}
    run.work("b", NO)
    assert run.state == "FAILED"


def test_child_with_something_skipped_is_skipped():
    inner = saga(undone("a", undo={"policy": "MANUAL"}), name="inner")
    run = start(inner, child("s", "inner"))
    report(run, "a")
    undo(run)
    entry = child_of(run).step("a").id
    act = EntryActed(entry_id=entry, action="SKIP", actor="ann", reason="never mind")
    child_of(run).feed(act)
    run.world.settle()

    assert run.ledger() == {"s": "SKIPPED"}
    assert (run.state, child_of(run).state) == ("PARTIALLY_COMPENSATED", "PARTIALLY_COMPENSATED")


def test_terminated_child_ends_its_parent_terminated():
    run = start(flow(X, name="inner"), child("s", "inner"))

    child_of(run).feed(Cancelled(compensate=False, actor="op", reason="enough"))
    run.world.settle()

    assert (run.state, run.states()) == ("TERMINATED", {"s": "CANCELLED"})
    assert run.execution.failure is not None
    assert "enough" in run.execution.failure["reason"]


def test_optional_child_that_fails_lets_the_run_go_on():
    run = start(
        flow(X, name="inner"), child("s", "inner", optional=True, retryCount=0), undone("b")
    )

    report(run, "x", NO)

    assert run.states() == {"s": "COMPLETED_WITH_ERRORS", "b": "SCHEDULED"}


@pytest.mark.parametrize("policy", [TimeoutPolicy.RETRY, TimeoutPolicy.TIME_OUT_WF])
def test_child_that_takes_too_long_is_stopped_first(policy: TimeoutPolicy):
    policies = {"s": TaskPolicy(name="s", timeout_seconds=10, retry_count=0, timeout_policy=policy)}
    run = start(
        saga(undone("a"), X | {"effect": "NONE"}, name="inner"),
        child("s", "inner"),
        world=World(policies=policies),
    )
    report(run, "a")

    run.world.pass_time(10)
    assert run.states() == {"s": "WAITING"}
    assert child_of(run).state == "COMPENSATING"
    report(run, "un_a")

    assert run.execution.outcome == "TIMED_OUT"
    assert (run.state, run.ledger()) == ("TIMED_OUT", {"s": "COMPENSATED"})


def test_version_resolved_while_running_is_locked():
    """Invariant 45."""
    step = task("s", "SUB_WORKFLOW", subWorkflowParam={"name": "${workflow.input.name}"})
    run = start(flow(X, name="inner"), step, name="inner")

    assert run.execution.lock == {"inner": 1}


def test_grandchildren_are_undone_inside_out():
    world = World()
    world.register(saga(undone("x"), name="leaf"))
    world.register(saga(undone("m"), child("l", "leaf"), name="mid"))
    run = world.start(saga(undone("p"), child("s", "mid")))
    run.work("p")
    mid = child_of(run)
    mid.work("m")
    leaf = world.all[str(mid.step("l").child_id)]
    leaf.work("x")
    world.settle()
    assert run.state == "COMPLETED"

    undo(run)
    assert (run.ledger()["s"], mid.ledger()) == ("RUNNING", {"m": "PLANNED", "l": "RUNNING"})
    leaf.work("un_x")
    world.settle()
    mid.work("un_m")
    world.settle()
    run.work("un_p")

    assert {run.state, mid.state, leaf.state} == {"COMPENSATED"}
