"""The ticker: what it finds, what it repairs, and what cannot hold it up."""

from itertools import pairwise
from typing import Any

import pytest
from celery import current_app

from orchestrator import dispatch, tasks
from orchestrator.engine.outcomes import Succeeded
from orchestrator.models import (
    Execution,
    Notice,
    StepRun,
    Timer,
)
from orchestrator.services import attempts, executions, memory, recovery, reports, upkeep
from orchestrator.services.advance import KEEP_NONE
from orchestrator.services.attempts import Result
from orchestrator.store import rings
from tests.factories.definitions import child, reversible, saga
from tests.runtime import NOBODY, Runtime

ORDERS = saga("orders", reversible("a"), reversible("b"))


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what the ticker of this process has seen in other tests."""
    monkeypatch.setattr(recovery, "_failing", {})
    monkeypatch.setattr(upkeep, "_repaired", {})


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
    # Who remembers the run does not read what is broken.
    memory.forget_all()

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
