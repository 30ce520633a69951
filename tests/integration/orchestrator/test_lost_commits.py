"""A COMMIT may raise and still have happened: the call is made again and finds its own traces."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError, connections

from orchestrator import metrics
from orchestrator.engine.outcomes import Succeeded
from orchestrator.models import Attempt, Execution
from orchestrator.services import attempts, executions
from orchestrator.services.advance import KEEP_NONE
from orchestrator.services.attempts import Result
from orchestrator.services.executions import StartRequest
from orchestrator.store import wire
from tests.factories.definitions import reversible, saga
from tests.integration.orchestrator.conftest import make_runtime
from tests.runtime import Runtime, everything_stored

LoseCommit = Callable[[], None]
ORDERS = saga("orders", reversible("a"), reversible("b"))


@pytest.fixture
def runtime(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Runtime:
    """A runtime whose transactions really commit."""
    made = make_runtime(monkeypatch)
    made.publish(ORDERS)
    return made


@pytest.fixture
def lose_commit(monkeypatch: pytest.MonkeyPatch) -> LoseCommit:
    """Have the answer of the next COMMIT get lost on its way."""

    def lose() -> None:
        database = connections["default"]
        commit = database.commit

        def lost() -> None:
            monkeypatch.setattr(database, "commit", commit)
            commit()
            raise OperationalError("server closed the connection unexpectedly")

        monkeypatch.setattr(database, "commit", lost)

    return lose


def _retries() -> float:
    found: float = metrics.TRANSACTION_RETRIES.labels(reason="connection")._value.get()
    return found


@pytest.mark.parametrize("key", ["", "k"])
def test_a_start_whose_commit_was_lost_makes_one_run(
    runtime: Runtime, lose_commit: LoseCommit, key: str
) -> None:
    before = _retries()
    lose_commit()

    started = executions.start_execution(
        actor=None, workflow_name="orders", input={"order": 1}, idempotency_key=key
    )

    assert started.created
    assert _retries() == before + 1
    assert [row.pk for row in Execution.objects.all()] == [started.id]


def test_many_starts_whose_commit_was_lost_make_each_run_once(
    runtime: Runtime, lose_commit: LoseCommit
) -> None:
    requests = [StartRequest(workflow_name="orders", input={"order": n}) for n in range(3)]
    lose_commit()

    started = executions.start_many(actor=None, requests=requests)

    assert all(row.created for row in started)
    assert {row.id for row in started} == set(Execution.objects.values_list("pk", flat=True))


def test_a_result_whose_commit_was_lost_counts_once(
    runtime: Runtime, lose_commit: LoseCommit
) -> None:
    execution = runtime.start_known("orders")
    [work] = attempts.claim_due(queue="default", limit=1, worker="w1")
    result = Result(work=work, outcome=Succeeded(output={"n": 1}))
    lose_commit()

    attempts.record_outcomes(results=[result], keep=KEEP_NONE)
    runtime.work()

    assert runtime.read(execution).state == "COMPLETED"
    assert runtime.ledger(execution) == {"a": "ARMED", "b": "ARMED"}
    assert runtime.shop.counts() == {"b": 1}


def test_a_cancel_whose_commit_was_lost_stops_once(
    runtime: Runtime, lose_commit: LoseCommit
) -> None:
    execution = runtime.start_known("orders")
    runtime.clock.advance(1)
    [work] = attempts.claim_due(queue="default", limit=1, worker="w1")
    attempts.record_outcomes(
        results=[Result(work=work, outcome=Succeeded(output={}))], keep=KEEP_NONE
    )
    lose_commit()

    executions.cancel_execution(
        actor=None, execution_id=execution.pk, compensate=True, reason="no more"
    )
    runtime.work()

    assert runtime.read(execution).state == "COMPENSATED"
    assert runtime.read(execution).plans.count() == 1
    assert runtime.shop.counts() == {"undo_a": 1}


def test_what_nothing_can_mend_is_raised_and_nothing_is_kept(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime.start_known("orders")
    before = everything_stored()

    def broken(*_: Any) -> None:
        raise OperationalError("disk I/O error")

    with monkeypatch.context() as patch:
        # The COMMIT by itself, so that it can fail without having happened.
        patch.setattr(wire, "_is_outermost", lambda: False)
        patch.setattr(connections["default"], "commit", broken)
        with pytest.raises(OperationalError, match="disk"):
            attempts.claim_due(queue="default", limit=1, worker="w1")

    assert Attempt.objects.get().state == "SCHEDULED"
    assert everything_stored() == before
