"""Two who decide about the same plan at the same time: one decides, the other is told."""

from functools import partial

import pytest

from orchestrator.models import Execution, ExecutionEvent
from orchestrator.services import plans
from orchestrator.services.errors import Conflict
from tests.concurrency.conftest import race_for
from tests.factories.definitions import reversible, saga
from tests.fakes import refuses
from tests.runtime import Runtime

pytestmark = pytest.mark.postgresql

ASKING = saga("orders", reversible("a"), reversible("b"), settings={"confirmPlan": "ALWAYS"})


def _waiting(runtime: Runtime) -> tuple[Execution, str]:
    runtime.shop.will("b", refuses)
    execution = runtime.run(ASKING)
    return execution, execution.plans.get().hash


def _confirm(execution: Execution, plan_hash: str) -> None:
    plans.confirm_plan(actor=None, execution_id=execution.pk, plan_hash=plan_hash)


def _reject(execution: Execution, plan_hash: str) -> None:
    plans.reject_plan(actor=None, execution_id=execution.pk, plan_hash=plan_hash, reason="no")


def _count(execution: Execution, event: str) -> int:
    return ExecutionEvent.objects.filter(execution_id=execution.pk, type=event).count()


def test_one_of_two_confirms_starts_the_plan(runtime: Runtime) -> None:
    execution, plan_hash = _waiting(runtime)
    act = partial(_confirm, execution, plan_hash)

    first, second = race_for(execution, act, act)

    assert first is None
    assert isinstance(second, Conflict)
    assert _count(execution, "plan.confirmed") == 1
    runtime.work()
    assert runtime.read(execution).state == "COMPENSATED"


def test_a_confirm_before_a_reject_wins(runtime: Runtime) -> None:
    execution, plan_hash = _waiting(runtime)

    first, second = race_for(
        execution, partial(_confirm, execution, plan_hash), partial(_reject, execution, plan_hash)
    )

    assert (first, type(second)) == (None, Conflict)
    runtime.work()
    assert runtime.read(execution).state == "COMPENSATED"
    assert runtime.shop.standing() == []


def test_a_reject_before_a_confirm_wins(runtime: Runtime) -> None:
    execution, plan_hash = _waiting(runtime)

    first, second = race_for(
        execution, partial(_reject, execution, plan_hash), partial(_confirm, execution, plan_hash)
    )

    assert (first, type(second)) == (None, Conflict)
    runtime.work()
    assert runtime.read(execution).state == "FAILED"
    assert runtime.shop.standing() == ["a"]
