"""Dynamic forks and loops (conductor/definitions.md §5.6, §5.8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from orchestrator.engine.outcomes import Succeeded
from orchestrator.engine.snapshot import (
    Answer,
    PauseSet,
)
from tests.unit.engine.definitions import Document, dynamic, flow, loop, plain, task
from tests.unit.engine.driver import Run, World

if TYPE_CHECKING:
    from orchestrator.engine.commands import Question


def once(reference: str, **keys: Any) -> Document:
    return plain(reference, retryCount=0, **keys)


def finish(run: Run) -> None:
    while steps := run.claimable():
        run.work(steps[0].reference)


def answering(*answers: Answer) -> World:
    left = list(answers)
    return World(evaluate=lambda _: left.pop(0))


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
            "The forked task i of f is not valid: A SWITCH task needs an `evaluatorType`.",
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
