"""Paused time: it counts for business times and not for the timeouts of attempts (§10.6)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from orchestrator.engine.definition.model import TaskPolicy, TimeoutPolicy
from orchestrator.engine.outcomes import Succeeded
from orchestrator.engine.snapshot import Claimed, PauseSet, UndoRequested
from orchestrator.engine.states import Direction, StepState
from tests.unit.engine.definitions import flow, plain, saga, task, undone, work
from tests.unit.engine.driver import Run, World

HOUR = 3600


def pause(run: Run) -> None:
    run.feed(PauseSet(paused=True, actor="op"))


def resume(run: Run) -> None:
    run.feed(PauseSet(paused=False, actor="op"))


def world(**policy: Any) -> World:
    """Return a world whose steps `a` have timeouts that stop the run."""
    timed = TaskPolicy(name="a", retry_count=0, timeout_policy=TimeoutPolicy.TIME_OUT_WF, **policy)
    return World(policies={"a": timed})


def held(run: Run) -> None:
    step = run.claimable()[0]
    run.feed(Claimed(step_run_id=step.id, worker="w"))


def test_nobody_looks_for_a_worker_while_paused():
    run = world(poll_timeout_seconds=60).start(saga(work("a")))
    run.world.pass_time(40)
    pause(run)

    run.world.pass_time(HOUR)
    assert run.step("a").state is StepState.SCHEDULED
    resume(run)
    run.world.pass_time(19)
    assert run.step("a").state is StepState.SCHEDULED
    run.world.pass_time(1)

    assert (run.step("a").state, run.state) == (StepState.FAILED, "TIMED_OUT")


@pytest.mark.parametrize("limit", ["timeout_seconds", "response_timeout_seconds"])
def test_worker_outside_has_its_time_without_the_pauses(limit: str):
    policy = {"response_timeout_seconds": 0, limit: 60}
    run = world(**policy).start(saga(work("a")))
    held(run)
    for _ in range(2):
        run.world.pass_time(20)
        pause(run)
        run.world.pass_time(HOUR)
        resume(run)
    assert run.step("a").state is StepState.DISPATCHED

    run.world.pass_time(20)

    assert run.step("a").state is not StepState.DISPATCHED


def test_pauses_that_no_open_step_has_known_are_forgotten():
    run = World().start(saga(work("a"), work("b")))
    for _ in range(3):
        pause(run)
        run.world.pass_time(10)
        resume(run)
    assert len(run.execution.frontier["pauses"]) == 3

    run.work("a")
    run.world.pass_time(10)
    pause(run)
    resume(run)

    assert len(run.execution.frontier["pauses"]) <= 1


def test_plain_run_goes_on_timing_its_tasks_but_not_while_paused():
    run = world(poll_timeout_seconds=60).start(flow(plain("a")))
    pause(run)
    run.world.pass_time(HOUR)
    assert (run.step("a").state, "pauses" in run.execution.frontier) == ("SCHEDULED", False)

    resume(run)
    run.world.pass_time(0)

    assert run.state == "TIMED_OUT"


def test_wait_ends_by_its_own_time_while_paused_and_is_followed_afterwards():
    inputs = {"duration": "60s"}
    run = World().start(saga(task("w", "WAIT", inputParameters=inputs), work("b")))
    pause(run)

    run.world.pass_time(60)
    assert run.states() == {"w": "COMPLETED"}
    resume(run)

    assert run.states() == {"w": "COMPLETED", "b": "SCHEDULED"}


def test_lease_of_an_undo_outside_stands_still_with_the_run():
    undo = {"retry": {"attemptTimeoutSeconds": 60}}
    run = World().start(saga(undone("a", undo=undo)))
    run.work("a")
    run.feed(UndoRequested(actor="op", reason=""))
    held(run)
    lease = run.step("un_a", Direction.COMPENSATION).due_at
    assert lease is not None
    pause(run)

    run.world.pass_time(HOUR)
    assert run.ledger() == {"a": "RUNNING"}
    resume(run)

    undo_run = run.step("un_a", Direction.COMPENSATION)
    assert undo_run.due_at == lease + timedelta(seconds=HOUR)
    run.end(undo_run, Succeeded())
    assert run.state == "COMPENSATED"


def test_lease_of_our_own_worker_goes_on():
    queues = {("SIMPLE", "a"): "default"}
    run = World(queues=queues).start(saga(work("a")))
    held(run)
    pause(run)

    run.world.pass_time(HOUR)

    assert run.step("a").state is StepState.RETRY_WAIT


def test_pausing_twice_counts_once():
    run = World().start(saga(work("a")))
    pause(run)
    run.world.pass_time(10)
    pause(run)
    resume(run)
    resume(run)

    assert len(run.execution.frontier["pauses"]) == 1
