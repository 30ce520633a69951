"""A run that stops before its time: what is in flight, what follows, and `onFailure` (§3, §5)."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.engine.outcomes import Failed, Succeeded, Unknown
from orchestrator.engine.snapshot import (
    AttemptEnded,
    Cancelled,
    Claimed,
    RetryRequested,
    StepSettled,
    UndoRequested,
)
from orchestrator.engine.states import StepState
from tests.unit.engine.definitions import (
    child,
    flow,
    fork,
    loop,
    plain,
    saga,
    task,
    terminate,
    undone,
    work,
)
from tests.unit.engine.driver import Run, World

FAILS = work("z", retryCount=0)
NO = Failed(reason="no")


def claim(run: Run, reference: str) -> None:
    step = next(step for step in run.claimable() if step.reference == reference)
    run.feed(Claimed(step_run_id=step.id, worker="w"))


def cancel(run: Run, *, compensate: bool) -> None:
    run.feed(Cancelled(compensate=compensate, actor="op", reason="stop it"))


def two_branches(**keys: Any) -> Run:
    """Start two branches; `b` is in a worker's hands, `z` fails."""
    run = World().start(saga(undone("a"), fork("f", [undone("b", **keys)], [FAILS])))
    run.work("a")
    claim(run, "b")
    run.work("z", NO)
    return run


def test_no_plan_before_what_is_in_flight_has_settled():
    run = two_branches()

    assert (run.state, run.plans) == ("STOPPING", [])
    run.end(run.step("b"), Succeeded())

    assert run.state == "COMPENSATING"
    assert run.ledger() == {"a": "PLANNED", "b": "READY"}


def test_step_in_flight_that_fails_is_not_undone():
    run = two_branches()

    run.end(run.step("b"), NO)

    assert run.ledger() == {"a": "READY", "b": "VOID"}


def test_scheduled_steps_and_waits_are_cancelled_at_once():
    branches = fork("f", [undone("b")], [task("h", "HUMAN")], [FAILS])
    run = World().start(saga(branches))

    run.work("z", NO)

    assert run.states() == {
        "f": "COMPLETED",
        "f_join": "CANCELLED",
        "b": "CANCELLED",
        "h": "CANCELLED",
        "z": "FAILED",
    }
    assert (run.state, run.ledger()) == ("FAILED", {"b": "VOID"})


def test_step_that_waits_for_a_retry_becomes_what_its_attempts_say():
    branches = fork("f", [undone("b", retryCount=3)], [undone("c", retryCount=3)], [FAILS])
    run = World().start(saga(branches))
    run.work("b", NO)
    run.work("c", Unknown(reason="?"))

    run.work("z", NO)

    states = run.states()
    assert (states["b"], states["c"]) == ("FAILED", "UNKNOWN")
    assert run.ledger() == {"b": "VOID", "c": "DELAYED"}


def test_no_answer_within_the_quiesce_timeout_is_unknown():
    run = two_branches()

    run.world.pass_time(60)

    assert run.states()["b"] == "UNKNOWN"
    assert run.ledger() == {"a": "PLANNED", "b": "DELAYED"}


def test_abandoned_step_is_unknown_at_once():
    run = two_branches(onStop="ABANDON")

    assert run.states()["b"] == "UNKNOWN"
    assert run.state == "COMPENSATING"


def test_plain_run_cancels_all_in_one_decision():
    run = World().start(flow(fork("f", [plain("b")], [plain("z", retryCount=0)])))
    claim(run, "b")
    run.work("z", NO)

    assert run.state == "FAILED"
    assert run.states()["b"] == "CANCELLED"
    run.end(run.step("b"), Succeeded())
    assert run.states()["b"] == "CANCELLED"
    assert len(run.late) == 1


def test_failure_is_told_in_conductors_words():
    run = World().start(flow(plain("z", retryCount=0)))

    run.work("z", NO)

    attempt = run.step("z").attempt_id
    assert run.execution.failure == {
        "stepId": run.step("z").id,
        "taskId": attempt,
        "taskReferenceName": "z",
        "errorClass": "FAILED",
        "message": "no",
        "reason": f"Task {attempt} failed with status: FAILED and reason: 'no'",
    }


def test_policy_none_leaves_entries_armed_for_a_request():
    run = World().start(saga(undone("a"), FAILS, settings={"onFailure": "NONE"}))
    run.work("a")
    run.work("z", NO)
    assert (run.state, run.ledger()) == ("FAILED", {"a": "ARMED"})

    run.feed(UndoRequested(actor="op", reason="after all"))
    run.work("un_a")

    assert run.state == "COMPENSATED"
    assert run.execution.outcome == "FAILED"


@pytest.mark.parametrize(
    ("answer", "state", "ledger"), [(True, "COMPENSATING", "READY"), (False, "FAILED", "ARMED")]
)
def test_policy_ask_waits_for_a_person(answer: bool, state: str, ledger: str):  # noqa: FBT001
    run = World().start(saga(undone("a"), FAILS, settings={"onFailure": "ASK"}))
    run.work("a")
    run.work("z", NO)
    assert run.state == "NEEDS_ATTENTION"

    cancel(run, compensate=answer)

    assert (run.state, run.ledger()) == (state, {"a": ledger})


def test_policy_ask_is_answered_by_a_retry():
    run = World().start(saga(undone("a"), FAILS, settings={"onFailure": "ASK"}))
    run.work("a")
    run.work("z", NO)

    run.feed(RetryRequested(actor="op", reason=""))
    run.work("z")

    assert (run.state, run.execution.outcome) == ("COMPLETED", "COMPLETED")


def test_cancel_with_undo_whatever_the_policy_says():
    run = World().start(saga(undone("a"), FAILS, settings={"onFailure": "NONE"}))
    run.work("a")

    cancel(run, compensate=True)
    run.work("un_a")

    assert (run.state, run.execution.outcome) == ("COMPENSATED", "TERMINATED")


def test_cancel_without_undo_leaves_entries_armed():
    run = World().start(saga(undone("a"), FAILS))
    run.work("a")

    cancel(run, compensate=False)

    assert (run.state, run.ledger()) == ("TERMINATED", {"a": "ARMED"})


def test_cancel_never_takes_an_undo_away():
    """Invariant 25."""
    run = two_branches()

    cancel(run, compensate=False)
    run.end(run.step("b"), Succeeded())

    assert run.state == "COMPENSATING"


def test_cancel_while_stopping_may_ask_for_an_undo():
    settings = {"onFailure": "NONE"}
    run = World().start(saga(undone("a"), fork("f", [undone("b")], [FAILS]), settings=settings))
    run.work("a")
    claim(run, "b")
    run.work("z", NO)

    cancel(run, compensate=True)
    run.end(run.step("b"), Succeeded())

    assert run.state == "COMPENSATING"
    assert run.execution.outcome == "FAILED"


def test_question_holds_the_plan_back():
    risky = undone("a", undo={"safeIfNotApplied": False})
    run = World().start(saga(undone("p"), risky))
    run.work("p")
    run.work("a", Unknown(reason="?"))
    assert (run.state, run.plans) == ("NEEDS_ATTENTION", [])

    run.feed(StepSettled(step_run_id=run.step("a").id, applied=False, actor="eve", reason="looked"))

    assert run.state == "COMPENSATING"
    assert run.ledger() == {"p": "READY", "a": "VOID"}


def test_answer_may_carry_the_output():
    undo = {"tasks": [task("un_a", inputParameters={"id": "${a.output.id}"})]}
    run = World().start(saga(undone("a", undo=undo)))
    run.work("a", Unknown(reason="?"))
    answer = StepSettled(
        step_run_id=run.step("a").id, applied=True, actor="eve", reason="", output={"id": 7}
    )

    run.feed(answer)

    assert run.claimable()[0].input == {"id": 7}
    run.feed(answer)
    assert run.state == "COMPENSATING"


@pytest.mark.parametrize("status", ["COMPLETED", "FAILED", "TERMINATED"])
def test_terminate_ends_a_plain_run_at_once(status: str):
    other = fork("f", [plain("b")], [terminate("t", status, workflowOutput=3)])
    run = World().start(flow(other))

    assert (run.state, run.execution.output) == (status, {"output": 3})
    assert run.states()["b"] == "CANCELLED"
    reason = f"Workflow is {status} by TERMINATE task: {run.step('t').id}"
    if status != "COMPLETED":
        assert run.execution.failure is not None
        assert run.execution.failure["reason"] == reason


@pytest.mark.parametrize("status", ["FAILED", "TERMINATED"])
def test_terminate_undoes_a_saga(status: str):
    end = terminate("t", status, terminationReason="enough")
    run = World().start(saga(undone("a"), loop("l", [1], end)))

    run.work("a")

    assert run.state == "COMPENSATING"
    assert (run.execution.outcome, run.plans[0].command.trigger) == (status, "TERMINATE")
    run.work("un_a")
    assert run.state == "COMPENSATED"


def test_terminate_completed_undoes_nothing_but_waits_for_what_is_in_flight():
    branches = fork("f", [undone("b")], [work("c"), terminate("t", "COMPLETED")])
    run = World().start(saga(branches))
    claim(run, "b")
    run.work("c")
    assert run.state == "STOPPING"

    run.end(run.step("b"), Succeeded())

    assert (run.state, run.ledger()) == ("COMPLETED", {"b": "ARMED"})
    assert run.execution.failure is None


def test_terminate_with_a_wrong_status_fails():
    run = World().start(flow(terminate("t", "${workflow.input.status}")), status="SOMETHING")

    assert (run.state, run.states()) == ("FAILED", {"t": "FAILED"})


def test_a_worker_that_did_nothing_ends_the_run_terminated():
    run = World().start(flow(plain("a")))
    claim(run, "a")

    step = run.step("a")
    end = AttemptEnded(step_run_id=step.id, attempt_id=step.attempt_id, outcome=NO, cancelled=True)
    run.feed(end)

    assert (run.state, run.states()) == ("TERMINATED", {"a": "CANCELLED"})


def test_a_worker_that_did_nothing_now_may_have_done_something_before():
    run = World().start(saga(undone("a", retryCount=1)))
    run.work("a", Unknown(reason="?"))
    run.world.pass_time(60)
    claim(run, "a")

    step = run.step("a")
    end = AttemptEnded(step_run_id=step.id, attempt_id=step.attempt_id, outcome=NO, cancelled=True)
    run.feed(end)

    assert (run.states(), run.ledger()) == ({"a": "UNKNOWN"}, {"a": "DELAYED"})


def test_running_child_is_stopped_with_undo():
    world = World()
    world.register(saga(undone("x"), undone("y"), name="inner"))
    run = world.start(saga(undone("a"), fork("f", [child("s", "inner")], [FAILS])))
    run.work("a")
    inner = world.all[str(run.step("s").child_id)]
    inner.work("x")

    run.work("z", NO)
    world.settle()

    assert (run.state, inner.state) == ("STOPPING", "COMPENSATING")
    inner.work("un_x")
    world.settle()
    assert (inner.state, inner.execution.outcome) == ("COMPENSATED", "TERMINATED")
    assert (run.states()["s"], run.ledger()["s"]) == ("CANCELLED", "COMPENSATED")
    assert run.state == "COMPENSATING"


def test_running_child_of_a_run_that_undoes_nothing_keeps_its_entries():
    world = World()
    world.register(saga(undone("x"), undone("y"), name="inner"))
    run = world.start(saga(child("s", "inner")))
    inner = world.all[str(run.step("s").child_id)]
    inner.work("x")

    cancel(run, compensate=False)
    world.settle()

    assert (run.state, inner.state) == ("TERMINATED", "TERMINATED")
    assert (run.ledger(), inner.ledger()) == ({"s": "ARMED"}, {"x": "ARMED", "y": "VOID"})
    run.feed(UndoRequested(actor="op", reason=""))
    world.settle()
    inner.work("un_x")
    world.settle()
    assert (run.state, inner.state) == ("COMPENSATED", "COMPENSATED")


def test_run_deadline_stops_the_run():
    definition = saga(undone("a"), undone("b"), timeoutSeconds=10, timeoutPolicy="TIME_OUT_WF")
    run = World().start(definition)
    run.work("a")

    run.world.pass_time(10)

    assert (run.state, run.execution.outcome) == ("COMPENSATING", "TIMED_OUT")
    assert run.plans[0].command.trigger == "TIMEOUT"


def test_run_deadline_that_only_alerts():
    definition = flow(plain("a"), timeoutSeconds=10, timeoutPolicy="ALERT_ONLY")
    run = World().start(definition)

    run.world.pass_time(10)

    assert run.state == "RUNNING"
    assert run.events[-1].type == "execution.timeout_alert"


def test_late_success_of_a_plain_step_changes_nothing():
    run = World().start(flow(plain("a")))
    claim(run, "a")
    cancel(run, compensate=False)

    run.end(run.step("a"), Succeeded())

    assert (run.state, run.step("a").state) == ("TERMINATED", StepState.CANCELLED)
