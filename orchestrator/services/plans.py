"""A plan that waits for a person: whoever starts or rejects it (saga-semantics §5)."""

from typing import TYPE_CHECKING

from django.db import transaction

from orchestrator.access import policy
from orchestrator.access.permissions import Permission
from orchestrator.audit import log
from orchestrator.engine.snapshot import Input, PlanConfirmed, PlanRejected
from orchestrator.engine.states import ExecutionState
from orchestrator.models import CompensationPlan, Execution
from orchestrator.services import versions
from orchestrator.services.errors import Conflict
from orchestrator.services.locked import apply_locked, find_locked, require_reason
from orchestrator.services.retrying import retried
from orchestrator.store.load import Loaded

if TYPE_CHECKING:
    from uuid import UUID

    from django.contrib.auth.models import User


@retried
@transaction.atomic(durable=True)
def confirm_plan(
    *, actor: "User | None", execution_id: "UUID | str", plan_hash: str, reason: str = ""
) -> None:
    """Start the plan that waits for a person; its hash says which one the person has seen.

    Raises:
        NotFound, Forbidden: The actor may not see or not undo the run.
        Conflict: No plan waits, or it is another one by now.
    """
    row, loaded = find_locked(execution_id)
    policy.require(actor, Permission.COMPENSATE_EXECUTION, row.workflow)
    told = require_reason(reason) if reason.strip() else ""
    plan = _waiting_plan(row, plan_hash)
    who = versions.name_of(actor)
    _act(loaded, PlanConfirmed(hash=plan_hash, actor=who, reason=told))
    _record("plan.confirm", row, plan, actor, told)


@retried
@transaction.atomic(durable=True)
def reject_plan(
    *, actor: "User | None", execution_id: "UUID | str", plan_hash: str, reason: str
) -> None:
    """Drop the plan that waits for a person: what was done stays, until somebody asks again.

    Raises:
        NotFound, Forbidden: The actor may not see the run or not leave its effects standing.
        Invalid: There is no reason.
        Conflict: No plan waits, or it is another one by now.
    """
    row, loaded = find_locked(execution_id)
    policy.require(actor, Permission.BREAK_GLASS, row.workflow)
    told = require_reason(reason)
    plan = _waiting_plan(row, plan_hash)
    who = versions.name_of(actor)
    _act(loaded, PlanRejected(hash=plan_hash, actor=who, reason=told))
    _record("plan.reject", row, plan, actor, told)


def _waiting_plan(row: Execution, plan_hash: str) -> CompensationPlan:
    if row.state != ExecutionState.PLANNING:
        raise Conflict(f"The run is {row.state}: no plan of it waits to be started.")
    plan = CompensationPlan.objects.get(execution=row, state="ACTIVE")
    if plan.hash != plan_hash:
        raise Conflict(
            "The plan has changed since you looked at it. Look at it again.", hash=plan.hash
        )
    return plan


def _act(loaded: Loaded, item: Input) -> None:
    advanced = apply_locked(loaded, item)
    if advanced.refused:
        raise Conflict("The plan has changed since you looked at it. Look at it again.")


def _record(
    action: str, row: Execution, plan: CompensationPlan, actor: "User | None", reason: str
) -> None:
    log.record(
        action,
        str(row.pk),
        actor,
        workflow=row.workflow_name,
        reason=reason,
        changes={"plan": plan.hash, "number": plan.number, "entries": len(plan.entries)},
    )
