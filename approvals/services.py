"""Votes: cast once, counted once, and what they add up to takes effect in the same transaction."""

from typing import TYPE_CHECKING, Any

from django.db import transaction

from approvals import policy, selectors
from approvals.models import ApprovalRequest, ApprovalVote
from orchestrator.access import policy as rights
from orchestrator.access.permissions import Permission
from orchestrator.audit import log
from orchestrator.services import waits
from orchestrator.services.errors import Conflict, Forbidden, Invalid, NotFound
from orchestrator.services.locked import require_reason
from orchestrator.services.retrying import retried

if TYPE_CHECKING:
    from uuid import UUID

    from django.contrib.auth.models import User

    from orchestrator.store.load import Loaded

_ENDS = {policy.Verdict.APPROVED: "APPROVED", policy.Verdict.SKIP: "SKIP"}
_STATES = {
    policy.Verdict.APPROVED: ApprovalRequest.APPROVED,
    policy.Verdict.SKIP: ApprovalRequest.SKIPPED,
}


@retried
@transaction.atomic(durable=True)
def cast_vote(
    *,
    actor: "User",
    approval_id: "UUID | str",
    revision: int,
    decision: str,
    reason: str = "",
) -> dict[str, Any]:
    """Decide on an undo; at quorum, or with a refusal, the wait ends in this transaction.

    Raises:
        NotFound: There is no such request, or the actor may not see it.
        Forbidden: The actor may see it and not decide; the message says why.
        Invalid: There is no such decision, or a refusal without a reason.
        Conflict: It is decided, or was changed since the actor saw it.
    """
    seen = selectors.find_visible(actor, approval_id)
    if seen is None:
        raise NotFound(f"There is no approval {approval_id}.")
    chosen = _decision(decision)
    told = require_reason(reason) if chosen is policy.Decision.REJECT_SKIP else reason.strip()
    # The execution first, then the request: one lock order for all (reliability.md §5.3).
    loaded = waits.lock_execution(seen.execution_id)
    request = (
        ApprovalRequest.objects.select_for_update(of=("self",), no_key=True)
        .select_related("workflow")
        .get(pk=seen.pk)
    )
    _check(actor, request, revision)
    vote = ApprovalVote.objects.create(
        request=request,
        user=actor,
        decision=chosen.value,
        reason=told,
        at=waits.now(),
    )
    _count(request, loaded, vote)
    log.record(
        f"approval.{chosen.value.lower()}",
        str(request.pk),
        actor,
        workflow=request.workflow_name,
        reason=told,
        changes={
            "execution": str(request.execution_id),
            "entry": str(request.entry_id),
            "inputHash": request.input_hash,
            "planHash": request.plan_hash,
            "state": request.state,
        },
    )
    return selectors.as_dict(selectors.requests_visible_to(actor).get(pk=request.pk), actor)


def _decision(text: str) -> policy.Decision:
    try:
        return policy.Decision(text)
    except ValueError:
        known = ", ".join(decision.value for decision in policy.Decision)
        problem = {"code": "FORMAT", "severity": "error", "path": "/decision", "message": known}
        raise Invalid(f"The decision must be one of {known}.", [problem]) from None


def _check(actor: "User", request: ApprovalRequest, revision: int) -> None:
    if request.state != ApprovalRequest.PENDING or request.revision != revision:
        raise Conflict(
            f"This request is {request.state.lower()} at revision {request.revision}; you answered "
            f"revision {revision}. Read it again.",
            decision=selectors.as_dict(request, actor),
        )
    rights.require(actor, Permission.APPROVE_COMPENSATION, request.workflow)
    refused = selectors.why_not(actor, request)
    if refused:
        raise Forbidden(refused)


def _count(request: ApprovalRequest, loaded: "Loaded", vote: ApprovalVote) -> None:
    """Add the votes up; a verdict ends the wait."""
    votes = [
        policy.Vote(
            username=cast.user.get_username(),
            decision=policy.Decision(cast.decision),
            counts=cast.counted,
        )
        for cast in request.votes.select_related("user")
    ]
    reached = policy.verdict(votes, request.quorum)
    request.revision += 1
    if reached is not policy.Verdict.PENDING:
        request.state = _STATES[reached]
        request.decided_at = vote.at
    request.save(update_fields=("revision", "state", "decided_at"))
    if reached is policy.Verdict.PENDING:
        return
    is_awaited = waits.end_locked(
        loaded,
        entry_id=str(request.entry_id),
        approval_id=str(request.pk),
        verdict=_ENDS[reached],
        actor=vote.user.get_username(),
        reason=vote.reason,
    )
    if not is_awaited:
        raise Conflict("This undo does not wait for a decision any more.")
