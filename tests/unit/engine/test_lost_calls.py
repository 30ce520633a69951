"""Calls lost with a worker, optional and permissive steps, pauses (definitions.md §7)."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.engine.definition.model import TaskPolicy, TimeoutPolicy
from orchestrator.engine.outcomes import Failed, Unknown
from orchestrator.engine.snapshot import Claimed, PauseSet, StepDue
from orchestrator.engine.states import StepState
from tests.unit.engine.definitions import flow, plain, saga, task, undone, work
from tests.unit.engine.driver import Run, World

NO = Failed(reason="no")


def claim(run: Run, reference: str = "a") -> None:
    step = next(step for step in run.claimable() if step.reference == reference)
    run.feed(Claimed(step_run_id=step.id, worker="w"))


def with_workers(definition: dict[str, Any]) -> Run:
    """Start a run whose step `a` is done by our own workers."""
    return World(queues={("SIMPLE", "a"): "q"}).start(definition)


def lose(run: Run) -> None:
    """Let the lease of `a` run out."""
    claim(run)
    due_at = run.step("a").due_at
    assert due_at is not None
    run.world.now = due_at
    run.feed(StepDue(step_run_id=run.step("a").id))


@pytest.mark.parametrize(
    "definition", [flow(plain("a", retryCount=0)), saga(work("a", retryCount=0))]
)
def test_lost_calls_without_doubt_are_made_again_three_times(definition: dict[str, Any]):
    run = with_workers(definition)

    for lost in (1, 2, 3):
        lose(run)
        assert (run.step("a").state, run.step("a").lost) == (StepState.RETRY_WAIT, lost)
    lose(run)

    assert run.state == "TIMED_OUT"


def test_lost_calls_use_up_no_retry():
    run = with_workers(flow(plain("a", retryCount=1)))
    for _ in range(3):
        lose(run)

    run.work("a", NO)

    assert run.step("a").state is StepState.RETRY_WAIT
    run.world.pass_time(60)
    run.work("a", NO)
    assert run.state == "FAILED"


def test_lost_call_with_an_effect_is_unknown_and_retried_with_its_key():
    run = with_workers(saga(undone("a", retryCount=1)))

    lose(run)

    assert (run.step("a").state, run.ledger()) == (StepState.RETRY_WAIT, {"a": "TENTATIVE"})
    assert run.step("a").doubt
    run.world.pass_time(60)
    run.work("a")
    assert (run.state, run.ledger()) == ("COMPLETED", {"a": "ARMED"})


def test_lease_that_was_renewed_is_not_lost():
    run = with_workers(flow(plain("a")))
    claim(run)

    run.feed(StepDue(step_run_id=run.step("a").id))

    assert run.step("a").state is StepState.DISPATCHED


def test_optional_step_completes_with_errors_after_its_retries():
    run = World().start(flow(plain("a", optional=True, retryCount=1), plain("b")))
    run.work("a", NO)
    run.world.pass_time(60)
    run.work("a", NO)
    run.work("b")

    assert run.states() == {"a": "COMPLETED_WITH_ERRORS", "b": "COMPLETED"}
    assert run.state == "COMPLETED"


def test_permissive_failure_counts_at_the_end():
    run = World().start(flow(plain("a", permissive=True, retryCount=0), plain("b")))
    run.work("a", NO)
    assert run.state == "RUNNING"

    run.work("b")

    assert (run.state, run.states()) == ("FAILED", {"a": "FAILED", "b": "COMPLETED"})
    attempt = run.step("a").attempt_id
    assert run.execution.failure is not None
    expected = f"Task {attempt} failed with status: FAILED and reason: 'no'"
    assert run.execution.failure["reason"] == expected


def test_human_step_with_a_timeout_begins_again():
    policy = TaskPolicy(
        name="h", timeout_seconds=10, retry_delay_seconds=5, timeout_policy=TimeoutPolicy.RETRY
    )
    world = World(policies={"h": policy})
    run = world.start(flow(task("h", "HUMAN")))

    world.pass_time(10)
    assert run.step("h").state is StepState.RETRY_WAIT
    world.pass_time(5)

    assert (run.step("h").state, run.step("h").attempt) == (StepState.WAITING, 2)
    world.pass_time(9)
    assert run.step("h").attempt == 2


def test_dynamic_task_has_the_policy_of_the_task_it_names():
    world = World(policies={"real": TaskPolicy(name="real", retry_count=0)})
    named = task("a", "DYNAMIC", dynamicTaskNameParam="t", inputParameters={"t": "real"})
    run = world.start(flow(named))
    assert run.step("a").name == "real"

    run.work("a", NO)

    assert run.state == "FAILED"


def test_nothing_is_handed_out_while_a_saga_is_paused():
    run = World().start(saga(undone("a"), undone("b")))
    run.feed(PauseSet(paused=True, actor="op"))
    refused = run.feed(Claimed(step_run_id=run.step("a").id, worker="w"))
    assert refused.refused == (run.step("a").id,)

    run.feed(PauseSet(paused=False, actor="op"))
    run.work("a")
    assert run.claimable()


def test_paused_plain_run_hands_out_what_was_scheduled_and_no_more():
    run = World().start(flow(plain("a"), plain("b")))
    run.feed(PauseSet(paused=True, actor="op"))

    run.work("a")
    assert run.states() == {"a": "COMPLETED"}

    run.feed(PauseSet(paused=False, actor="op"))
    assert run.states() == {"a": "COMPLETED", "b": "SCHEDULED"}


def test_unknown_is_a_failure_for_a_plain_run():
    run = World().start(flow(plain("a", retryCount=0)))

    run.work("a", Unknown(reason="?"))

    assert (run.state, run.states()) == ("FAILED", {"a": "FAILED"})
