"""Two who decide about the same plan at the same time: one decides, the other is told."""

from functools import partial

import pytest
from django.contrib.auth.models import User

from orchestrator.models import Execution, ExecutionEvent, PendingAct
from orchestrator.services import compensations, events, plans
from orchestrator.services.errors import Conflict
from orchestrator.services.two_persons import Waiting
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


# ---- two persons, two triggers ------------------------------------------------------------------


def _force(execution: Execution, actor: User) -> Waiting | None:
    entry = execution.steprun_set.get(reference="a").pk
    return compensations.request_compensation(
        actor=actor, execution_id=execution.pk, reason="both", entries=[str(entry)], force=True
    )


def test_of_two_persons_at_once_the_second_does_it(runtime: Runtime) -> None:
    execution = runtime.run(saga("orders", reversible("a"), reversible("b")))
    people = [User.objects.create_superuser(name) for name in ("ann", "bob")]

    first, second = race_for(execution, *(partial(_force, execution, one) for one in people))

    assert isinstance(first, Waiting)
    assert second is None
    assert not PendingAct.objects.exists()
    runtime.work()
    assert runtime.ledger(execution) == {"a": "COMPENSATED", "b": "ARMED"}


def test_one_person_twice_at_once_is_one(runtime: Runtime) -> None:
    execution = runtime.run(saga("orders", reversible("a"), reversible("b")))
    ann = User.objects.create_superuser("ann")

    answers = race_for(execution, partial(_force, execution, ann), partial(_force, execution, ann))

    assert [answer.is_new for answer in answers] == [True, False]
    assert runtime.read(execution).state == "COMPLETED"


def test_two_requests_make_one_plan_or_a_larger_one(runtime: Runtime) -> None:
    """Invariant 12: at most one active plan, however many ask."""
    execution = runtime.run(saga("orders", reversible("a"), reversible("b")))
    entry = str(execution.steprun_set.get(reference="b").pk)

    def undo(entries: list[str] | None) -> None:
        compensations.request_compensation(
            actor=None, execution_id=execution.pk, reason="no", entries=entries
        )

    answers = race_for(execution, partial(undo, [entry]), partial(undo, None), partial(undo, None))

    assert answers == [None, None, None]
    assert [plan.state for plan in execution.plans.order_by("number")] == ["EXTENDED", "ACTIVE"]
    runtime.work()
    assert runtime.read(execution).state == "COMPENSATED"
    assert sorted(runtime.shop.names()) == ["a", "b", "undo_a", "undo_b"]


def test_the_same_event_twice_at_once_makes_one_plan(runtime: Runtime) -> None:
    settings = {"triggers": [{"event": "kafka:bookings"}]}
    execution = runtime.run(saga("orders", reversible("a"), reversible("b"), settings=settings))
    act = partial(events.publish_event, actor=None, name="kafka:bookings", payload={})

    race_for(execution, act, act)

    assert execution.plans.count() == 1
    runtime.work()
    assert runtime.read(execution).state == "COMPENSATED"
    assert sorted(runtime.shop.names()) == ["a", "b", "undo_a", "undo_b"]
