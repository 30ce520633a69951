"""A plan that waits for a person: started, dropped, and refused to who may not or is too late."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from orchestrator.access.grants import Grant, give
from orchestrator.access.roles import Role
from orchestrator.audit.models import AuditEntry
from orchestrator.models import Execution
from orchestrator.selectors import executions as reading
from orchestrator.services import compensations, plans
from orchestrator.services.errors import Conflict, Forbidden, Invalid
from orchestrator.store import stuck
from orchestrator.store.clock import now
from tests.factories.definitions import child, reversible, saga
from tests.fakes import refuses
from tests.runtime import Runtime, everything_stored

ASKING = saga("orders", reversible("a"), reversible("b"), settings={"confirmPlan": "ALWAYS"})


def _waiting(runtime: Runtime) -> Execution:
    """Return a run whose second step has failed, with its plan."""
    runtime.shop.will("b", refuses)
    execution = runtime.run(ASKING)
    assert runtime.read(execution).state == "PLANNING"
    return execution


def _hash(execution: Execution) -> str:
    return execution.plans.get(state="ACTIVE").hash


def _person(execution: Execution, role: Role, name: str = "") -> User:
    user, _ = User.objects.get_or_create(username=name or role.value)
    give(None, execution.workflow, Grant(role=role, user_id=user.pk, name=user.username))
    return user


def test_confirmed_by_an_operator_the_undo_begins(runtime: Runtime) -> None:
    execution = _waiting(runtime)
    runtime.work_for(90)
    assert runtime.shop.names() == ["a", "b"]
    operator = _person(execution, Role.OPERATOR)
    plan_hash = _hash(execution)

    plans.confirm_plan(actor=operator, execution_id=execution.pk, plan_hash=plan_hash)
    runtime.work()

    assert runtime.read(execution).state == "COMPENSATED"
    audited = AuditEntry.objects.get(action="plan.confirm")
    assert (audited.actor, audited.subject) == ("operator", str(execution.pk))
    assert plan_hash in audited.changes


def test_rejected_the_run_fails_with_what_it_did_still_standing(runtime: Runtime) -> None:
    execution = _waiting(runtime)
    who = _person(execution, Role.BREAK_GLASS)

    plans.reject_plan(
        actor=who, execution_id=execution.pk, plan_hash=_hash(execution), reason="we keep it"
    )
    runtime.work()

    assert runtime.read(execution).state == "FAILED"
    assert runtime.ledger(execution) == {"a": "ARMED", "b": "VOID"}
    assert runtime.shop.standing() == ["a"]
    assert execution.plans.get().state == "REJECTED"
    assert AuditEntry.objects.get(action="plan.reject").reason == "we keep it"

    compensations.request_compensation(actor=None, execution_id=execution.pk, reason="after all")
    plans.confirm_plan(actor=None, execution_id=execution.pk, plan_hash=_hash(execution))
    runtime.work()
    assert runtime.read(execution).state == "COMPENSATED"


def test_a_rejected_plan_of_a_child_fails_its_parents_step(runtime: Runtime) -> None:
    runtime.shop.will("b", refuses)
    runtime.publish({**ASKING, "name": "packing"})
    parent = runtime.run(saga("parent", reversible("c"), child("pack", "packing")))
    inner = Execution.objects.get(parent_id=parent.pk)
    assert (inner.state, runtime.read(parent).state) == ("PLANNING", "RUNNING")

    plans.reject_plan(
        actor=None, execution_id=inner.pk, plan_hash=_hash(inner), reason="leave it to the parent"
    )
    runtime.work()

    # The effects that the child has left are undone with the parent, and that does not ask again.
    assert (runtime.read(parent).state, runtime.read(inner).state) == ("COMPENSATED", "COMPENSATED")
    assert runtime.shop.standing() == []


def test_refusals_change_nothing(runtime: Runtime) -> None:
    execution = _waiting(runtime)
    viewer = _person(execution, Role.VIEWER)
    operator = _person(execution, Role.OPERATOR)
    plan_hash = _hash(execution)
    before = everything_stored()

    def confirm(**given: Any) -> None:
        plans.confirm_plan(**{"execution_id": execution.pk, "plan_hash": plan_hash, **given})

    def reject(**given: Any) -> None:
        values = {"execution_id": execution.pk, "plan_hash": plan_hash, "reason": "no", **given}
        plans.reject_plan(**values)

    with pytest.raises(Forbidden):
        confirm(actor=viewer)
    with pytest.raises(Forbidden):
        reject(actor=operator)
    with pytest.raises(Conflict, match="has changed"):
        confirm(actor=operator, plan_hash="0" * 64)
    with pytest.raises(Conflict, match="has changed"):
        reject(actor=None, plan_hash="0" * 64)
    with pytest.raises(Invalid):
        reject(actor=None, reason="  ")
    assert everything_stored() == before

    confirm(actor=operator)
    before = everything_stored()
    with pytest.raises(Conflict, match="no plan of it waits"):
        confirm(actor=operator)
    with pytest.raises(Conflict, match="no plan of it waits"):
        reject(actor=None)
    assert everything_stored() == before


def test_a_rule_decides_whether_a_person_is_asked(runtime: Runtime) -> None:
    rule = {"evaluatorType": "javascript", "expression": "$.input.amount > 100"}
    settings = {"confirmPlan": rule}
    definition = saga("orders", reversible("a"), reversible("b"), settings=settings)
    runtime.shop.will("b", refuses)
    small = runtime.run(definition, input={"amount": 5})
    runtime.shop.will("b", refuses)
    large = runtime.start_known("orders", input={"amount": 500})
    runtime.work()
    assert runtime.read(small).state == "COMPENSATED"
    assert runtime.read(large).state == "PLANNING"


def test_a_plan_that_waits_is_said_and_is_not_stuck(runtime: Runtime) -> None:
    execution = _waiting(runtime)
    detail = reading.execution_detail(actor=None, execution_id=execution.pk)
    assert detail["waitingOn"] == "The undo plan waits for somebody to confirm it."

    later = now().replace(year=now().year + 1)
    assert stuck.find(now=later) == []


# ---- over HTTP and on the pages -----------------------------------------------------------------


def _client(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def _post(client: Client, path: str, body: dict[str, Any]) -> Any:
    return client.post(path, body, content_type="application/json")


def test_the_api_confirms_and_refuses(runtime: Runtime) -> None:
    execution = _waiting(runtime)
    operator = _client(_person(execution, Role.OPERATOR))
    viewer = _client(_person(execution, Role.VIEWER))
    path = f"/api/v1/executions/{execution.pk}/plan"
    plan_hash = _hash(execution)
    before = everything_stored()

    assert _post(viewer, f"{path}/confirm", {"hash": plan_hash}).status_code == 403
    assert _post(operator, f"{path}/confirm", {}).status_code == 422
    stale = _post(operator, f"{path}/confirm", {"hash": "0" * 64})
    assert (stale.status_code, stale.json()["hash"]) == (409, plan_hash)
    assert _post(operator, f"{path}/reject", {"hash": plan_hash, "reason": "x"}).status_code == 403
    assert _post(operator, f"{path}/reject", {"hash": plan_hash}).status_code == 422
    stranger = _client(User.objects.create_user("stranger"))
    assert _post(stranger, f"{path}/confirm", {"hash": plan_hash}).status_code == 404
    assert everything_stored() == before

    done = _post(operator, f"{path}/confirm", {"hash": plan_hash, "reason": "looked at it"})
    assert (done.status_code, done.json()["state"]) == (200, "COMPENSATING")
    assert _post(operator, f"{path}/confirm", {"hash": plan_hash}).status_code == 409


def test_the_page_shows_the_plan_and_takes_the_decision(runtime: Runtime) -> None:
    execution = _waiting(runtime)
    operator = _client(_person(execution, Role.OPERATOR))
    page = operator.get(f"/runs/{execution.pk}/").content.decode()
    assert "Confirm plan…" in page
    assert f"/runs/{execution.pk}/plan/confirm/" in page

    address = f"/runs/{execution.pk}/plan/confirm/"
    form = operator.get(address).content.decode()
    assert f'name="hash" value="{_hash(execution)}"' in form
    stale = operator.post(address, {"hash": "0" * 64, "reason": "go"})
    assert (stale.status_code, "has changed" in stale.content.decode()) == (409, True)
    assert operator.get(f"/runs/{execution.pk}/plan/reject/").status_code == 403

    taken = operator.post(address, {"hash": _hash(execution), "reason": "go"})
    assert taken.status_code == 302
    runtime.work()
    assert runtime.read(execution).state == "COMPENSATED"
    assert "Confirm plan…" not in operator.get(f"/runs/{execution.pk}/").content.decode()
