"""Stored compensation plans, as decisions read them."""

from orchestrator.engine.snapshot import PlanView
from orchestrator.models import CompensationPlan


def active_plan(execution_id: str) -> PlanView | None:
    """Return the plan that is being carried out."""
    stored = (
        CompensationPlan.objects.filter(execution_id=execution_id, state="ACTIVE")
        .only("id", "hash", "trigger", "reason", "triggered_by")
        .first()
    )
    if stored is None:
        return None
    return PlanView(
        id=str(stored.id),
        hash=stored.hash,
        trigger=stored.trigger,
        reason=stored.reason,
        triggered_by=stored.triggered_by,
    )
