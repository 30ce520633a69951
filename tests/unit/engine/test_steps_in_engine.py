"""Waits, variables, scripts and worker steps (conductor/definitions.md §5.13 to §5.20)."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.engine.outcomes import Failed, Succeeded
from orchestrator.engine.snapshot import (
    Answer,
    AttemptEnded,
    Claimed,
    RetryRequested,
    VariablesSet,
)
from tests.unit.engine.definitions import Document, flow, fork, plain, switch, task
from tests.unit.engine.driver import Run, World

NO = Failed(reason="no")


def once(reference: str, **keys: Any) -> Document:
    return plain(reference, retryCount=0, **keys)


def complete(run: Run, reference: str) -> None:
    """Complete a wait from outside."""
    step = run.step(reference)
    done = Succeeded(output={"by": "signal"})
    run.feed(
        AttemptEnded(step_run_id=step.id, attempt_id=step.attempt_id, outcome=done, signal=True)
    )


def answering(*answers: Answer) -> World:
    left = list(answers)
    return World(evaluate=lambda _: left.pop(0))


def test_wait_for_a_duration():
    run = World().start(flow(task("w", "WAIT", inputParameters={"duration": "2 seconds"})))
    run.world.pass_time(1)
    assert run.states() == {"w": "WAITING"}

    run.world.pass_time(1)

    assert run.state == "COMPLETED"


def test_wait_until_a_moment_that_has_passed_is_over():
    run = World().start(flow(task("w", "WAIT", inputParameters={"until": "2020-01-01 10:00"})))

    assert run.state == "COMPLETED"


def test_wait_for_a_signal_also_before_its_time():
    waits = [task("w", "WAIT", inputParameters={"duration": "9 days"}), task("v", "WAIT")]
    run = World().start(flow(*waits))
    complete(run, "w")
    complete(run, "v")

    assert (run.state, run.timers) == ("COMPLETED", {})
    assert run.step("v").output == {"by": "signal"}


def test_wait_for_nonsense_fails_for_good():
    inputs = {"duration": "${workflow.input.d}"}
    run = World().start(flow(task("w", "WAIT", inputParameters=inputs)), d="a while")

    assert (run.state, run.step("w").error_class) == ("FAILED", "FAILED_TERMINAL")


def test_variables_are_set_by_steps_and_from_outside():
    run = World().start(
        flow(
            task("v", "SET_VARIABLE", inputParameters={"n": 1}),
            once("a", inputParameters={"n": "${workflow.variables.n}"}),
            once("b", inputParameters={"n": "${workflow.variables.n}"}),
            variables={"n": 0, "m": 0},
        )
    )
    assert run.step("a").input == {"n": 1}
    run.feed(VariablesSet(values={"n": 2}, actor="op"))
    run.work("a")

    assert run.step("b").input == {"n": 2}
    assert run.execution.variables == {"n": 2, "m": 0}


def test_too_many_variables_fail_the_step_for_good():
    big = task("v", "SET_VARIABLE", inputParameters={"n": "x" * 300_000})
    run = World().start(flow(big))

    assert (run.state, run.step("v").error_class) == ("FAILED", "FAILED_TERMINAL")


def inline(**inputs: Any) -> Document:
    return task("i", "INLINE", inputParameters={"evaluatorType": "javascript", **inputs})


@pytest.mark.parametrize(
    ("answer", "state", "error_class"),
    [
        (Answer(value=3), "COMPLETED", ""),
        (Answer(error="boom", error_class="error"), "FAILED", "FAILED_TERMINAL"),
        (Answer(error="too long", error_class="timeout"), "FAILED", "FAILED"),
    ],
)
def test_inline_script(answer: Answer, state: str, error_class: str):
    run = answering(answer).start(flow(inline(expression="1 + 2", retryCount=0)))

    assert (run.state, run.step("i").error_class) == (state, error_class)
    expected = {"error": answer.error} if answer.error else {"result": 3}
    assert run.step("i").output == expected


def test_inline_by_value_needs_no_script():
    by_value = inline(expression="n", n=5)
    by_value["inputParameters"]["evaluatorType"] = "value-param"

    run = World().start(flow(by_value))

    assert run.step("i").output == {"result": 5}


@pytest.mark.parametrize(
    ("step", "problem"),
    [
        (
            task(
                "i",
                "INLINE",
                inputParameters={"evaluatorType": "${workflow.input.kind}", "expression": "1"},
            ),
            "evaluatorType 'ruby' is not supported",
        ),
        (
            task(
                "i",
                "JSON_JQ_TRANSFORM",
                inputParameters={"queryExpression": "${workflow.input.none}"},
            ),
            "queryExpression is missing",
        ),
    ],
)
def test_script_steps_without_a_script_fail(step: Document, problem: str):
    run = World().start(flow(step), kind="ruby")

    assert (run.state, run.step("i").reason) == ("FAILED", problem)


def test_lambda_and_jq():
    lambda_ = task("i", "LAMBDA", inputParameters={"scriptExpression": "return 1;"})
    jq = task("j", "JSON_JQ_TRANSFORM", inputParameters={"queryExpression": ".a"})
    run = answering(Answer(value=1), Answer(value=[4, 5])).start(flow(lambda_, jq))

    assert run.step("i").output == {"result": 1}
    assert run.step("j").output == {"result": 4, "resultList": [4, 5]}


def test_own_task_id_is_new_in_each_attempt():
    run = World().start(flow(plain("a", inputParameters={"id": "${CPEWF_TASK_ID}"})))
    first = run.step("a").input["id"]
    run.work("a", NO)

    step = run.step("a")
    assert (first, step.input["id"]) == (step.id, step.attempt_id)


def test_dynamic_task_without_a_name_fails_for_good():
    step = task(
        "a", "DYNAMIC", dynamicTaskNameParam="t", inputParameters={"t": "${workflow.input.t}"}
    )
    run = World().start(flow(step))

    assert (run.state, run.step("a").error_class) == ("FAILED", "FAILED_TERMINAL")


def test_domains():
    run = World()._start(
        World().register(flow(fork("f", [once("a")], [once("b")], [once("c")]))),
        "00000001-0000-7000-8000-000000000000",
        {},
        domains={"a": "x,y", "b": "NO_DOMAIN", "*": "z"},
    )

    assert {step.reference: step.domain for step in run.claimable()} == {
        "a": "y",
        "b": "",
        "c": "z",
    }


@pytest.mark.parametrize(
    ("listed", "polled", "domain"),
    [
        ("x,y", (), "y"),
        ("x,y", ("x",), "x"),
        ("x, y", ("y", "x"), "x"),
        ("x,y,z", ("y", "other"), "y"),
        ("x,NO_DOMAIN", (), ""),
        ("x,NO_DOMAIN", ("", "x"), "x"),
        ("NO_DOMAIN,x", ("",), "x"),
    ],
)
def test_first_domain_that_workers_ask_for_is_taken(
    listed: str, polled: tuple[str, ...], domain: str
):
    """definitions.md §8.2; else the last one."""
    world = World(polled={"a": polled})
    graph = world.register(flow(once("a")))
    run = world._start(graph, "00000001-0000-7000-8000-000000000000", {}, domains={"a": listed})

    assert run.step("a").domain == domain


def test_worker_that_keeps_going_gets_the_next_step_in_the_same_decision():
    world = World(queues={("SIMPLE", "a"): "q", ("SIMPLE", "b"): "q", ("SIMPLE", "c"): "other"})
    run = world.start(flow(once("a"), once("b"), once("c")))
    run.feed(Claimed(step_run_id=run.step("a").id, worker="w"))
    step = run.step("a")
    end = AttemptEnded(step_run_id=step.id, attempt_id=step.attempt_id, outcome=Succeeded())

    decision = run.feed(end, claim=("q",))

    assert [taken.reference for taken in decision.claimed] == ["b"]
    assert run.states()["b"] == "DISPATCHED"


def test_a_task_that_nobody_holds_may_be_ended_from_outside():
    run = World().start(flow(plain("a"), once("b")))
    complete(run, "a")
    assert run.states() == {"a": "COMPLETED", "b": "SCHEDULED"}

    other = World().start(flow(plain("a")))
    other.work("a", NO)
    complete(other, "a")
    assert other.state == "COMPLETED"


def test_a_value_that_is_too_large_fails_the_step():
    choice = switch("s", "${workflow.input.v}", {"x": [once("x1")]})
    run = World().start(flow(choice), v=["x" * 1000] * 2000)

    assert (run.state, run.step("s").error_class) == ("FAILED", "FAILED_TERMINAL")
    run.feed(RetryRequested(actor="op", reason=""))
    assert run.state == "FAILED"
