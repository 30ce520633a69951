"""Starts: keys, strategies, many at once, and refusals that leave nothing behind."""

import pytest

from orchestrator.models import Execution, StartKey
from orchestrator.services import executions
from orchestrator.services.errors import Conflict, Invalid, Malformed, NotFound
from orchestrator.services.executions import StartRequest
from tests.factories.definitions import outside, reversible, saga
from tests.runtime import Runtime, everything_stored

ORDERS = saga("orders", reversible("a"))


@pytest.fixture
def orders(runtime: Runtime) -> Runtime:
    runtime.publish(ORDERS)
    return runtime


def _start(**given):
    values = {"workflow_name": "orders", "input": {"order": 1}, **given}
    return executions.start_execution(actor=None, **values)


def test_the_same_key_answers_the_first_start(orders: Runtime) -> None:
    first = _start(idempotency_key="k")
    again = _start(idempotency_key="k")

    assert (first.created, again.created) == (True, False)
    assert first.id == again.id
    assert Execution.objects.count() == 1


def test_a_key_belongs_to_one_workflow(orders: Runtime) -> None:
    orders.publish({**ORDERS, "name": "others"})

    first = _start(idempotency_key="k")
    other = _start(idempotency_key="k", workflow_name="others")

    assert first.id != other.id


def test_the_same_key_with_another_body_is_refused(orders: Runtime) -> None:
    first = _start(idempotency_key="k")
    before = everything_stored()

    with pytest.raises(Conflict, match="used with another body") as refused:
        _start(idempotency_key="k", input={"order": 2})

    assert refused.value.details["executionId"] == str(first.id)
    assert everything_stored() == before


def test_fail_refuses_a_key_that_is_taken(orders: Runtime) -> None:
    _start(idempotency_key="k")

    with pytest.raises(Conflict, match="belongs to execution"):
        _start(idempotency_key="k", strategy="FAIL")

    assert Execution.objects.count() == 1


def test_fail_on_running_hands_the_key_over_once_the_first_has_ended(orders: Runtime) -> None:
    first = _start(idempotency_key="k")
    with pytest.raises(Conflict, match="belongs to execution"):
        _start(idempotency_key="k", strategy="FAIL_ON_RUNNING")
    orders.work()

    second = _start(idempotency_key="k", strategy="FAIL_ON_RUNNING")

    assert second.created
    assert second.id != first.id
    assert StartKey.objects.get().execution_id == second.id


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"workflow_name": "nobody"}, NotFound),
        ({"version": 7}, NotFound),
        ({"input": ["no", "object"]}, Invalid),
        ({"priority": 100}, Invalid),
        ({"idempotency_key": "k" * 256}, Malformed),
        ({"definition": saga("broken", outside("x"))}, Invalid),
    ],
)
def test_a_refused_start_leaves_nothing(orders: Runtime, given, error) -> None:
    before = everything_stored()

    with pytest.raises(error):
        _start(**{"idempotency_key": "k", **given})

    assert everything_stored() == before


def _requests(*names: str) -> list[StartRequest]:
    return [StartRequest(workflow_name=name, input={"order": 1}) for name in names]


def test_many_are_started_together_and_all_of_them_run(orders: Runtime) -> None:
    started = executions.start_many(actor=None, requests=_requests(*["orders"] * 40))
    orders.work()

    assert len({row.id for row in started}) == 40
    assert all(row.created for row in started)
    assert set(Execution.objects.values_list("state", flat=True)) == {"COMPLETED"}
    assert orders.shop.counts()["a"] == 40
    assert len(orders.shop.keys("a")) == 40


def test_one_that_cannot_start_starts_none(orders: Runtime, django_db_blocker) -> None:
    before = everything_stored()

    with pytest.raises(NotFound):
        executions.start_many(actor=None, requests=_requests("orders", "nobody", "orders"))

    assert everything_stored() == before
