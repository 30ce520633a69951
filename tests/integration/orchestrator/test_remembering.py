"""What a worker remembers of a run saves it reads, and is never believed once it has changed."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from orchestrator.engine.outcomes import Succeeded
from orchestrator.handlers.base import Work
from orchestrator.models import Attempt, Execution, StepRun
from orchestrator.services import attempts, executions, memory
from orchestrator.services.advance import Keeping
from orchestrator.services.attempts import Result
from tests.factories.definitions import reversible, saga
from tests.runtime import Runtime

KEEP = Keeping(queues=("default",), limit=1, worker="w1")
ORDERS = saga("orders", reversible("a"), reversible("b"))


def _claim() -> Work:
    [work] = attempts.claim_due(queue="default", limit=1, worker="w1")
    return work


def _record(work: Work) -> list[Work]:
    result = Result(work=work, outcome=Succeeded(output={"n": 1}))
    return attempts.record_outcomes(results=[result], keep=KEEP)


def _reads(call: Any) -> int:
    """Count the statements that select columns of executions or step runs."""
    with CaptureQueriesContext(connection) as captured:
        call()
    return sum("task_policies FROM" in query["sql"] for query in captured.captured_queries)


def test_an_outcome_of_a_remembered_run_is_written_without_reading_it(runtime: Runtime) -> None:
    runtime.start(ORDERS)
    work = _claim()

    assert _reads(lambda: _record(work)) == 0


def test_an_outcome_of_a_forgotten_run_is_written_all_the_same(runtime: Runtime) -> None:
    execution = runtime.start(ORDERS)
    work = _claim()
    memory.forget_all()

    assert _reads(lambda: _record(work)) == 1
    assert runtime.states(execution) == {"a": "COMPLETED", "b": "DISPATCHED"}


def test_what_was_decided_meanwhile_counts(runtime: Runtime) -> None:
    execution = runtime.start(ORDERS)
    work = _claim()
    executions.pause_execution(actor=None, execution_id=execution.pk)

    following = _record(work)

    # A paused saga takes the outcome and dispatches nothing new.
    assert following == []
    assert runtime.states(execution)["a"] == "COMPLETED"
    assert StepRun.objects.filter(execution=execution, state="DISPATCHED").count() == 0


def test_an_outcome_that_comes_twice_counts_once(runtime: Runtime) -> None:
    execution = runtime.start(ORDERS)
    work = _claim()
    [second] = _record(work)

    _record(work)
    _record(second)

    assert runtime.read(execution).state == "COMPLETED"
    assert Attempt.objects.filter(execution_id=execution.pk, late__isnull=False).count() == 1


def test_revision_and_journal_go_on_without_gaps(runtime: Runtime) -> None:
    execution = runtime.start(ORDERS)
    work: list[Work] = [_claim()]
    while work:
        work = _record(work[0])

    row = Execution.objects.get(pk=execution.pk)
    assert row.head == len(runtime.events(execution))
    assert row.state == "COMPLETED"


def test_a_long_run_is_remembered_by_what_is_held_alone(runtime: Runtime) -> None:
    steps = [reversible(f"r{number}", name="a") for number in range(memory.MOST_RUNS + 5)]
    execution = runtime.start(saga("long", *steps))
    work: list[Work] = [_claim()]
    while work:
        work = _record(work[0])

    assert runtime.read(execution).state == "COMPLETED"
    assert len(memory._known) <= memory.MOST


@pytest.mark.postgresql
def test_a_start_and_its_steps_take_few_ways_to_the_server(runtime: Runtime) -> None:
    runtime.publish(ORDERS)
    runtime.start_known("orders")
    runtime.work()

    with CaptureQueriesContext(connection) as captured:
        runtime.start_known("orders")
        work: list[Work] = [_claim()]
        while work:
            work = _record(work[0])

    # Savepoints stand in for BEGIN and COMMIT here: the test itself is a transaction.
    sent = [query for query in captured.captured_queries if "SAVEPOINT" not in query["sql"]]
    assert len(sent) <= 7
