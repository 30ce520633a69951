"""Steps that the engine does itself, and what enables what (conductor/definitions.md §5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from orchestrator.engine.outcomes import Failed, Succeeded
from orchestrator.engine.snapshot import (
    Answer,
    AttemptEnded,
    Claimed,
    PauseSet,
    RetryRequested,
    VariablesSet,
)
from tests.unit.engine.definitions import Document, dynamic, flow, fork, loop, plain, switch, task
from tests.unit.engine.driver import Run, World

if TYPE_CHECKING:
    from orchestrator.engine.commands import Question

NO = Failed(reason="no")


def once(reference: str, **keys: Any) -> Document:
    return plain(reference, retryCount=0, **keys)


def finish(run: Run) -> None:
    while steps := run.claimable():
        run.work(steps[0].reference)


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


# ---- dynamic forks ---------------------------------------------------------------------------


def test_dynamic_fork_with_inputs_by_reference():
    run = World().start(flow(dynamic("f", [once("i0"), once("i1")]), once("after")))
    assert run.step("f_join").input["joinOn"] == ["i0", "i1"]
    finish(run)

    assert run.step("f_join").output == {"i0": {"of": "i0"}, "i1": {"of": "i1"}}
    assert run.state == "COMPLETED"


def test_dynamic_fork_over_nothing_completes_its_join():
    run = World().start(flow(dynamic("f", []), once("after")))

    assert run.states() == {"f": "COMPLETED", "f_join": "COMPLETED", "after": "SCHEDULED"}


def forked(**inputs: Any) -> list[Document]:
    given = "dynamicForkJoinTasksParam" if "legacy" in inputs else "dynamicForkTasksParam"
    keys = {given: "legacy" if "legacy" in inputs else "tasks"}
    if "legacy" not in inputs:
        keys["dynamicForkTasksInputParamName"] = "inputs"
    return [task("f", "FORK_JOIN_DYNAMIC", inputParameters=inputs, **keys), task("j", "JOIN")]


def test_dynamic_fork_over_one_task_and_many_inputs():
    run = World().start(flow(forked(forkTaskName="t", forkTaskInputs=[{"a": 1}, 2])))

    assert {step.reference: step.input for step in run.claimable()} == {
        "_t_0": {"a": 1, "__index": 0},
        "_t_1": {"input": 2, "__index": 1},
    }


def test_dynamic_fork_over_sub_workflows():
    world = World()
    world.register(flow(once("x"), name="inner"))
    inputs = {"forkTaskWorkflow": "inner", "forkTaskWorkflowVersion": "1"}
    run = world.start(flow(forked(forkTaskInputs=[{"n": 1}], **inputs)))

    assert run.step("_inner_0").type == "SUB_WORKFLOW"
    assert run.step("_inner_0").child_id in world.all


def test_legacy_dynamic_fork():
    tasks = [{"taskName": "t", "referenceName": "r", "input": {"a": 1}}]
    run = World().start(flow(forked(legacy={"dynamicTasks": tasks})))

    assert [(step.reference, step.name, step.input) for step in run.claimable()] == [
        ("r", "t", {"a": 1})
    ]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"tasks": 1}, "the list of dynamic fork tasks is missing or is not a list"),
        ({"tasks": [], "inputs": 1}, "the input of the dynamically forked tasks is not a map"),
        ({"tasks": [1]}, "a dynamically forked task is not an object"),
        (
            {"tasks": [once("i")], "inputs": {"i": "v1"}},
            "the input of the forked task i is not a map",
        ),
        ({"tasks": [{"name": "i"}]}, "f: a forked task has no taskReferenceName"),
        ({"tasks": [once("i"), once("i")]}, "f: duplicate task reference name i"),
        ({"tasks": [once("f")]}, "f: duplicate task reference name f"),
        ({"legacy": 1}, "dynamicTasks is missing or is not a list of objects"),
        (
            {"tasks": [task("i", "SWITCH")]},
            "The forked task i of f is not valid",
        ),
    ],
)
def test_bad_data_for_a_dynamic_fork_fails_the_run(inputs: dict[str, Any], message: str):
    run = World().start(flow(forked(**inputs)))

    assert run.state == "FAILED"
    assert run.execution.failure is not None
    assert run.execution.failure["message"] == message
    assert set(run.states()) == {"f"}


def test_dynamic_fork_in_each_round_of_a_loop():
    run = World().start(flow(loop("l", [1, 2], dynamic("f", [once("i")])), once("after")))
    finish(run)

    assert run.state == "COMPLETED"
    assert [name for name in run.states() if name.startswith("i@")] == ["i@1", "i@2"]


# ---- loops -----------------------------------------------------------------------------------


def test_loop_over_items_gives_outputs_by_round():
    run = World().start(flow(loop("l", ["p", "q"], once("x"))))
    assert run.step("l").input == {"loopIndex": 0, "loopItem": "p"}
    run.work("x")
    assert run.step("l").input == {"loopIndex": 1, "loopItem": "q"}
    run.work("x", Succeeded(output={"n": 2}))

    assert run.step("l").output == {
        "1": {"x": {"of": "x"}},
        "2": {"x": {"n": 2}},
        "iteration": 2,
    }


def test_loop_over_nothing():
    run = World().start(flow(loop("l", [], once("x"))))

    assert (run.state, run.step("l").output) == ("COMPLETED", {"iteration": 0})


@pytest.mark.parametrize(
    ("value", "goes_on"), [(True, True), (1, True), (0, False), ("true", False)]
)
def test_truth_of_a_loop_condition(value: Any, goes_on: bool):  # noqa: FBT001
    body = task("l", "DO_WHILE", loopCondition="$.x['of'] == 1", loopOver=[once("x")])
    run = answering(Answer(value=value)).start(flow(body))
    run.work("x")

    assert ("x@2" in run.states()) is goes_on


def test_loop_condition_sees_its_steps_and_its_iteration():
    asked: list[Question] = []

    def evaluate(question: Question) -> Answer:
        asked.append(question)
        return Answer(value=False)

    condition = "$.l['iteration'] < $.n && $.x['of']"
    body = task(
        "l", "DO_WHILE", loopCondition=condition, loopOver=[once("x")], inputParameters={"n": 3}
    )
    run = World(evaluate=evaluate).start(flow(body))
    run.work("x")

    assert asked[0].data == {"n": 3, "x": {"of": "x"}, "l": {"iteration": 1}}
    assert run.state == "COMPLETED"


def test_loop_keeps_the_last_rounds_only_if_asked():
    rounds = loop("l", [1, 2, 3], once("x")) | {"inputParameters": {"keepLastN": 1}}
    run = World().start(flow(rounds))
    finish(run)

    assert run.step("l").output == {"3": {"x": {"of": "x"}}, "iteration": 3}


def test_long_loop_keeps_the_frontier_small_and_needs_little():
    run = World().start(flow(loop("l", list(range(200)), once("x")), once("after")))
    sizes = []
    for _ in range(200):
        seen = len(run.needs_seen)
        run.work("x")
        sizes.append((len(str(run.execution.frontier)), run.needs_seen[seen:]))

    assert max(size for size, _ in sizes) < 400
    for _, needs in sizes[:-1]:
        assert all(len(need.runs) + len(need.references) <= 3 for need in needs)
        assert not any(need.whole or need.in_motion or need.rounds for need in needs)


def test_many_rounds_without_workers_are_taken_in_slices():
    counted = task("v", "SET_VARIABLE", inputParameters={"n": "${l.input.loopIndex}"})
    run = World().start(flow(loop("l", list(range(500)), counted)))

    assert (run.state, run.execution.variables) == ("COMPLETED", {"n": 499})
    assert len(run.runs) == 501


def test_loop_does_not_go_on_while_paused():
    body = task("l", "DO_WHILE", loopCondition="true", loopOver=[once("x")])
    run = answering(Answer(value=True)).start(flow(body))
    run.feed(PauseSet(paused=True, actor="op"))
    run.work("x")
    assert "x@2" not in run.states()

    run.feed(PauseSet(paused=False, actor="op"))

    assert run.states()["x@2"] == "SCHEDULED"


# ---- waits, variables, scripts ---------------------------------------------------------------


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
