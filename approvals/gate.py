"""How the orchestrator has its undos held for people: called inside its transactions."""

from datetime import datetime, timedelta

from django.contrib.auth import get_user_model

from approvals import policy
from approvals.models import ApprovalRequest
from approvals.selectors import concerned_of, holds_right, rule_of
from orchestrator.engine.commands import OpenApproval
from orchestrator.selectors import parts


class ApprovalGate:
    """Opens requests and answers for them at dispatch."""

    def open_request(self, *, execution_id: str, command: OpenApproval, now: datetime) -> None:
        """Ask people about one undo; a request that was open for the entry is stale now."""
        ApprovalRequest.objects.filter(entry_id=command.entry_id).exclude(
            state=ApprovalRequest.SKIPPED
        ).update(state=ApprovalRequest.STALE)
        had = parts.of_execution(execution_id)
        concerned = policy.Concerned(
            starter=had.starter,
            starter_is_person=had.starter_is_person,
            triggerer=command.triggered_by,
            publisher=had.publisher,
        )
        rule = policy.Rule(
            groups=tuple(command.approval["groups"]),
            quorum=int(command.approval["quorum"]),
            distinct_from=tuple(command.approval["distinct_from"]),
        )
        ApprovalRequest.objects.create(
            id=command.id,
            workflow_id=had.workflow_id,
            workflow_name=had.workflow_name,
            execution_id=execution_id,
            correlation_id=had.correlation_id,
            entry_id=command.entry_id,
            reference=command.reference,
            round=command.round,
            undo_input=command.undo_input,
            original_input=command.original_input,
            input_hash=command.input_hash,
            endpoint=command.endpoint,
            amount=command.amount,
            rule=command.approval,
            definition_hash=command.definition_hash,
            plan_hash=command.plan_hash,
            starter=concerned.starter,
            starter_is_person=concerned.starter_is_person,
            triggerer=concerned.triggerer,
            publisher=concerned.publisher,
            quorum=policy.quorum_of(rule, concerned),
            created_at=now,
            deadline_at=now + timedelta(seconds=int(command.approval["deadline_seconds"])),
        )

    def still_holds(self, *, approval_id: str, input_hash: str) -> bool:
        """Check again, in the dispatching transaction, what was approved (saga-semantics §7)."""
        request = ApprovalRequest.objects.filter(pk=approval_id).first()
        if request is None or request.state != ApprovalRequest.APPROVED:
            return False
        if request.input_hash != input_hash:
            return False
        users = get_user_model().objects.filter(
            pk__in=request.votes.filter(counted=True, decision="APPROVE").values("user_id")
        )
        rule, concerned = rule_of(request), concerned_of(request)
        standing = [
            user
            for user in users
            if not policy.refusal(holds_right(user, request), rule, concerned, ())
        ]
        return len(standing) >= request.quorum

    def close_request(self, *, approval_id: str, state: str, now: datetime) -> None:
        """Take back a request that is not needed any more."""
        ApprovalRequest.objects.filter(pk=approval_id, state=ApprovalRequest.PENDING).update(
            state=state, decided_at=now
        )
