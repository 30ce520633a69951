"""Scripts that are tried again as their TaskDef says (conductor/definitions.md §5.16, §7.1)."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.engine.definition.model import TaskPolicy
from orchestrator.engine.outcomes import Failed
from orchestrator.engine.snapshot import Answer, Cancelled, PauseSet
from tests.unit.engine.definitions import Document, flow, plain, saga, task, undone, work
from tests.unit.engine.driver import World

SLOW = Answer(error="took too long", error_class="timeout")
WRONG = Answer(error="x is not defined", error_class="error")
TWICE = TaskPolicy(name="i", retry_count=1, retry_delay_seconds=5)


def script(type_: str = "INLINE", **keys: Any) -> Document:
    body = {
        "INLINE": {"evaluatorType": "javascript", "expression": "1"},
        "LAMBDA": {"scriptExpression": "return 1;"},
        "JSON_JQ_TRANSFORM": {"queryExpression": "."},
    }
    return task("i", type_, inputParameters=body[type_], **keys)


def answering(*answers: Answer, policy: TaskPolicy | None = TWICE) -> World:
    left = list(answers)
    policies = {"i": policy} if policy else {}
    return World(evaluate=lambda _: left.pop(0), policies=policies)


@pytest.mark.parametrize("type_", ["INLINE", "LAMBDA", "JSON_JQ_TRANSFORM"])
def test_script_that_failed_is_tried_again(type_: str):
    run = answering(SLOW, Answer(value=[1])).start(flow(script(type_)))
    assert (run.states(), run.step("i").attempt) == ({"i": "RETRY_WAIT"}, 2)

    run.world.pass_time(4)
    assert run.states() == {"i": "RETRY_WAIT"}
    run.world.pass_time(1)

    assert (run.state, run.states()) == ("COMPLETED", {"i": "COMPLETED"})
    assert [attempt["state"] for attempt in run.attempts.values()] == ["FAILED", "SUCCEEDED"]


def test_script_that_uses_up_its_attempts_fails():
    run = answering(SLOW, SLOW).start(flow(script()))

    run.world.pass_time(5)

    assert (run.state, run.step("i").reason) == ("FAILED", "took too long")


def test_error_of_a_script_is_not_tried_again():
    """FAILED_WITH_TERMINAL_ERROR."""
    run = answering(WRONG).start(flow(script()))

    assert (run.state, run.step("i").error_class) == ("FAILED", "FAILED_TERMINAL")


def test_error_of_a_lambda_is_tried_again():
    run = answering(WRONG, Answer(value=1)).start(flow(script("LAMBDA")))

    run.world.pass_time(5)

    assert run.state == "COMPLETED"


def test_unregistered_script_is_tried_once():
    run = answering(SLOW, policy=None).start(flow(script()))

    assert run.state == "FAILED"


def test_count_of_the_step_wins_over_the_task_definition():
    run = answering(SLOW).start(flow(script(retryCount=0)))

    assert run.state == "FAILED"


def test_retry_of_a_script_waits_for_the_end_of_a_pause():
    run = answering(SLOW, Answer(value=1)).start(flow(script()))
    run.feed(PauseSet(paused=True, actor="op"))
    run.world.pass_time(5)
    assert run.states() == {"i": "RETRY_WAIT"}

    run.feed(PauseSet(paused=False, actor="op"))
    run.world.pass_time(1)

    assert run.state == "COMPLETED"


def test_script_that_waits_for_its_next_attempt_ends_with_the_run():
    run = answering(SLOW).start(saga(undone("a"), script()))
    run.work("a")

    run.feed(Cancelled(compensate=True, actor="op", reason="enough"))
    run.work("un_a")

    assert (run.state, run.states()["i"]) == ("COMPENSATED", "FAILED")
    assert run.timers == {}


def test_optional_script_lets_the_run_go_on_after_its_attempts():
    run = answering(SLOW, SLOW).start(flow(script(optional=True), plain("z", retryCount=0)))
    run.world.pass_time(5)
    assert run.states() == {"i": "COMPLETED_WITH_ERRORS", "z": "SCHEDULED"}

    run.work("z", Failed(reason="no"))

    assert run.state == "FAILED"


def test_script_that_is_being_evaluated_again_is_cancelled_with_the_run():
    branches = [[script()], [work("z", retryCount=0)]]
    ends = ["i", "z"]
    definition = saga(
        undone("a"),
        task("f", "FORK_JOIN", forkTasks=branches),
        task("j", "JOIN", joinOn=ends),
    )
    run = answering(SLOW, Answer(value=1)).start(definition)
    run.work("a")
    run.work("z", Failed(reason="no"))

    assert run.states()["i"] == "FAILED"
    assert run.state == "COMPENSATING"
