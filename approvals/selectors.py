"""What pages and the API read about approvals; scoped by actor."""

from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db.models import QuerySet

from approvals import policy
from approvals.models import ApprovalRequest
from orchestrator.access import policy as rights
from orchestrator.access.permissions import Permission
from orchestrator.access.scoping import visible_to

if TYPE_CHECKING:
    from django.contrib.auth.models import User

AT_MOST = 500
"""Rows that a list of requests shows."""
STATES = {"pending", "approved", "skipped", "stale"}


def rule_of(request: ApprovalRequest) -> policy.Rule:
    """Return the rule of a request."""
    return policy.Rule(
        groups=tuple(request.rule["groups"]),
        quorum=request.quorum,
        distinct_from=tuple(request.rule["distinct_from"]),
    )


def concerned_of(request: ApprovalRequest) -> policy.Concerned:
    """Return who had a part in what a request is about."""
    return policy.Concerned(
        starter=request.starter,
        starter_is_person=request.starter_is_person,
        triggerer=request.triggerer,
        publisher=request.publisher,
    )


def holds_right(user: "User", request: ApprovalRequest) -> policy.Person:
    """Return a user as the policy sees them, with rights as they are now."""
    answer = rights.can(user, Permission.APPROVE_COMPENSATION, request.workflow)
    return policy.Person(
        username=user.get_username(),
        groups=frozenset(user.groups.values_list("name", flat=True)),
        holds_right=answer.allowed,
        is_active=user.is_active,
    )


def why_not(actor: "User | None", request: ApprovalRequest) -> str:
    """Return why the actor may not decide; empty when they may."""
    if actor is None:
        return "Only people decide."
    voted = set(request.votes.filter(counted=True).values_list("user__username", flat=True))
    return policy.refusal(
        holds_right(actor, request), rule_of(request), concerned_of(request), voted
    )


def requests_visible_to(actor: "User | None") -> QuerySet[ApprovalRequest]:
    """Return the requests of workflows that the actor may see."""
    rows = ApprovalRequest.objects.select_related("workflow").prefetch_related("votes__user")
    return visible_to(actor, rows, Permission.VIEW_WORKFLOW)


def waiting_for(
    actor: "User | None", *, state: str = "", mine: bool = False
) -> list[ApprovalRequest]:
    """Return requests, the least time left first; `mine` keeps those the actor may decide."""
    rows = requests_visible_to(actor).order_by("deadline_at", "id")
    if state:
        rows = rows.filter(state=state.upper())
    if mine:
        return _decidable(actor, rows)
    return list(rows[:AT_MOST])


def _decidable(actor: "User | None", rows: QuerySet[ApprovalRequest]) -> list[ApprovalRequest]:
    """Keep what the actor may decide now; rights and groups are read once for all of them."""
    if actor is None:
        return []
    held = visible_to(actor, rows, Permission.APPROVE_COMPENSATION)[:AT_MOST]
    person = policy.Person(
        username=actor.get_username(),
        groups=frozenset(actor.groups.values_list("name", flat=True)),
        holds_right=True,
        is_active=actor.is_active,
    )
    return [
        row
        for row in held
        if not policy.refusal(person, rule_of(row), concerned_of(row), _voters(row))
    ]


def _voters(request: ApprovalRequest) -> set[str]:
    return {vote.user.get_username() for vote in request.votes.all() if vote.counted}


def pending_count(actor: "User | None") -> int:
    """Return how many requests wait for this very actor."""
    rows = requests_visible_to(actor).filter(state=ApprovalRequest.PENDING)
    return len(_decidable(actor, rows))


def find_visible(actor: "User | None", approval_id: "UUID | str") -> ApprovalRequest | None:
    """Return a request that the actor may see."""
    try:
        key = UUID(str(approval_id))
    except ValueError:
        return None
    return requests_visible_to(actor).filter(pk=key).first()


def as_dict(request: ApprovalRequest, actor: "User | None") -> dict[str, Any]:
    """Return a request as the API shows it (contract: `approvals/{id}`)."""
    refused = why_not(actor, request)
    return {
        "id": str(request.pk),
        "revision": request.revision,
        "state": request.state.lower(),
        "level": request.level,
        "executionId": str(request.execution_id),
        "entryId": str(request.entry_id),
        "workflowName": request.workflow_name,
        "correlationId": request.correlation_id,
        "taskReferenceName": request.reference,
        "endpoint": request.endpoint,
        "input": request.undo_input,
        "originalInput": request.original_input or request.undo_input,
        "inputHash": request.input_hash,
        "planHash": request.plan_hash,
        "amount": request.amount,
        "quorum": request.quorum,
        "groups": request.rule["groups"],
        "instructions": request.rule["instructions"],
        "createdAt": request.created_at.isoformat(),
        "deadlineAt": request.deadline_at.isoformat(),
        "decidedAt": request.decided_at.isoformat() if request.decided_at else None,
        "can": {"decide": {"allowed": not refused, "reason": refused}},
        "votes": [
            {
                "by": vote.user.get_username(),
                "onBehalfOf": None,
                "decision": vote.decision,
                "reason": vote.reason,
                "at": vote.at.isoformat(),
                "counted": vote.counted,
            }
            for vote in request.votes.all()
        ],
    }
