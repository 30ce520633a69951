"""Stored compensation plans, as decisions read them."""

from orchestrator.engine.snapshot import PlanView
from orchestrator.models import CompensationPlan


def active_plan(execution_id: str, *, with_entries: bool = False) -> PlanView | None:
    """Return the plan that waits to be carried out, or is."""
    columns = ["id", "hash", "trigger", "reason", "triggered_by"]
    stored = (
        CompensationPlan.objects.filter(execution_id=execution_id, state="ACTIVE")
        .only(*columns, *(["entries"] if with_entries else []))
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
        entries=tuple(entry["id"] for entry in stored.entries) if with_entries else None,
    )
