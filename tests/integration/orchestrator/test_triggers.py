"""Events and moments that a definition waits for (T7): who takes them, who may raise them."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from orchestrator.access.grants import Grant, give
from orchestrator.access.roles import Role
from orchestrator.audit.models import AuditEntry
from orchestrator.models import Execution, Timer, VersionTrigger
from orchestrator.services import events
from orchestrator.services.errors import Forbidden, Invalid
from orchestrator.store import clock
from tests.factories.definitions import reversible, saga, task
from tests.runtime import Runtime, everything_stored

EVENT = "kafka:bookings"
SAME_ORDER = "$.event.order === $.workflow.input.order"


def _definition(name: str = "orders", **trigger: Any) -> dict[str, Any]:
    return saga(
        name,
        reversible("a"),
        reversible("b"),
        settings={"triggers": [{"event": EVENT, **trigger}]},
    )


def _raise(payload: Any = None, actor: User | None = None, name: str = EVENT) -> events.Raised:
    return events.publish_event(actor=actor, name=name, payload=payload or {})


def _person(name: str, role: Role, execution: Execution) -> User:
    user = User.objects.create_user(name)
    give(None, execution.workflow, Grant(role=role, user_id=user.pk, name=name))
    return user


def test_only_the_runs_whose_condition_holds_are_undone(runtime: Runtime) -> None:
    first = runtime.run(_definition(condition=SAME_ORDER), input={"order": 1})
    second = runtime.start_known("orders", input={"order": 2})
    runtime.work()

    found = _raise({"order": 2})
    runtime.work()

    assert (found.taken, found.executions, found.unanswered) == (1, [str(second.pk)], 0)
    assert runtime.read(first).state == "COMPLETED"
    assert runtime.read(second).state == "COMPENSATED"
    plan = second.plans.get()
    assert (plan.trigger, plan.reason) == ("TRIGGER", f"the event {EVENT}")


def test_live_and_completed_runs_take_an_event_once(runtime: Runtime) -> None:
    definition = saga(
        "orders",
        reversible("a"),
        task("ask", "HUMAN"),
        settings={"triggers": [{"event": EVENT, "steps": ["a"]}]},
    )
    live = runtime.run(definition)
    other = runtime.run(_definition("others"))

    assert _raise().taken == 2
    _raise()
    runtime.work()
    ended = runtime.read(live)
    assert (ended.state, ended.outcome) == ("COMPENSATED", "TERMINATED")
    assert runtime.read(other).state == "COMPENSATED"
    before = (runtime.events(live), runtime.events(other))
    assert _raise().taken == 0
    assert (runtime.events(live), runtime.events(other)) == before


def test_a_condition_that_cannot_be_read_undoes_nothing(runtime: Runtime) -> None:
    execution = runtime.run(_definition(condition="$.event.order.deep.er"))
    found = _raise({})
    assert (found.taken, found.unanswered) == (0, 1)
    assert runtime.read(execution).state == "COMPLETED"


def test_another_event_concerns_nobody(runtime: Runtime) -> None:
    runtime.run(_definition())
    assert _raise(name="kafka:other").taken == 0


def test_a_version_keeps_the_events_it_was_published_with(runtime: Runtime) -> None:
    old = runtime.run(_definition())
    runtime.publish({**saga("orders", reversible("a")), "version": 2})
    new = runtime.start_known("orders")
    runtime.work()
    assert _raise().executions == [str(old.pk)]
    assert runtime.read(new).state == "COMPLETED"
    assert VersionTrigger.objects.count() == 1


def test_who_may_not_undo_the_runs_may_not_raise_their_event(runtime: Runtime) -> None:
    execution = runtime.run(_definition())
    viewer = _person("vera", Role.VIEWER, execution)
    before = everything_stored()

    with pytest.raises(Forbidden):
        _raise(actor=viewer)
    with pytest.raises(Invalid):
        _raise(name=" ")
    # Who sees no workflow learns nothing, not even that one waits.
    assert _raise(actor=User.objects.create_user("sam")).taken == 0
    after = everything_stored()
    assert {name: rows for name, rows in after.items() if "udit" not in name} == {
        name: rows for name, rows in before.items() if "udit" not in name
    }

    operator = _person("olga", Role.OPERATOR, execution)
    assert _raise(actor=operator).taken == 1
    row = AuditEntry.objects.filter(action="event.raise").order_by("-seq")[0]
    assert (row.actor, row.subject) == ("olga", EVENT)
    assert execution.plans.get().triggered_by == "olga"


def test_the_api_raises_an_event(runtime: Runtime) -> None:
    execution = runtime.run(_definition())
    client = Client()
    client.force_login(_person("olga", Role.OPERATOR, execution))

    def post(body: dict[str, Any]) -> Any:
        return client.post("/api/v1/events", body, content_type="application/json")

    assert post({}).status_code == 422
    answer = post({"event": EVENT, "payload": {"order": 1}})
    assert answer.status_code == 200
    assert answer.json() == {
        "event": EVENT,
        "taken": 1,
        "executions": [str(execution.pk)],
        "unanswered": 0,
    }
    runtime.work()
    assert runtime.read(execution).state == "COMPENSATED"


def test_a_moment_undoes_a_completed_run(runtime: Runtime) -> None:
    until = clock.now() + timedelta(seconds=30)
    definition = saga(
        "orders",
        reversible("a"),
        settings={"triggers": [{"at": "${workflow.input.until}"}]},
    )
    execution = runtime.run(definition, input={"until": until.isoformat()})
    assert runtime.read(execution).state == "COMPLETED"
    assert [timer.purpose for timer in Timer.objects.filter(execution=execution)] == ["TRIGGER"]

    runtime.work_for(35)

    assert runtime.read(execution).state == "COMPENSATED"
    assert not Timer.objects.filter(execution=execution).exists()
