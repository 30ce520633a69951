"""Undos that wait for people: who may decide, what the decision does, and what makes it stale."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, User

from approvals import services
from approvals.gate import ApprovalGate
from approvals.models import ApprovalRequest, ApprovalVote
from orchestrator.access.grants import Grant, take
from orchestrator.access.roles import Role
from orchestrator.audit.models import AuditEntry
from orchestrator.models import Execution, StepRun, Workflow
from orchestrator.services import attempts, executions
from orchestrator.services.errors import Conflict, Forbidden, Invalid, NotFound
from tests.runtime import Runtime, everything_stored

Ask = Callable[..., tuple[Execution, ApprovalRequest]]
Approver = Callable[..., User]


def _vote(user: User, request: ApprovalRequest, decision: str = "APPROVE", **given: Any) -> Any:
    values: dict[str, Any] = {"revision": request.revision, "reason": "looked at it", **given}
    return services.cast_vote(actor=user, approval_id=request.pk, decision=decision, **values)


def test_an_undo_waits_until_it_is_approved(runtime: Runtime, ask: Ask, approver: Approver) -> None:
    """Invariants 29 and 35."""
    execution, request = ask()
    waiting = execution.state, runtime.ledger(execution)["a"], runtime.shop.names()

    answer = _vote(approver("ann"), request)
    runtime.work()

    assert waiting == ("COMPENSATING", "AWAITING_APPROVAL", ["a", "b"])
    assert (answer["state"], answer["revision"]) == ("approved", 2)
    assert runtime.read(execution).state == "COMPENSATED"
    assert runtime.shop.standing() == []
    [entry] = AuditEntry.objects.filter(action="approval.approve")
    assert entry.actor == "ann"


def test_silence_never_decides(runtime: Runtime, ask: Ask) -> None:
    """Invariant 32."""
    execution, request = ask(deadlineSeconds=60)

    runtime.clock.advance(30 * 86400)
    runtime.work()

    request.refresh_from_db()
    assert request.state == "PENDING"
    assert runtime.ledger(execution)["a"] == "AWAITING_APPROVAL"
    assert "undo_a" not in runtime.shop.names()


def test_a_refusal_leaves_the_effect_and_needs_a_reason(
    runtime: Runtime, ask: Ask, approver: Approver
) -> None:
    execution, request = ask()
    ann = approver("ann")
    before = everything_stored()
    with pytest.raises(Invalid):
        _vote(ann, request, "REJECT_SKIP", reason=" ")
    untouched = everything_stored() == before

    _vote(ann, request, "REJECT_SKIP", reason="customer keeps it")
    runtime.work()

    assert untouched
    assert runtime.read(execution).state == "PARTIALLY_COMPENSATED"
    step = runtime.steps(execution)["a"]
    assert (step.entry_state, step.entry_reason) == ("SKIPPED", "customer keeps it")
    assert runtime.shop.standing() == ["a"]


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"decision": "MAYBE"}, Invalid),
        ({"revision": 0}, Conflict),
        ({"revision": 2}, Conflict),
    ],
)
def test_a_vote_that_does_not_fit_changes_nothing(
    runtime: Runtime, ask: Ask, approver: Approver, given: dict[str, Any], error: type[Exception]
) -> None:
    _, request = ask()
    ann = approver("ann")
    before = everything_stored()

    with pytest.raises(error):
        _vote(ann, request, **given)

    assert everything_stored() == before


def test_a_second_decision_is_told_the_first(ask: Ask, approver: Approver) -> None:
    _, request = ask()
    _vote(approver("ann"), request)

    with pytest.raises(Conflict) as refused:
        _vote(approver("bob"), request, "REJECT_SKIP")

    assert refused.value.details["decision"]["state"] == "approved"  # type: ignore[index]
    assert ApprovalVote.objects.count() == 1


def test_a_quorum_takes_different_people(runtime: Runtime, ask: Ask, approver: Approver) -> None:
    """Invariant 31."""
    execution, request = ask(quorum=2)
    ann, bob = approver("ann"), approver("bob")
    _vote(ann, request)
    runtime.work()
    one = runtime.ledger(execution)["a"]
    request.refresh_from_db()
    with pytest.raises(Forbidden, match="decided already"):
        _vote(ann, request)

    _vote(bob, request)
    runtime.work()

    assert one == "AWAITING_APPROVAL"
    assert runtime.read(execution).state == "COMPENSATED"


def test_who_started_it_does_not_decide_even_as_superuser(ask: Ask, starter: User) -> None:
    """Invariant 31."""
    _, request = ask()
    before = everything_stored()

    with pytest.raises(Forbidden, match="You started this run"):
        _vote(starter, request)

    assert everything_stored() == before


def test_who_asked_for_the_undo_does_not_decide(
    runtime: Runtime, ask: Ask, approver: Approver
) -> None:
    execution, request = ask()
    ann = approver("ann")
    ApprovalRequest.objects.filter(pk=request.pk).update(triggerer="ann")

    with pytest.raises(Forbidden, match="You asked for this undo"):
        _vote(ann, request)

    assert runtime.ledger(execution)["a"] == "AWAITING_APPROVAL"


def test_only_the_named_groups_decide(ask: Ask, approver: Approver) -> None:
    bob = User.objects.create_user("bob")
    bob.groups.add(Group.objects.create(name="finance"))
    _, request = ask(groups=["finance"])
    approver("bob")

    with pytest.raises(Forbidden, match="none of these groups"):
        _vote(approver("ann"), request)

    assert _vote(bob, request)["state"] == "approved"


def test_without_the_right_nobody_decides(ask: Ask) -> None:
    _, request = ask()
    stranger = User.objects.create_user("stranger")

    with pytest.raises(NotFound):
        _vote(stranger, request)


def test_a_run_that_nobody_can_be_shown_to_have_started_needs_two(
    runtime: Runtime, ask: Ask, approver: Approver, starter: User
) -> None:
    _, request = ask()
    runtime.shop.will("b", lambda *_: (_ for _ in ()).throw(RuntimeError("no")))
    started = executions.start_execution(actor=None, workflow_name="orders", input={"order": 1})
    runtime.work()

    other = ApprovalRequest.objects.get(execution_id=started.id)

    assert (request.quorum, other.quorum) == (1, 2)


@pytest.mark.parametrize(("order", "state"), [(1000, "COMPENSATED"), (1001, "COMPENSATING")])
def test_a_rule_says_whether_to_ask(runtime: Runtime, ask: Ask, order: int, state: str) -> None:
    execution, request = ask("APPROVAL_IF", order=order)

    assert execution.state == state
    assert (request is not None) == (state == "COMPENSATING")


@pytest.mark.parametrize("expression", ["null", "$.compensationInput.nobody.knows > 1"])
def test_a_rule_that_is_null_or_breaks_asks(runtime: Runtime, ask: Ask, expression: str) -> None:
    execution, request = ask("APPROVAL_IF", expression=expression)

    assert request is not None
    assert runtime.ledger(execution)["a"] == "AWAITING_APPROVAL"


# ---- between decision and dispatch --------------------------------------------------------------


def _approve_without_working(ask: Ask, approver: Approver) -> tuple[Execution, StepRun, User]:
    execution, request = ask()
    ann = approver("ann")
    _vote(ann, request)
    undo = StepRun.objects.get(execution=execution, direction="COMPENSATION")
    return execution, undo, ann


def _take_right(user: User) -> None:
    grant = Grant(role=Role.APPROVER, user_id=user.pk, name=user.username)
    take(None, Workflow.objects.get(name="orders"), grant)


def test_an_approval_is_checked_again_when_the_undo_is_sent(
    runtime: Runtime, ask: Ask, approver: Approver
) -> None:
    execution, undo, ann = _approve_without_working(ask, approver)
    _take_right(ann)

    claimed = attempts.claim(step_run_id=str(undo.pk), queue="default", worker="w1")
    runtime.work()

    assert claimed == []
    assert "undo_a" not in runtime.shop.names()
    assert runtime.ledger(execution)["a"] == "AWAITING_APPROVAL"
    states = ApprovalRequest.objects.order_by("created_at").values_list("state", flat=True)
    assert list(states) == ["STALE", "PENDING"]


def test_an_approver_who_left_does_not_count(
    runtime: Runtime, ask: Ask, approver: Approver
) -> None:
    """Invariant 31."""
    _, undo, ann = _approve_without_working(ask, approver)
    User.objects.filter(pk=ann.pk).update(is_active=False)

    assert attempts.claim(step_run_id=str(undo.pk), queue="default", worker="w1") == []


def test_what_is_approved_is_what_is_sent_and_nothing_else(
    runtime: Runtime, ask: Ask, approver: Approver
) -> None:
    """Invariant 30."""
    _, request = ask()
    _vote(approver("ann"), request)
    gate = ApprovalGate()
    key = str(request.pk)

    assert gate.still_holds(approval_id=key, input_hash=request.input_hash)
    assert not gate.still_holds(approval_id=key, input_hash="0" * 64)
    assert not gate.still_holds(approval_id=str(request.entry_id), input_hash=request.input_hash)


def test_a_stale_answer_names_the_newer_request(
    runtime: Runtime, ask: Ask, approver: Approver
) -> None:
    execution, undo, ann = _approve_without_working(ask, approver)
    _take_right(ann)
    attempts.claim(step_run_id=str(undo.pk), queue="default", worker="w1")
    stale = ApprovalRequest.objects.get(state="STALE")

    with pytest.raises(Conflict):
        _vote(approver("bob"), stale)

    fresh = ApprovalRequest.objects.get(state="PENDING")
    _vote(User.objects.get(username="bob"), fresh)
    runtime.work()
    assert runtime.read(execution).state == "COMPENSATED"
