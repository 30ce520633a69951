"""What the ticker does now and then: find what is stuck or deaf, measure, tidy up."""

import socket
import time
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User

from orchestrator import dispatch, metrics, tasks
from orchestrator.models import (
    ApiToken,
    Attempt,
    Execution,
    StepRun,
    StoredAnswer,
    Worker,
)
from orchestrator.services import accounts, attempts, executions, recovery, upkeep
from orchestrator.services.advance import KEEP_NONE
from orchestrator.services.attempts import Result
from orchestrator.store import clock
from orchestrator.worker import ticker
from tests.factories.definitions import child, reversible, saga, task
from tests.fakes import fails, refuses
from tests.runtime import Runtime

ORDERS = saga("orders", reversible("a"), reversible("b"))


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what the ticker of this process has seen in other tests."""
    monkeypatch.setattr(recovery, "_failing", {})
    monkeypatch.setattr(upkeep, "_repaired", {})


def _kinds(found: list[Any]) -> list[str]:
    return sorted(one.kind for one in found)


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
        tasks_done = [
            Result(work=work, outcome=tasks._run("default", work).outcome) for work in works
        ]
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
