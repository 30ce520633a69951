"""Polling workers, and results that come when they no longer count."""

from typing import Any

from orchestrator.engine.outcomes import Failed, Succeeded
from orchestrator.models import Attempt, Execution, StepRun
from orchestrator.services import attempts, reports
from orchestrator.services.advance import KEEP_NONE
from orchestrator.services.attempts import Result
from orchestrator.services.reports import TaskReport
from tests.factories.definitions import outside, plain, policy, reversible, saga, task
from tests.fakes import refuses
from tests.runtime import Runtime, everything_stored


def _poll(name: str, **given: Any) -> list[Attempt]:
    values = {"worker": "w1", **given}
    return reports.poll(actor=None, task_type=name, **values)


def _report(attempt: Attempt, status: str = "COMPLETED", **given: Any) -> reports.Reported:
    said = TaskReport(task_id=str(attempt.pk), status=status, worker="w1", **given)
    return reports.report(actor=None, report=said)


def _claim(execution: Execution, reference: str) -> Any:
    step = StepRun.objects.get(execution=execution, reference=reference)
    [work] = attempts.claim(step_run_id=str(step.pk), queue="default", worker="w1")
    return work


def test_a_polling_worker_takes_a_step_and_ends_it(runtime: Runtime) -> None:
    execution = runtime.start(saga("orders", reversible("x"), reversible("a")))
    [taken] = _poll("x")
    nothing = _poll("x", worker="w2")

    reported = _report(taken, output={"paid": True})
    runtime.work()

    assert nothing == []
    assert (taken.state, taken.worker) == ("DISPATCHED", "w1")
    assert (reported.accepted, reported.is_settled) == (True, True)
    assert runtime.read(execution).state == "COMPLETED"
    assert runtime.steps(execution)["x"].output == {"paid": True}


def test_several_tasks_are_taken_at_once_the_more_important_first(runtime: Runtime) -> None:
    definition = saga("orders", reversible("x"))
    runtime.publish(definition)
    runs = [runtime.start_known("orders", priority=priority) for priority in (0, 9, 5)]

    taken = _poll("x", count=2)

    assert [row.execution_id for row in taken] == [runs[1].pk, runs[2].pk]


def test_a_task_given_back_is_handed_out_again_when_it_is_due(runtime: Runtime) -> None:
    runtime.start(saga("orders", reversible("x")))
    [taken] = _poll("x")

    _report(taken, "IN_PROGRESS", callback_after_seconds=10)
    early = _poll("x")
    runtime.clock.advance(11)
    [again] = _poll("x")

    assert early == []
    assert again.pk == taken.pk


def test_a_worker_that_did_something_by_halves_is_undone(runtime: Runtime) -> None:
    execution = runtime.start(saga("orders", reversible("a"), reversible("x")))
    runtime.work()
    [taken] = _poll("x")

    _report(taken, "FAILED", output={"_saga": {"partial": True}})
    runtime.work_for(2)
    [undo] = _poll("undo_x")
    _report(undo)
    runtime.work()

    assert runtime.read(execution).state == "COMPENSATED"
    assert runtime.states(execution)["x"] == "FAILED"
    assert runtime.ledger(execution) == {"a": "COMPENSATED", "x": "COMPENSATED"}


def test_a_task_nobody_takes_in_time_fails_without_effect(runtime: Runtime) -> None:
    definition = policy("x", pollTimeoutSeconds=20, timeoutPolicy="TIME_OUT_WF", timeoutSeconds=60)
    step = {**reversible("x"), "taskDefinition": definition}
    execution = runtime.start(saga("orders", reversible("a"), step))

    runtime.work_for(22)

    ended = runtime.read(execution)
    assert (ended.state, ended.outcome) == ("COMPENSATED", "TIMED_OUT")
    assert runtime.ledger(execution) == {"a": "COMPENSATED", "x": "VOID"}


def test_an_unanswered_task_is_unknown_and_its_late_success_counts_while_it_can(
    runtime: Runtime,
) -> None:
    definition = policy("x", responseTimeoutSeconds=5)
    step = {**reversible("x", onUnknown=["ASK"]), "taskDefinition": definition}
    execution = runtime.start(saga("orders", step, reversible("a")))
    [taken] = _poll("x")
    runtime.work_for(7)
    asked = runtime.states(execution), runtime.ledger(execution)

    reported = _report(taken, output={"paid": True})
    runtime.work()

    assert asked == ({"x": "UNKNOWN"}, {"x": "UNCERTAIN"})
    assert reported.accepted is False
    assert (Attempt.objects.get(pk=taken.pk).late or {})["outcome"] == "Succeeded"
    assert runtime.states(execution)["x"] == "COMPLETED"
    assert runtime.ledger(execution)["x"] not in ("UNCERTAIN", "VOID")


def test_a_result_told_twice_changes_nothing_but_its_attempt(runtime: Runtime) -> None:
    execution = runtime.start(saga("orders", reversible("a"), reversible("x")))
    work = _claim(execution, "a")
    result = Result(work=work, outcome=Succeeded(output={"n": 1}))
    attempts.record_outcomes(results=[result], keep=KEEP_NONE)
    before = runtime.states(execution), runtime.ledger(execution)

    contradiction = Result(work=work, outcome=Failed(reason="no, it did not"))
    attempts.record_outcomes(results=[contradiction], keep=KEEP_NONE)

    assert (runtime.states(execution), runtime.ledger(execution)) == before
    assert runtime.steps(execution)["a"].output == {"n": 1}
    assert (Attempt.objects.get(pk=work.attempt_id).late or {})["outcome"] == "Failed"
    assert "step.late_result" in runtime.events(execution)


def test_a_success_after_the_undo_is_a_late_effect(runtime: Runtime) -> None:
    runtime.shop.will("b", refuses)
    step = reversible("a", onUnknown=["COMPENSATE"])
    execution = runtime.start(saga("orders", step, reversible("b")))
    lost = _claim(execution, "a")
    runtime.work_for(90)
    undone = runtime.read(execution).state, runtime.ledger(execution)

    result = Result(work=lost, outcome=Succeeded(output={}))
    attempts.record_outcomes(results=[result], keep=KEEP_NONE)
    runtime.work()

    assert undone == ("COMPENSATED", {"a": "COMPENSATED"})
    assert runtime.ledger(execution) == {"a": "LATE_EFFECT"}


def test_a_success_told_again_after_the_undo_is_no_late_effect(runtime: Runtime) -> None:
    runtime.shop.will("b", refuses)
    execution = runtime.start(saga("orders", reversible("a"), reversible("b")))
    work = _claim(execution, "a")
    result = Result(work=work, outcome=Succeeded(output={}))
    attempts.record_outcomes(results=[result], keep=KEEP_NONE)
    runtime.work()

    attempts.record_outcomes(results=[result], keep=KEEP_NONE)
    runtime.work()

    assert runtime.read(execution).state == "COMPENSATED"
    assert runtime.ledger(execution)["a"] == "COMPENSATED"


def test_a_heartbeat_holds_the_lease_and_says_when_nobody_wants_the_work(runtime: Runtime) -> None:
    execution = runtime.start(saga("orders", reversible("a")))
    work = _claim(execution, "a")
    runtime.clock.advance(60)
    wanted = work.heartbeat()
    runtime.work_for(60)
    held = runtime.states(execution)
    runtime.work_for(20)

    assert (wanted, work.heartbeat()) == (True, False)
    assert held == {"a": "DISPATCHED"}


def test_a_plain_run_is_made_again_after_a_lost_worker_without_a_retry(runtime: Runtime) -> None:
    execution = runtime.start(plain("plainly", outside("a")))
    lost = _claim(execution, "a")

    runtime.work_for(75)

    assert runtime.read(execution).state == "COMPLETED"
    assert runtime.shop.keys("a") == {lost.idempotency_key}


def test_a_poll_for_nothing_writes_no_run(runtime: Runtime) -> None:
    runtime.start(saga("orders", reversible("x"), task("ask", "HUMAN")))
    before = everything_stored()

    assert _poll("y") == []
    assert _poll("x", domain="elsewhere") == []

    assert everything_stored() == before


def test_of_several_domains_the_first_one_polled_lately_gets_the_task(runtime: Runtime) -> None:
    runtime.publish(saga("orders", reversible("x")))
    domains = {"x": "blue,green,grey"}
    _poll("x", domain="green")

    lately = runtime.start_known("orders", task_to_domain=domains)
    runtime.clock.advance(11)
    later = runtime.start_known("orders", task_to_domain=domains)

    assert runtime.steps(lately)["x"].domain == "green"
    assert runtime.steps(later)["x"].domain == "grey"
    assert [row.execution_id for row in _poll("x", domain="green")] == [lately.pk]
