"""Attempts: again and when, and Conductor's timeouts (conductor/definitions.md §7.1, §7.2)."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.engine import retry
from orchestrator.engine.definition.model import RetryLogic, TaskPolicy, TimeoutPolicy, UndoRetry
from orchestrator.engine.outcomes import Failed, Succeeded, Waiting
from orchestrator.engine.snapshot import Claimed, Extended
from orchestrator.engine.states import StepState
from tests.unit.engine.definitions import flow, plain, saga, task, undone
from tests.unit.engine.driver import Run, World

NO = Failed(reason="no")


def world_with(**policy: Any) -> World:
    """Return a world in which the task `a` is registered."""
    return World(policies={"a": TaskPolicy(name="a", **policy)})


def claim(run: Run, reference: str = "a") -> None:
    step = next(step for step in run.claimable() if step.reference == reference)
    run.feed(Claimed(step_run_id=step.id, worker="w"))


def delays(run: Run, tries: int) -> list[int]:
    """Fail `a` several times; return how long each next attempt is held back."""
    found = []
    for _ in range(tries):
        run.work("a", NO)
        step = run.step("a")
        assert step.due_at is not None
        found.append(int((step.due_at - run.world.now).total_seconds()))
        run.world.pass_time(found[-1])
    return found


@pytest.mark.parametrize(
    ("logic", "keys", "expected"),
    [
        ("FIXED", {}, [2, 2, 2]),
        ("LINEAR_BACKOFF", {"backoff_scale_factor": 2}, [4, 8, 12]),
        ("LINEAR_BACKOFF", {"backoff_scale_factor": 2, "max_retry_delay_seconds": 5}, [4, 5, 5]),
        ("EXPONENTIAL_BACKOFF", {}, [2, 4, 8]),
        ("EXPONENTIAL_BACKOFF", {"max_retry_delay_seconds": 3}, [2, 3, 3]),
        ("FIXED", {"max_retry_delay_seconds": 1}, [1, 1, 1]),
    ],
)
def test_delay_before_a_retry(logic: str, keys: dict[str, int], expected: list[int]):
    world = world_with(retry_count=3, retry_delay_seconds=2, retry_logic=RetryLogic(logic), **keys)
    run = world.start(flow(plain("a")))

    assert delays(run, 3) == expected
    run.work("a", NO)
    assert run.state == "FAILED"


def test_jitter_comes_after_the_cap_and_belongs_to_the_attempt():
    policy = TaskPolicy(name="a", max_retry_delay_seconds=10, backoff_jitter_ms=5000)

    found = [retry.forward_delay(policy, 1, f"attempt {index}") for index in range(50)]

    assert all(10 <= delay < 15 for delay in found)
    assert len(set(found)) == 50
    assert found[0] == retry.forward_delay(policy, 1, "attempt 0")


def test_delay_never_overflows():
    policy = TaskPolicy(name="a", retry_logic=RetryLogic.EXPONENTIAL_BACKOFF)

    assert retry.forward_delay(policy, 100, "x") == retry.LONGEST_DELAY


def test_undo_delay_grows_to_its_cap_with_full_jitter():
    policy = UndoRetry(initial_interval_seconds=2, maximum_interval_seconds=60)

    found = [retry.undo_delay(policy, 30, f"attempt {index}") for index in range(50)]

    assert all(0 <= delay < 60 for delay in found)
    assert max(retry.undo_delay(policy, 1, f"a{index}") for index in range(50)) < 2


def test_own_retry_count_wins_and_terminal_errors_are_not_retried():
    world = world_with(retry_count=5)
    run = world.start(flow(plain("a", retryCount=0)))
    run.work("a", NO)
    assert run.state == "FAILED"

    other = world.start(flow(plain("a")))
    other.work("a", Failed(reason="never", terminal=True))
    assert (other.state, other.step("a").error_class) == ("FAILED", "FAILED_TERMINAL")


def test_participant_may_ask_for_a_later_attempt():
    run = world_with(retry_delay_seconds=1).start(flow(plain("a")))

    run.work("a", Failed(reason="busy", retry_after=90))

    run.world.pass_time(89)
    assert not run.claimable()
    run.world.pass_time(1)
    assert run.claimable()


def test_a_retry_is_a_new_attempt_with_the_same_input():
    run = world_with(retry_delay_seconds=1).start(
        flow(plain("a", inputParameters={"x": "${workflow.input.x}"})), x=1
    )
    run.work("a", NO)
    step = run.step("a")

    assert [attempt["number"] for attempt in run.attempts.values()] == [1, 2]
    assert [attempt["state"] for attempt in run.attempts.values()] == ["FAILED", "SCHEDULED"]
    assert (step.attempt, step.input, step.state) == (2, {"x": 1}, StepState.RETRY_WAIT)


def test_response_timeout_and_heartbeats():
    run = world_with(retry_delay_seconds=0, response_timeout_seconds=10).start(flow(plain("a")))
    claim(run)
    run.world.pass_time(8)
    step = run.step("a")
    run.feed(Extended(step_run_id=step.id, attempt_id=step.attempt_id))
    run.world.pass_time(8)
    assert run.step("a").state is StepState.DISPATCHED

    run.world.pass_time(2)

    assert (run.step("a").state, run.step("a").error_class) == (StepState.RETRY_WAIT, "TIMED_OUT")


def test_each_attempt_has_the_whole_timeout():
    world = world_with(
        timeout_seconds=10,
        retry_delay_seconds=0,
        retry_count=1,
        timeout_policy=TimeoutPolicy.RETRY,
    )
    run = world.start(flow(plain("a")))
    claim(run)
    world.pass_time(10)
    claim(run)
    world.pass_time(9)
    assert run.step("a").state is StepState.DISPATCHED

    world.pass_time(1)

    assert (run.state, run.step("a").attempt) == ("TIMED_OUT", 2)


@pytest.mark.parametrize("optional", [False, True])
def test_time_out_wf_ends_the_run_even_if_optional(optional: bool):  # noqa: FBT001
    world = world_with(timeout_seconds=10, timeout_policy=TimeoutPolicy.TIME_OUT_WF)
    run = world.start(flow(plain("a", optional=optional), plain("b")))
    claim(run)

    world.pass_time(10)

    assert (run.state, run.states()) == ("TIMED_OUT", {"a": "FAILED"})


def test_time_out_wf_of_an_effect_leaves_it_unknown_and_undoes():
    world = world_with(timeout_seconds=10, timeout_policy=TimeoutPolicy.TIME_OUT_WF)
    run = world.start(saga(undone("p"), undone("a", retryCount=3)))
    run.work("p")
    claim(run)

    world.pass_time(10)

    assert run.states()["a"] == "UNKNOWN"
    assert (run.state, run.execution.outcome) == ("COMPENSATING", "TIMED_OUT")


def test_time_out_wf_stops_the_run_though_a_probe_says_it_happened():
    world = world_with(timeout_seconds=10, timeout_policy=TimeoutPolicy.TIME_OUT_WF)
    run = world.start(saga(undone("a", probe=task("look")), undone("b")))
    claim(run)
    world.pass_time(10)

    run.work("look", Succeeded(output={"applied": True}))

    assert run.states() == {"a": "COMPLETED"}
    assert (run.state, run.execution.outcome) == ("COMPENSATING", "TIMED_OUT")


def test_alert_only_changes_nothing_but_other_limits_still_hold():
    world = world_with(
        timeout_seconds=10,
        response_timeout_seconds=30,
        retry_delay_seconds=0,
        timeout_policy=TimeoutPolicy.ALERT_ONLY,
    )
    run = world.start(flow(plain("a")))
    claim(run)

    world.pass_time(10)
    assert run.step("a").state is StepState.DISPATCHED
    assert run.events[-1].type == "step.timeout_alert"

    world.pass_time(30)
    assert run.step("a").state is StepState.RETRY_WAIT


@pytest.mark.parametrize("policy", list(TimeoutPolicy))
def test_poll_timeout(policy: TimeoutPolicy):
    world = world_with(
        poll_timeout_seconds=10, retry_count=1, retry_delay_seconds=5, timeout_policy=policy
    )
    run = world.start(saga(undone("a", retryCount=1)))

    world.pass_time(10)
    if policy is TimeoutPolicy.ALERT_ONLY:
        assert run.step("a").state is StepState.SCHEDULED
        return
    if policy is TimeoutPolicy.TIME_OUT_WF:
        assert (run.state, run.ledger()) == ("TIMED_OUT", {"a": "VOID"})
        return
    assert run.step("a").state is StepState.RETRY_WAIT
    world.pass_time(14)
    assert run.step("a").state is StepState.RETRY_WAIT
    world.pass_time(1)
    assert (run.state, run.ledger()) == ("TIMED_OUT", {"a": "VOID"})


def test_total_timeout_counts_from_the_first_attempt():
    world = world_with(
        total_timeout_seconds=30,
        retry_delay_seconds=20,
        retry_count=9,
        timeout_policy=TimeoutPolicy.RETRY,
    )
    run = world.start(flow(plain("a")))
    run.work("a", NO)

    world.pass_time(30)

    assert (run.state, run.step("a").error_class) == ("TIMED_OUT", "TIMED_OUT")


def test_total_timeout_used_up_ends_the_retries():
    world = world_with(total_timeout_seconds=30, retry_count=9)
    run = world.start(flow(plain("a")))
    claim(run)
    world.now = world.now.replace(second=31)

    run.end(run.step("a"), NO)

    assert run.state == "FAILED"


def test_handed_back_step_is_polled_again_after_its_callback():
    run = world_with(timeout_seconds=60, timeout_policy=TimeoutPolicy.RETRY).start(flow(plain("a")))
    claim(run)
    run.end(run.step("a"), Waiting(callback_seconds=20, output={"so": "far"}))
    assert (run.step("a").state, run.claimable()) == (StepState.WAITING, [])

    run.world.pass_time(20)
    claim(run)
    step = run.step("a")
    assert (step.state, step.attempt, step.output) == (StepState.DISPATCHED, 1, {"so": "far"})

    run.world.pass_time(40)
    assert run.step("a").state is StepState.RETRY_WAIT


def test_async_work_is_timed_too():
    world = world_with(timeout_seconds=60, retry_count=0, timeout_policy=TimeoutPolicy.RETRY)
    run = world.start(flow(plain("a")))
    claim(run)
    run.end(run.step("a"), Waiting())

    world.pass_time(60)

    assert run.state == "TIMED_OUT"


def test_start_delay():
    run = World().start(flow(plain("a", startDelay=30)))

    assert run.claimable() == []
    run.world.pass_time(30)
    assert [step.reference for step in run.claimable()] == ["a"]
