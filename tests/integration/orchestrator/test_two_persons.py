"""Undo past a pivot, a seal or the order: refused to one person, done by two (§5, §10.4, §11)."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from orchestrator.access.grants import Grant, give
from orchestrator.access.roles import Role
from orchestrator.access.rows import user_rows
from orchestrator.audit.models import AuditEntry
from orchestrator.models import Execution, PendingAct, ServiceAccount, StepRun
from orchestrator.services import compensations, executions, two_persons
from orchestrator.services.errors import Conflict, Forbidden
from orchestrator.services.two_persons import Waiting
from orchestrator.store import clock
from tests.factories.definitions import child, fork, outside, reversible, saga, task
from tests.runtime import Runtime, everything_stored

PIVOT = outside("decide", name="d", effect="PIVOT")
POINT = task("point", "NOOP", savepoint=True)
GUARDED = saga("orders", reversible("a"), PIVOT, POINT, reversible("b"))
THREE = saga("orders", reversible("a"), reversible("b"), reversible("c"))


def _holder(execution: Execution, name: str, *roles: Role) -> User:
    """Return somebody who may undo runs and break the glass."""
    user, _ = User.objects.get_or_create(username=name)
    for role in roles or (Role.OPERATOR, Role.BREAK_GLASS):
        give(None, execution.workflow, Grant(role=role, user_id=user.pk, name=name))
    return user


def _undo(execution: Execution, actor: User | None, *entries: str, **given: Any) -> Waiting | None:
    chosen = [_entry(execution, name) for name in entries] if entries else None
    values = {"reason": f"asked by {actor}", "entries": chosen, **given}
    return compensations.request_compensation(actor=actor, execution_id=execution.pk, **values)


def _entry(execution: Execution, reference: str) -> str:
    return str(StepRun.objects.get(execution=execution, reference=reference).pk)


def _told(refused: "pytest.ExceptionInfo[Conflict]", name: str) -> Any:
    return refused.value.details[name]


# ---- what one person may not do -----------------------------------------------------------------


def test_after_a_pivot_the_whole_run_is_not_undone(runtime: Runtime) -> None:
    execution = runtime.run(GUARDED)
    operator = _holder(execution, "olga", Role.OPERATOR)
    before = everything_stored()

    with pytest.raises(Conflict, match="“decide” has decided this run") as refused:
        _undo(execution, operator)
    with pytest.raises(Conflict, match="“decide” has decided"):
        _undo(execution, operator, "a", "b")
    with pytest.raises(Forbidden):
        _undo(execution, operator, force=True)
    with pytest.raises(Forbidden, match="Two persons"):
        _undo(execution, None, force=True)

    assert [row["because"] for row in _told(refused, "needsForce")] == ["PIVOT"]
    assert everything_stored() == before


def test_what_came_after_the_pivot_needs_nobody_else(runtime: Runtime) -> None:
    execution = runtime.run(GUARDED)
    assert _undo(execution, _holder(execution, "olga", Role.OPERATOR), "b") is None
    runtime.work()
    assert runtime.ledger(execution) == {"a": "ARMED", "b": "COMPENSATED"}


def test_what_ran_beside_the_pivot_is_guarded_too(runtime: Runtime) -> None:
    definition = saga("orders", *fork("f", [reversible("a")], [PIVOT, POINT, reversible("b")]))
    execution = runtime.run(definition)
    with pytest.raises(Conflict) as refused:
        _undo(execution, None, "a")
    assert [row["taskReferenceName"] for row in _told(refused, "needsForce")] == ["a"]


def test_a_running_run_is_not_cancelled_with_undo_past_its_pivot(runtime: Runtime) -> None:
    definition = saga("orders", reversible("a"), PIVOT, task("ask", "HUMAN"))
    execution = runtime.run(definition)
    before = everything_stored()

    for cancel in (
        lambda: executions.cancel_execution(
            actor=None, execution_id=execution.pk, compensate=True, reason="no"
        ),
        lambda: _undo(execution, None),
    ):
        with pytest.raises(Conflict, match="“decide” has decided"):
            cancel()
    assert everything_stored() == before

    first, second = _holder(execution, "ann"), _holder(execution, "bob")
    assert isinstance(_undo(execution, first, force=True), Waiting)
    assert runtime.read(execution).state == "RUNNING"
    assert _undo(execution, second, force=True) is None
    runtime.work()
    assert runtime.read(execution).state == "COMPENSATED"
    assert runtime.shop.standing() == ["d"]


def test_single_steps_of_a_running_run_are_not_undone(runtime: Runtime) -> None:
    execution = runtime.run(saga("orders", reversible("a"), task("ask", "HUMAN")))
    with pytest.raises(Conflict, match="once it has ended"):
        _undo(execution, None, "a")


# ---- two persons --------------------------------------------------------------------------------


def test_two_persons_undo_what_came_before_the_pivot(runtime: Runtime) -> None:
    execution = runtime.run(GUARDED)
    ann, bob = _holder(execution, "ann"), _holder(execution, "bob")
    ledger = runtime.ledger(execution)

    waiting = _undo(execution, ann, force=True)
    assert isinstance(waiting, Waiting)
    assert (waiting.by, runtime.ledger(execution)) == ("ann", ledger)
    assert runtime.read(execution).state == "COMPLETED"

    assert _undo(execution, bob, force=True) is None
    runtime.work()

    assert runtime.read(execution).state == "COMPENSATED"
    assert runtime.shop.names()[-2:] == ["undo_b", "undo_a"]
    assert not PendingAct.objects.exists()
    rows = AuditEntry.objects.filter(action="execution.compensate").order_by("seq")
    assert [(row.actor, row.result) for row in rows] == [("ann", "waiting"), ("bob", "ok")]
    told = json.loads(rows[1].changes)
    assert (told["firstPerson"], told["overrides"][0]["because"]) == ("ann", "PIVOT")


def test_the_same_person_is_not_two(runtime: Runtime) -> None:
    execution = runtime.run(GUARDED)
    ann = _holder(execution, "ann")
    first = _undo(execution, ann, force=True)
    before = everything_stored()
    again = _undo(execution, ann, force=True)
    assert isinstance(first, Waiting)
    assert isinstance(again, Waiting)
    assert (again.until, again.is_new) == (first.until, False)
    assert everything_stored() == before


def test_a_service_account_is_no_person(runtime: Runtime) -> None:
    execution = runtime.run(GUARDED)
    robot = _holder(execution, "robot")
    ServiceAccount.objects.create(user=robot)
    with pytest.raises(Forbidden, match="service account"):
        _undo(execution, User.objects.get(pk=robot.pk), force=True)


def test_another_wish_does_not_agree(runtime: Runtime) -> None:
    execution = runtime.run(GUARDED)
    ann, bob = _holder(execution, "ann"), _holder(execution, "bob")
    _undo(execution, ann, force=True)
    assert isinstance(_undo(execution, bob, "a", "b", force=True), Waiting)
    # What the first has seen is not there any more: `b` was undone meanwhile.
    _undo(execution, None, "b")
    runtime.work()
    assert isinstance(_undo(execution, bob, force=True), Waiting)
    assert runtime.ledger(execution)["a"] == "ARMED"


def test_the_first_call_is_forgotten_after_a_day(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    execution = runtime.run(GUARDED)
    ann, bob = _holder(execution, "ann"), _holder(execution, "bob")
    _undo(execution, ann, force=True)
    PendingAct.objects.update(created_at=clock.now() - timedelta(hours=24, seconds=1))
    assert isinstance(_undo(execution, bob, force=True), Waiting)
    assert PendingAct.objects.get().actor == "bob"

    PendingAct.objects.update(created_at=clock.now() - timedelta(hours=24, seconds=1))
    assert two_persons.forget_old() == 1


@pytest.mark.parametrize("loss", ["right", "account"])
def test_who_has_lost_the_right_is_not_the_first_person(runtime: Runtime, loss: str) -> None:
    execution = runtime.run(GUARDED)
    ann, bob = _holder(execution, "ann"), _holder(execution, "bob")
    _undo(execution, ann, force=True)
    if loss == "right":
        user_rows().objects.filter(user_id=ann.pk).delete()
    else:
        User.objects.filter(pk=ann.pk).update(is_active=False)
    assert isinstance(_undo(execution, bob, force=True), Waiting)
    assert runtime.ledger(execution)["a"] == "ARMED"


def test_force_where_nothing_stands_in_the_way_is_an_ordinary_undo(runtime: Runtime) -> None:
    execution = runtime.run(THREE)
    assert _undo(execution, _holder(execution, "olga", Role.OPERATOR), force=True) is None
    runtime.work()
    assert runtime.read(execution).state == "COMPENSATED"


# ---- the order, seals, children -----------------------------------------------------------------


def test_entries_that_are_not_closed_under_the_order(runtime: Runtime) -> None:
    execution = runtime.run(THREE)
    ann, bob = _holder(execution, "ann"), _holder(execution, "bob")
    with pytest.raises(Conflict) as refused:
        _undo(execution, ann, "a")
    assert [row["taskReferenceName"] for row in _told(refused, "missing")] == ["b", "c"]

    assert isinstance(_undo(execution, ann, "a", force=True), Waiting)
    assert _undo(execution, bob, "a", force=True) is None
    runtime.work()
    assert runtime.ledger(execution) == {"a": "COMPENSATED", "b": "ARMED", "c": "ARMED"}
    assert runtime.read(execution).state == "PARTIALLY_COMPENSATED"


def test_a_sealed_entry_is_undone_by_two_who_name_it(runtime: Runtime) -> None:
    execution = runtime.run(saga("orders", reversible("a")))
    _seal(execution, "a")
    ann, bob = _holder(execution, "ann"), _holder(execution, "bob")
    with pytest.raises(Conflict, match="nothing to undo"):
        _undo(execution, ann)
    with pytest.raises(Conflict, match="time in which it could be undone is over"):
        _undo(execution, ann, "a")

    assert isinstance(_undo(execution, ann, "a", force=True), Waiting)
    assert runtime.ledger(execution) == {"a": "SEALED"}
    assert _undo(execution, bob, "a", force=True) is None
    runtime.work()
    assert runtime.read(execution).state == "COMPENSATED"
    assert runtime.shop.standing() == []


def _seal(execution: Execution, reference: str) -> None:
    """Close the window of an entry, as its timer does."""
    StepRun.objects.filter(execution=execution, reference=reference).update(entry_state="SEALED")
    row = Execution.objects.get(pk=execution.pk)
    frontier = {**row.frontier, "ledger": {"SEALED": 1}}
    Execution.objects.filter(pk=execution.pk).update(frontier=frontier)


def test_what_two_persons_have_agreed_on_holds_in_the_children(runtime: Runtime) -> None:
    runtime.publish({**GUARDED, "name": "packing"})
    execution = runtime.run(saga("orders", reversible("c"), PIVOT, POINT, child("pack", "packing")))
    ann, bob = _holder(execution, "ann"), _holder(execution, "bob")
    assert isinstance(_undo(execution, ann, force=True), Waiting)
    _undo(execution, bob, force=True)
    runtime.work()
    inner = Execution.objects.get(parent_id=execution.pk)
    assert (runtime.read(execution).state, inner.state) == ("COMPENSATED", "COMPENSATED")
    assert runtime.shop.standing() == ["d", "d"]


# ---- over HTTP ----------------------------------------------------------------------------------


def test_the_api_answers_the_first_with_202(runtime: Runtime) -> None:
    execution = runtime.run(GUARDED)
    path = f"/api/v1/executions/{execution.pk}"
    clients = []
    for name in ("ann", "bob"):
        clients.append(Client())
        clients[-1].force_login(_holder(execution, name))
    shown = clients[0].get(f"{path}/compensation/preview").json()
    assert [row["taskReferenceName"] for row in shown["needsForce"]] == ["a"]

    def ask(client: Client, **given: Any) -> Any:
        body = {"reason": "the customer has died", **given}
        return client.post(f"{path}/compensate", body, content_type="application/json")

    refused = ask(clients[0])
    assert (refused.status_code, refused.json()["needsForce"][0]["because"]) == (409, "PIVOT")
    first = ask(clients[0], force=True)
    assert (first.status_code, first.json()["waitingFor"]) == (202, "second person")
    assert ask(clients[0], force=True).status_code == 202
    waiting = clients[1].get(path).json()
    assert waiting["state"] == "COMPLETED"
    [act] = waiting["pendingActs"]
    assert (act["kind"], act["by"], act["reason"]) == ("COMPENSATE", "ann", "the customer has died")
    assert "ann wants to undo this run" in clients[1].get(f"/runs/{execution.pk}/").content.decode()
    done = ask(clients[1], force=True)
    assert (done.status_code, done.json()["state"]) == (200, "COMPENSATING")
    assert done.json()["pendingActs"] == []


def test_the_page_offers_it_to_who_holds_the_right(runtime: Runtime) -> None:
    execution = runtime.run(GUARDED)
    address = f"/runs/{execution.pk}/undo/"
    olga, ann, bob = Client(), Client(), Client()
    olga.force_login(_holder(execution, "olga", Role.OPERATOR))
    ann.force_login(_holder(execution, "ann"))
    bob.force_login(_holder(execution, "bob"))

    assert 'aria-describedby="why-force"' in olga.get(address).content.decode()
    assert "Only two people together may undo a" in ann.get(address).content.decode()
    assert olga.post(address, {"reason": "no"}).status_code == 409
    assert olga.post(address, {"reason": "no", "force": "yes"}).status_code == 403

    told = ann.post(address, {"reason": "no", "force": "yes"}, follow=True).content.decode()
    assert "Kept for 24 hours" in told
    assert runtime.read(execution).state == "COMPLETED"
    bob.post(address, {"reason": "no", "force": "yes"})
    runtime.work()
    assert runtime.read(execution).state == "COMPENSATED"


def test_the_wire_neither_terminates_past_a_pivot_nor_adds_to_an_undo(runtime: Runtime) -> None:
    """conductor/api.md §14: a refusal is a 409; while a run undoes nothing changes."""
    going = runtime.run(saga("orders", reversible("a"), PIVOT, task("ask", "HUMAN")))
    client = Client()
    client.force_login(_holder(going, "olga", Role.OPERATOR))
    assert client.delete(f"/api/workflow/{going.pk}").status_code == 409
    assert runtime.read(going).state == "RUNNING"

    undoing = runtime.run({**THREE, "name": "others"})
    client.force_login(_holder(undoing, "olga", Role.OPERATOR))
    _undo(undoing, None, "c")
    assert client.delete(f"/api/workflow/{undoing.pk}").status_code == 200
    runtime.work()
    assert runtime.ledger(undoing) == {"a": "ARMED", "b": "ARMED", "c": "COMPENSATED"}
