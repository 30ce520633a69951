"""The ticker: what it finds, what it repairs, and what cannot hold it up."""

import socket
import time
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from celery import current_app
from django.contrib.auth.models import User

from orchestrator import dispatch, metrics, tasks
from orchestrator.engine.outcomes import Succeeded
from orchestrator.models import (
    ApiToken,
    Attempt,
    Execution,
    Notice,
    StepRun,
    StoredAnswer,
    Timer,
    Worker,
)
from orchestrator.services import accounts, attempts, executions, recovery, reports, upkeep
from orchestrator.services.advance import KEEP_NONE
from orchestrator.services.attempts import Result
from orchestrator.store import clock, rings
from orchestrator.worker import ticker
from tests.factories.definitions import child, reversible, saga, task
from tests.fakes import fails, refuses
from tests.runtime import NOBODY, Runtime

ORDERS = saga("orders", reversible("a"), reversible("b"))


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what the ticker of this process has seen in other tests."""
    monkeypatch.setattr(recovery, "_failing", {})
    monkeypatch.setattr(upkeep, "_repaired", {})


def _kinds(found: list[Any]) -> list[str]:
    return sorted(one.kind for one in found)


# ---- rows nobody was woken for ------------------------------------------------------------------


def test_unclaimed_rows_are_rung_for_less_and_less_often(runtime: Runtime) -> None:
    runtime.start(ORDERS)
    rung = []

    for second in range(100):
        runtime.clock.advance(1)
        if rings.stamp_unrung(now=runtime.clock.now()):
            rung.append(second + 1)

    pauses = [later - earlier for earlier, later in pairwise(rung)]
    assert pauses in ([10, 20, 40], [11, 21, 41])


def test_a_child_whose_message_was_lost_is_found_in_its_row(runtime: Runtime) -> None:
    runtime.publish(saga("packing", reversible("b")))
    execution = runtime.start(saga("orders", reversible("a"), child("pack", "packing")))
    [work] = attempts.claim_due(queue="default", limit=1, worker="w1")
    attempts.record_outcomes(
        results=[Result(work=work, outcome=Succeeded(output={}))], keep=KEEP_NONE
    )

    runtime.work()

    assert runtime.read(execution).state == "COMPLETED"
    assert Notice.objects.count() == 0


def test_a_paused_run_does_not_hold_up_the_queue(runtime: Runtime) -> None:
    runtime.publish(ORDERS)
    held = [runtime.start_known("orders") for _ in range(3)]
    for execution in held:
        executions.pause_execution(actor=None, execution_id=execution.pk)
    runtime.clock.advance(5)
    runtime.start_known("orders")

    works = attempts.claim_due(queue="default", limit=1, worker="w1")

    assert len(works) == 1


def test_a_broken_run_holds_up_no_other(runtime: Runtime) -> None:
    runtime.publish(ORDERS)
    broken = runtime.start_known("orders")
    runtime.clock.advance(5)
    others = [runtime.start_known("orders") for _ in range(3)]
    Execution.objects.filter(pk=broken.pk).update(frontier=["no", "frontier"])
    Timer.objects.create(execution=broken, purpose="RUN", subject="", due_at=runtime.clock.now())

    for _ in range(4):
        tasks.run_queue("default", first=NOBODY)
    recovery.tick()
    pause = recovery.tick()

    assert [runtime.read(execution).state for execution in others] == ["COMPLETED"] * 3
    assert runtime.read(broken).state == "RUNNING"
    assert pause == 1.0


def test_a_broken_run_does_not_spoil_the_results_of_others(runtime: Runtime) -> None:
    runtime.publish(ORDERS)
    runs = [runtime.start_known("orders") for _ in range(3)]
    works = attempts.claim_due(queue="default", limit=3, worker="w1")
    Execution.objects.filter(pk=works[1].execution_id).update(frontier=["no", "frontier"])

    results = [Result(work=work, outcome=Succeeded(output={"n": 1})) for work in works]
    attempts.record_outcomes(results=results, keep=KEEP_NONE)

    states = {str(run.pk): StepRun.objects.get(execution=run, reference="a").state for run in runs}
    assert states.pop(works[1].execution_id) == "DISPATCHED"
    assert set(states.values()) == {"COMPLETED"}


def test_a_queue_full_of_messages_is_not_rung_for(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    [step] = StepRun.objects.filter(execution=runtime.start(ORDERS))
    rung: list[list[tuple[str, str]]] = []
    monkeypatch.setattr(dispatch, "ring_steps", lambda steps: rung.append(list(steps)))
    monkeypatch.setattr(dispatch, "full_queues", frozenset)
    runtime.clock.advance(30)
    recovery._ring()
    while_full = list(rung)
    runtime.clock.advance(30)
    monkeypatch.setattr(dispatch, "full_queues", lambda _: frozenset())

    recovery._ring()

    assert while_full == []
    assert rung == [[(str(step.pk), "default")]]
    assert recovery._pause() > 0


@pytest.mark.redis
def test_the_broker_says_which_queues_are_full() -> None:
    for _ in range(dispatch.FULL_QUEUE + 1):
        current_app.send_task("nothing", queue="overfull")
    current_app.send_task("nothing", queue="almost_empty")

    full = dispatch.full_queues(["overfull", "almost_empty", "never_used"])

    with current_app.connection_for_write() as connection:
        channel: Any = connection.default_channel
        for queue in ("overfull", "almost_empty"):
            channel.queue_purge(queue)
    assert full == {"overfull"}
    assert dispatch.answers()


# ---- deaf workers -------------------------------------------------------------------------------


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether the broker answers."""
    does = [True]
    monkeypatch.setattr(dispatch, "answers", lambda: does[0])
    return does


def test_workers_that_leave_work_lying_are_deaf(runtime: Runtime, broker: list[bool]) -> None:
    runtime.start(ORDERS)
    fresh = upkeep.is_deaf()
    runtime.clock.advance(31)
    waiting = upkeep.is_deaf()
    broker[0] = False

    assert (fresh, waiting, upkeep.is_deaf()) == (False, True, False)


def test_workers_that_claim_or_are_at_work_are_not_deaf(
    runtime: Runtime, broker: list[bool]
) -> None:
    runtime.publish(ORDERS)
    host = socket.gethostname()
    for _ in range(2):
        runtime.start_known("orders")
    attempts.claim_due(queue="default", limit=1, worker=f"{host}:7")
    runtime.clock.advance(61)
    at_work = upkeep.is_deaf()
    Attempt.objects.update(worker="elsewhere:7")
    elsewhere = upkeep.is_deaf()
    Worker.objects.create(host=host, last_claim_at=runtime.clock.now())

    assert (at_work, elsewhere, upkeep.is_deaf()) == (False, True, False)


def test_the_ticker_has_deaf_workers_started_again_and_gives_them_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, restarted = [0.0], [0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def restart() -> None:
        restarted[0] += 1

    watch = ticker.DeafWatch(is_deaf=lambda: True, restart=restart)
    counts = []
    for moment in (0, 89, 90, 91, 179, 180):
        now[0] = float(moment)
        watch.look()
        counts.append(restarted[0])

    assert counts == [0, 0, 1, 1, 1, 2]


# ---- what is stuck ------------------------------------------------------------------------------


def test_healthy_runs_are_not_called_stuck(runtime: Runtime) -> None:
    runtime.publish(saga("packing", task("wait", "HUMAN")))
    runtime.shop.will("c", refuses)
    runtime.shop.always("undo_a", refuses)
    runtime.shop.will("b", fails)
    for definition in (
        saga("done", reversible("d")),
        saga("asks", task("wait", "HUMAN")),
        saga("waits", task("wait", "WAIT", inputParameters={"duration": "1 days"})),
        saga("polled", reversible("x")),
        saga("parent", child("pack", "packing")),
        saga("attention", reversible("a"), reversible("c")),
        saga("retries", reversible("b", retries=1, delay=3600)),
    ):
        runtime.run(definition)
    paused = runtime.start(ORDERS)
    executions.pause_execution(actor=None, execution_id=paused.pk)
    held = runtime.run(
        saga("held", reversible("d", undo={"policy": "APPROVAL"}), task("ask", "HUMAN"))
    )
    executions.cancel_execution(actor=None, execution_id=held.pk, compensate=True, reason="x")
    runtime.work_for(3)
    runtime.clock.advance(600)

    assert upkeep.look_for_stuck() == []
    assert runtime.read(held).state == "COMPENSATING"
    assert metrics.EXECUTIONS_STUCK._value.get() == 0


def test_a_run_without_anything_to_wake_it_is_found_and_repaired(runtime: Runtime) -> None:
    execution = runtime.start(ORDERS)
    StepRun.objects.filter(execution=execution).delete()
    frontier = {**execution.frontier, "active": 0}
    Execution.objects.filter(pk=execution.pk).update(frontier=frontier, wake_at=None)
    early = upkeep.look_for_stuck()
    runtime.clock.advance(61)

    found = upkeep.look_for_stuck()
    gauge = metrics.EXECUTIONS_STUCK._value.get()
    again = upkeep.look_for_stuck()

    assert early == []
    assert [(one.kind, one.execution_id) for one in found] == [("asleep", str(execution.pk))]
    assert gauge == 1
    assert again == []
    assert runtime.read(execution).state == "COMPLETED"


def test_a_row_nobody_claims_is_found(runtime: Runtime, caplog: pytest.LogCaptureFixture) -> None:
    execution = runtime.start(ORDERS)
    [step] = StepRun.objects.filter(execution=execution)
    runtime.clock.advance(61)

    found = upkeep.look_for_stuck()

    assert [(one.kind, one.step_run_id) for one in found] == [("unclaimed", str(step.pk))]
    [line] = [record for record in caplog.records if record.message == "stuck"]
    assert line.__dict__["execution_id"] == str(execution.pk)
    runtime.work()
    assert upkeep.look_for_stuck() == []


def test_a_lease_that_is_long_over_is_found_and_lost(runtime: Runtime) -> None:
    execution = runtime.start(ORDERS)
    attempts.claim_due(queue="default", limit=1, worker="dead")
    runtime.clock.advance(120)

    found = upkeep.look_for_stuck()

    assert _kinds(found) == ["lease"]
    assert runtime.states(execution)["a"] != "DISPATCHED"


def test_a_plan_that_stands_still_is_found_and_goes_on(runtime: Runtime) -> None:
    runtime.shop.will("b", refuses)
    execution = runtime.start(ORDERS)
    runtime.clock.advance(1)
    for _ in range(2):
        works = attempts.claim_due(queue="default", limit=1, worker="w1")
        tasks_done = [Result(work=work, outcome=tasks._run(work).outcome) for work in works]
        attempts.record_outcomes(results=tasks_done, keep=KEEP_NONE)
    undo = StepRun.objects.get(execution=execution, direction="COMPENSATION")
    _forget_dispatch(execution, undo)
    runtime.clock.advance(61)

    found = upkeep.look_for_stuck()
    runtime.work()

    assert _kinds(found) == ["plan"]
    assert runtime.read(execution).state == "COMPENSATED"


def _forget_dispatch(execution: Execution, undo: StepRun) -> None:
    """Make the rows say what they said before the undo was dispatched."""
    frontier = Execution.objects.get(pk=execution.pk).frontier
    undo.delete()
    frontier["undo"]["ready"] = [str(undo.compensates)]
    frontier["undo"]["flight"] = 0
    frontier["active"] = 0
    Execution.objects.filter(pk=execution.pk).update(frontier=frontier)


def test_what_cannot_be_repaired_is_tried_once_and_told_each_time(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    runtime.start(ORDERS)
    runtime.clock.advance(61)
    tried: list[Any] = []
    monkeypatch.setattr(upkeep, "_repair", tried.append)

    upkeep.look_for_stuck()
    upkeep.look_for_stuck()

    assert len(tried) == 1
    assert [record.message for record in caplog.records].count("stuck") == 2


# ---- gauges and old rows ------------------------------------------------------------------------


def test_gauges_say_how_much_waits_and_since_when(runtime: Runtime) -> None:
    runtime.publish(ORDERS)
    for _ in range(3):
        runtime.start_known("orders")
    runtime.clock.advance(40)

    upkeep.measure()
    depth = metrics.QUEUE_DEPTH.labels(queue="default")._value.get()
    oldest = metrics.QUEUE_OLDEST_SECONDS.labels(queue="default")._value.get()
    runtime.work()
    upkeep.measure()

    assert (depth, round(oldest)) == (3, 40)
    assert metrics.QUEUE_DEPTH.labels(queue="default")._value.get() == 0


def test_open_undos_are_counted_by_state(runtime: Runtime) -> None:
    runtime.shop.will("b", refuses)
    runtime.shop.will("undo_a", refuses)
    runtime.run(ORDERS)

    upkeep.measure()

    failed = metrics.COMPENSATIONS_OPEN.labels(state="COMPENSATION_FAILED")
    planned = metrics.COMPENSATIONS_OPEN.labels(state="PLANNED")
    assert (failed._value.get(), planned._value.get()) == (1, 0)


def test_every_tick_and_some_claims_are_noted(runtime: Runtime, monkeypatch) -> None:
    monkeypatch.setattr(upkeep._claim_note, "last", 0.0)
    runtime.start(ORDERS)
    recovery.tick()

    attempts.claim_due(queue="default", limit=1, worker="w1")

    [row] = Worker.objects.all()
    assert row.last_tick_at is not None
    assert row.last_claim_at is not None
    assert {"default", "calls"} <= set(row.queues)


def test_old_answers_tokens_and_hosts_are_forgotten(db: None) -> None:
    user = User.objects.create_user("someone")
    old = clock.now() - timedelta(days=3)
    for key in ("old", "new"):
        StoredAnswer.objects.create(actor_id=user.pk, key=key, request_hash="x", status=200)
    StoredAnswer.objects.filter(key="old").update(created_at=old)
    accounts.ensure_service_account(name="robot", key_id="k", secret="s" * 40)
    accounts.exchange_key(key_id="k", secret="s" * 40, address="127.0.0.1")
    ApiToken.objects.update(expires_at=old)
    Worker.objects.create(host="gone", last_tick_at=old)

    upkeep.tidy_up()

    assert list(StoredAnswer.objects.values_list("key", flat=True)) == ["new"]
    assert not ApiToken.objects.exists()
    assert not Worker.objects.exists()


def test_duties_are_done_when_their_time_has_come(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[int] = []
    duty = upkeep._Duty(60.0, lambda: done.append(1))

    duty.run_if_due()
    early = len(done)
    duty.last -= 61
    duty.run_if_due()
    duty.run_if_due()

    assert (early, len(done)) == (0, 1)


def test_a_serve_that_begins_lets_the_leases_of_its_dead_forerunner_end(runtime: Runtime) -> None:
    execution = runtime.start(saga("orders", reversible("a", retries=1), reversible("x")))
    attempts.claim_due(queue="default", limit=1, worker="dead")

    released = recovery.release_own_leases()
    runtime.work()

    assert released == 1
    assert runtime.states(execution)["a"] == "COMPLETED"
    [taken] = reports.poll(actor=None, task_type="x", worker="w1")
    assert recovery.release_own_leases() == 0
    assert taken.state == "DISPATCHED"
