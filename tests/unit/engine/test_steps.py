"""Steps that the engine does itself, and what enables what (conductor/definitions.md §5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from orchestrator.engine.outcomes import Failed, Succeeded
from orchestrator.engine.snapshot import (
    Answer,
    AttemptEnded,
    Claimed,
)
from tests.unit.engine.definitions import Document, flow, fork, loop, plain, switch, task
from tests.unit.engine.driver import Run, World

if TYPE_CHECKING:
    from orchestrator.engine.commands import Question

NO = Failed(reason="no")


def once(reference: str, **keys: Any) -> Document:
    return plain(reference, retryCount=0, **keys)


def finish(run: Run) -> None:
    while steps := run.claimable():
        run.work(steps[0].reference)


def test_no_tasks_complete_at_once():
    assert World().start(flow()).state == "COMPLETED"


def test_output_of_the_last_step_is_the_output_of_the_run():
    run = World().start(flow(once("a"), once("b")))
    finish(run)

    assert run.execution.output == {"of": "b"}


def test_output_parameters_are_evaluated_when_the_run_fails_too():
    outputs = {"a": "${a.output.of}", "n": "${workflow.input.n}"}
    run = World().start(flow(once("a"), once("z"), outputParameters=outputs), n=1)
    run.work("a")
    run.work("z", NO)

    assert run.execution.output == {"a": "a", "n": 1}


# ---- switches --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [("x", ["x1"]), ("empty", []), ("other", ["d1"])],
)
def test_switch_takes_its_case_or_the_default(value: str, expected: list[str]):
    choice = switch("s", value, {"x": [once("x1")], "empty": []}, defaultCase=[once("d1")])
    run = World().start(flow(choice, once("after")))
    finish(run)

    taken = [name for name in run.states() if name not in {"s", "after"}]
    assert (taken, run.state) == (expected, "COMPLETED")
    assert run.step("s").output == {"evaluationResult": [value], "selectedCase": value}


def test_switch_over_null_and_numbers():
    choice = switch("s", "${workflow.input.v}", {"null": [once("n1")], "3": [once("t1")]})

    assert "n1" in World().start(flow(choice)).states()
    assert "t1" in World().start(flow(choice), v=3).states()


def test_decision_falls_to_the_default_for_an_empty_case():
    choice = task(
        "s",
        "DECISION",
        caseValueParam="case",
        inputParameters={"case": "e"},
        decisionCases={"e": []},
        defaultCase=[once("d1")],
    )
    run = World().start(flow(choice))

    assert run.states() == {"s": "COMPLETED", "d1": "SCHEDULED"}
    assert run.step("s").output == {"caseOutput": ["e"]}


def test_switch_by_script_sees_its_input():
    asked: list[Question] = []

    def evaluate(question: Question) -> Answer:
        asked.append(question)
        return Answer(value="x")

    choice = switch("s", "v", {"x": [once("x1")]}) | {
        "evaluatorType": "javascript",
        "expression": "$.case",
    }
    run = World(evaluate=evaluate).start(flow(choice))

    assert run.states() == {"s": "COMPLETED", "x1": "SCHEDULED"}
    assert [(q.evaluator, q.expression, q.data) for q in asked] == [
        ("javascript", "$.case", {"case": "v"})
    ]


# ---- forks -----------------------------------------------------------------------------------


def test_join_gives_outputs_by_reference():
    run = World().start(flow(fork("f", [once("a")], [once("b")]), once("c")))
    run.work("b", Succeeded(output={}))
    assert "c" not in run.states()
    run.work("a")

    assert run.step("f_join").output == {"a": {"of": "a"}}
    assert run.states()["c"] == "SCHEDULED"


def test_join_over_some_ends_does_not_wait_for_the_others():
    run = World().start(flow(fork("f", [once("a")], [once("b")], join=["a"]), once("c")))
    run.work("a")

    assert run.states()["c"] == "SCHEDULED"
    run.work("c")
    assert run.state == "RUNNING"
    run.work("b")
    assert run.state == "COMPLETED"


def test_join_fails_once_all_have_ended_where_failures_are_permissive():
    run = World().start(flow(fork("f", [once("a", permissive=True)], [once("b")])))
    run.work("a", NO)
    assert run.states()["f_join"] == "WAITING"

    run.work("b")

    assert (run.state, run.states()["f_join"], run.step("f_join").reason) == (
        "FAILED",
        "FAILED",
        "no",
    )


def test_join_over_cancelled_ends_only_is_cancelled():
    run = World().start(flow(fork("f", [once("a", permissive=True)], [once("b")])))
    run.feed(Claimed(step_run_id=run.step("a").id, worker="w"))
    step = run.step("a")
    run.feed(
        AttemptEnded(step_run_id=step.id, attempt_id=step.attempt_id, outcome=NO, cancelled=True)
    )
    run.work("b")

    assert (run.state, run.states()["f_join"]) == ("TERMINATED", "CANCELLED")


def test_optional_failure_makes_the_join_complete_with_errors():
    run = World().start(flow(fork("f", [once("a", optional=True)], [once("b")])))
    run.work("a", NO)
    run.work("b")

    assert (run.state, run.states()["f_join"]) == ("COMPLETED", "COMPLETED_WITH_ERRORS")


@pytest.mark.parametrize(
    "order", [["a", "b", "c", "d"], ["d", "c", "b", "a"], ["b", "d", "a", "c"]]
)
def test_nested_forks_complete_in_any_order(order: list[str]):
    inner = fork("g", [once("b")], [once("c")])
    run = World().start(flow(fork("f", [once("a")], inner, [once("d")])))

    for reference in order:
        run.work(reference)

    assert run.state == "COMPLETED"


def test_join_behind_a_switch_counts_what_has_ended():
    choice = switch("s", "x", {"x": [once("x1")]})
    run = World().start(flow(choice, task("j", "JOIN", joinOn=["x1"]), once("after")))
    run.work("x1")

    assert run.step("j").output == {"x1": {"of": "x1"}}
    assert run.states()["after"] == "SCHEDULED"


def test_exclusive_join_gives_the_output_of_the_branch_taken():
    choice = switch("s", "y", {"x": [once("x1")], "y": [once("y1")]})
    run = World().start(flow(choice, task("e", "EXCLUSIVE_JOIN", joinOn=["x1", "y1"])))
    run.work("y1")

    assert run.step("e").output == {"of": "y1"}


def test_exclusive_join_falls_to_its_default():
    choice = switch("s", "z", {"x": [once("x1")]})
    join = task("e", "EXCLUSIVE_JOIN", joinOn=["x1"], defaultExclusiveJoinTask=["a"])
    run = World().start(flow(once("a"), choice, join))
    run.work("a")

    assert (run.state, run.step("e").output) == ("COMPLETED", {"of": "a"})


def test_exclusive_join_looks_at_its_own_round():
    choice = switch("s", "${l.input.loopItem}", {"x": [once("x1")]})
    join = task("e", "EXCLUSIVE_JOIN", joinOn=["x1"])
    run = World().start(flow(loop("l", ["x", "z"], choice, join)))
    run.work("x1")

    assert [step.output for step in run.runs.values() if step.reference == "e"] == [
        {"of": "x1"},
        {},
    ]
