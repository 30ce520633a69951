"""An operator's retry: from the failed steps, with the same step runs (saga-semantics §5)."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.engine.outcomes import Failed, Succeeded, Unknown
from orchestrator.engine.snapshot import (
    Answer,
    AttemptEnded,
    Cancelled,
    Claimed,
    PauseSet,
    RetryRequested,
)
from orchestrator.engine.states import StepState
from tests.unit.engine.definitions import (
    Document,
    child,
    dynamic,
    flow,
    fork,
    loop,
    plain,
    saga,
    switch,
    task,
    terminate,
    undone,
)
from tests.unit.engine.driver import Run, World

NO = Failed(reason="no")


def once(reference: str, **keys: Any) -> Document:
    """Build a worker step without retries."""
    return plain(reference, retryCount=0, **keys)


def retry(run: Run) -> None:
    run.feed(RetryRequested(actor="op", reason="again"))


def finish(run: Run) -> None:
    """Complete whatever can be taken."""
    while steps := run.claimable():
        run.work(steps[0].reference)
        run.world.settle()


def test_failed_step_gets_a_new_attempt_of_the_same_step_run():
    run = World().start(flow(once("a"), once("b")))
    run.work("a")
    run.work("b", NO)
    key = run.step("b").id

    retry(run)

    step = run.step("b")
    assert (run.state, run.execution.outcome, run.execution.failure) == ("RUNNING", None, None)
    assert (step.id, step.attempt, step.state) == (key, 2, StepState.SCHEDULED)
    finish(run)
    assert (run.state, run.step("a").attempt) == ("COMPLETED", 1)


def test_void_entries_are_armed_again():
    run = World().start(saga(undone("a"), settings={"onFailure": "NONE"}))
    run.work("a", NO)
    assert run.ledger() == {"a": "VOID"}

    retry(run)
    assert run.ledger() == {"a": "TENTATIVE"}
    run.work("a")

    assert (run.state, run.ledger()) == ("COMPLETED", {"a": "ARMED"})


def test_void_entry_of_a_loop_that_is_undone_as_one_is_armed_again():
    compensation = {"tasks": [task("un_l")], "safeIfNotApplied": True}
    rounds = {**loop("l", [1], undone("a")), "compensate": "ONCE", "compensation": compensation}
    run = World().start(saga(rounds))
    run.feed(Cancelled(compensate=False, actor="op", reason="not now"))
    assert run.ledger()["l"] == "VOID"

    retry(run)
    assert run.ledger()["l"] == "TENTATIVE"
    finish(run)

    assert (run.state, run.ledger()) == ("COMPLETED", {"l": "ARMED"})


def test_unknown_outcome_stays_in_doubt_when_tried_again():
    settings = {"onFailure": "NONE"}
    run = World().start(saga(undone("a"), settings=settings))
    run.work("a", Unknown(reason="?"))
    retry(run)
    assert run.ledger() == {"a": "UNCERTAIN"}

    run.feed(Cancelled(compensate=False, actor="op", reason="no"))

    assert (run.states(), run.ledger()) == ({"a": "UNKNOWN"}, {"a": "UNCERTAIN"})


def test_partial_effect_is_kept_when_the_next_try_is_stopped():
    settings = {"onFailure": "NONE"}
    run = World().start(saga(undone("a"), settings=settings))
    run.work("a", Failed(reason="half", partial=True))
    retry(run)

    run.feed(Cancelled(compensate=True, actor="op", reason="no"))

    assert (run.states(), run.ledger()) == ({"a": "FAILED"}, {"a": "READY"})


def test_branch_that_completed_while_stopping_is_followed_now():
    branches = fork("f", [undone("b1"), undone("b2")], [undone("z")])
    run = World().start(saga(branches, settings={"onFailure": "NONE"}))
    run.feed(Claimed(step_run_id=run.step("b1").id, worker="w"))
    run.work("z", NO)
    run.end(run.step("b1"), Succeeded())
    assert (run.state, run.states()["b1"]) == ("FAILED", "COMPLETED")

    retry(run)

    assert run.states()["b2"] == "SCHEDULED"
    finish(run)
    assert run.state == "COMPLETED"


def test_what_was_reached_before_a_timeout_is_followed_now():
    definition = flow(once("a"), once("b"), timeoutSeconds=10, timeoutPolicy="TIME_OUT_WF")
    run = World().start(definition)
    run.feed(PauseSet(paused=True, actor="op"))
    run.work("a")
    run.world.pass_time(10)
    assert (run.state, run.states()) == ("TIMED_OUT", {"a": "COMPLETED"})

    run.feed(PauseSet(paused=False, actor="op"))
    retry(run)

    assert run.states() == {"a": "COMPLETED", "b": "SCHEDULED"}
    run.world.pass_time(9)
    assert run.state == "RUNNING"


def test_join_counts_on_where_it_was():
    run = World().start(flow(fork("f", [once("b")], [once("c")]), once("d")))
    run.work("c")
    run.work("b", NO)
    retry(run)

    finish(run)

    assert (run.state, run.states()["d"]) == ("COMPLETED", "COMPLETED")


def test_join_that_failed_counts_anew():
    branches = fork("f", [once("b", permissive=True)], [once("c", permissive=True)], [once("d")])
    run = World().start(flow(branches, once("e")))
    run.work("b", NO)
    run.work("d")
    run.work("c", NO)
    assert (run.state, run.states()["f_join"]) == ("FAILED", "FAILED")

    retry(run)
    assert run.states()["f_join"] == "WAITING"
    finish(run)

    assert (run.state, run.states()["e"]) == ("COMPLETED", "COMPLETED")


def test_join_of_a_dynamic_fork_that_failed_counts_anew():
    items = [once("i0", permissive=True), once("i1")]
    run = World().start(flow(dynamic("f", items), once("e")))
    run.work("i0", NO)
    run.work("i1")
    assert run.state == "FAILED"

    retry(run)
    finish(run)

    assert (run.state, run.states()["e"]) == ("COMPLETED", "COMPLETED")


def test_permissive_failure_is_tried_again_without_entering_what_follows_twice():
    run = World().start(flow(once("a", permissive=True), once("b")))
    run.work("a", NO)
    run.work("b")
    assert run.state == "FAILED"

    retry(run)
    assert run.states() == {"a": "SCHEDULED", "b": "COMPLETED"}
    run.work("a")

    assert run.state == "COMPLETED"


def test_loop_goes_on_in_the_round_that_failed():
    run = World().start(flow(loop("l", [1, 2, 3], once("x")), once("d")))
    run.work("x")
    run.work("x", NO)

    retry(run)
    assert run.states() == {"l": "WAITING", "x@1": "COMPLETED", "x@2": "SCHEDULED"}
    finish(run)

    assert run.states()["x@3"] == "COMPLETED"
    assert run.state == "COMPLETED"


def conditional(reference: str, *body: Document) -> Document:
    return task(reference, "DO_WHILE", loopCondition="more()", loopOver=list(body))


def test_loop_whose_condition_broke_is_asked_again():
    answers = [Answer(value=True), Answer(error="boom", error_class="error"), Answer(value=False)]
    world = World(evaluate=lambda _: answers.pop(0))
    run = world.start(flow(conditional("l", once("x")), once("d")))
    run.work("x")
    run.work("x")
    assert (run.state, run.states()["l"]) == ("FAILED", "FAILED")
    assert run.step("l").error_class == "FAILED_TERMINAL"

    retry(run)

    assert run.states() == {
        "l": "COMPLETED",
        "x@1": "COMPLETED",
        "x@2": "COMPLETED",
        "d": "SCHEDULED",
    }


@pytest.mark.parametrize(
    ("broken", "key"),
    [
        (loop("l", "${workflow.variables.items}", once("x")), "items"),
        (
            task(
                "n",
                "DYNAMIC",
                dynamicTaskNameParam="name",
                inputParameters={"name": "${workflow.variables.name}"},
            ),
            "name",
        ),
        (terminate("t", "${workflow.variables.status}"), "status"),
        (task("w", "WAIT", inputParameters={"duration": "${workflow.variables.wait}"}), "wait"),
    ],
)
def test_step_that_the_engine_could_not_begin_begins_again(broken: Document, key: str):
    values = {"items": [1], "name": "real", "status": "COMPLETED", "wait": "1 seconds"}
    run = World().start(flow(broken, variables={key: "nonsense" if key != "name" else None}))
    assert run.state == "FAILED"
    run.execution.variables = {key: values[key]}

    retry(run)
    finish(run)
    run.world.pass_time(1)

    assert run.state == "COMPLETED"


def test_dynamic_fork_with_bad_data_begins_again():
    forked = task(
        "f",
        "FORK_JOIN_DYNAMIC",
        dynamicForkTasksParam="tasks",
        dynamicForkTasksInputParamName="inputs",
        inputParameters={"tasks": "${workflow.variables.tasks}", "inputs": {}},
    )
    run = World().start(flow(forked, task("j", "JOIN"), variables={"tasks": "nonsense"}))
    assert run.state == "FAILED"
    run.execution.variables = {"tasks": [once("i")]}

    retry(run)
    finish(run)

    assert (run.state, run.states()) == (
        "COMPLETED",
        {"f": "COMPLETED", "j": "COMPLETED", "i": "COMPLETED"},
    )


def test_switch_whose_script_broke_is_asked_again():
    answers = [Answer(error="boom", error_class="error"), Answer(value="x")]
    world = World(evaluate=lambda _: answers.pop(0))
    choice = switch("s", "x", {"x": [once("x1")]}) | {
        "evaluatorType": "javascript",
        "expression": "choose()",
    }
    run = world.start(flow(choice))
    assert run.state == "FAILED"

    retry(run)

    assert run.states() == {"s": "COMPLETED", "x1": "SCHEDULED"}


def test_failed_sub_workflow_gets_a_fresh_child():
    world = World()
    world.register(flow(once("x"), name="inner"))
    run = world.start(flow(child("s", "inner", retryCount=0)))
    first = str(run.step("s").child_id)
    world.all[first].work("x", NO)
    world.settle()
    assert run.state == "FAILED"

    retry(run)

    second = str(run.step("s").child_id)
    assert second != first
    world.all[second].work("x")
    world.settle()
    assert run.state == "COMPLETED"
    assert run.step("s").output == {"of": "x", "subWorkflowId": second}


def test_cancelled_waits_begin_again():
    branches = fork("f", [task("h", "HUMAN")], [once("z")])
    run = World().start(flow(branches))
    run.work("z", NO)
    assert run.states()["h"] == "CANCELLED"

    retry(run)
    run.work("z")
    step = run.step("h")
    done = Succeeded(output={"ok": True})
    run.feed(
        AttemptEnded(step_run_id=step.id, attempt_id=step.attempt_id, outcome=done, signal=True)
    )

    assert run.state == "COMPLETED"


def test_nothing_happens_where_nothing_failed():
    run = World().start(flow(terminate("t", "FAILED")))
    assert run.state == "FAILED"

    decision = run.feed(RetryRequested(actor="op", reason=""))

    assert (run.state, decision.is_empty) == ("FAILED", True)


def test_no_retry_of_a_completed_run():
    run = World().start(flow(once("a")))
    run.work("a")

    assert run.feed(RetryRequested(actor="op", reason="")).is_empty


def test_optional_failure_is_not_tried_again():
    run = World().start(flow(once("a", optional=True), once("b")))
    run.work("a", NO)
    run.work("b", NO)

    retry(run)

    assert run.states() == {"a": "COMPLETED_WITH_ERRORS", "b": "SCHEDULED"}


def test_fork_that_could_not_go_on_is_followed_again():
    same = [once("i")]
    run = World().start(flow(dynamic("f", same), dynamic("g", same)))
    run.work("i")
    assert run.state == "FAILED"
    assert run.execution.failure is not None
    assert run.execution.failure["message"] == "g: duplicate task reference name i"

    retry(run)

    assert (run.state, run.states()["g"]) == ("FAILED", "COMPLETED")
