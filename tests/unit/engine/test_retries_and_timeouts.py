"""Attempts: again and when, and Conductor's timeouts (conductor/definitions.md §7.1, §7.2)."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.engine import retry
from orchestrator.engine.definition.model import RetryLogic, TaskPolicy, TimeoutPolicy, UndoRetry
from orchestrator.engine.outcomes import Failed, Succeeded, Unknown, Waiting
from orchestrator.engine.snapshot import Claimed, Extended, PauseSet, StepDue
from orchestrator.engine.states import StepState
from tests.unit.engine.definitions import flow, plain, saga, task, undone, work
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
