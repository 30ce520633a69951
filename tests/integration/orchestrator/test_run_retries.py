"""Ended runs that are taken up again together with their failed children (conductor/api.md §14)."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

from orchestrator.models import Execution
from orchestrator.services import compensations, run_retries
from orchestrator.services.errors import Conflict
from tests.factories.definitions import child, outside, plain, reversible, saga
from tests.fakes import refuses
from tests.runtime import Runtime, everything_stored


def _retry(execution: Execution) -> None:
    run_retries.retry_execution(
        actor=None, execution_id=execution.pk, reason="mended", resume_children=True
    )


def _failed_saga(runtime: Runtime) -> Execution:
    """Return a failed run whose failed child has kept its effects."""
    runtime.shop.will("b", refuses)
    kept = {"onFailure": "NONE"}
    runtime.publish(saga("packing", reversible("a"), reversible("b"), settings=kept))
    return runtime.run(saga("orders", reversible("c"), child("pack", "packing"), settings=kept))


def _inner(execution: Execution) -> Execution:
    return Execution.objects.get(parent_id=execution.pk)


def test_a_failed_child_goes_on_where_it_failed(runtime: Runtime) -> None:
    execution = _failed_saga(runtime)
    assert runtime.read(execution).state == "FAILED"

    _retry(execution)
    runtime.work()

    inner = _inner(execution)
    assert (runtime.read(execution).state, inner.state) == ("COMPLETED", "COMPLETED")
    assert runtime.shop.names() == ["c", "a", "b", "b"]
    assert len(runtime.shop.keys("b")) == 1
    assert runtime.ledger(execution) == {"c": "ARMED", "pack": "ARMED"}


def test_a_fresh_child_over_effects_of_the_last_one_is_refused(runtime: Runtime) -> None:
    execution = _failed_saga(runtime)
    before = everything_stored()

    with pytest.raises(Conflict):
        run_retries.retry_execution(actor=None, execution_id=execution.pk)

    assert everything_stored() == before


def test_a_child_that_was_undone_does_not_go_on(runtime: Runtime) -> None:
    runtime.shop.will("b", refuses)
    runtime.publish(
        saga("packing", reversible("a"), reversible("b"), settings={"onFailure": "NONE"})
    )
    execution = runtime.run(plain("orders", outside("c"), child("pack", "packing")))
    inner = _inner(execution)
    compensations.request_compensation(actor=None, execution_id=inner.pk, reason="not wanted")
    runtime.work()
    before = everything_stored()

    with pytest.raises(Conflict, match="was undone"):
        _retry(execution)

    assert everything_stored() == before


@pytest.mark.parametrize(("query", "children"), [("?resumeSubworkflowTasks=true", 1), ("", 2)])
def test_the_protocol_says_whether_children_go_on(
    runtime: Runtime, client: Client, query: str, children: int
) -> None:
    runtime.shop.will("b", refuses)
    runtime.publish(plain("packing", outside("a"), outside("b")))
    execution = runtime.run(plain("orders", child("pack", "packing")))
    client.force_login(User.objects.create_superuser("root"))

    answer = client.post(f"/api/workflow/{execution.pk}/retry{query}")
    runtime.work()

    assert answer.status_code == 204
    assert runtime.read(execution).state == "COMPLETED"
    assert Execution.objects.filter(parent_id=execution.pk).count() == children
