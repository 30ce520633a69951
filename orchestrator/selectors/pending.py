"""What one person has asked for and a second one must ask for too (saga-semantics §5)."""

from orchestrator.models import Execution, PendingAct
from orchestrator.models.pending import KEPT
from orchestrator.selectors.times import iso


def pending_acts(*, execution: Execution) -> list[dict[str, object]]:
    """Return the first calls that wait for another person, the oldest first."""
    # Upkeep deletes what nobody has joined in time.
    rows = PendingAct.objects.filter(execution=execution).order_by("created_at")
    return [
        {
            "kind": row.kind,
            "by": row.actor,
            "reason": row.reason,
            "at": iso(row.created_at),
            "until": iso(row.created_at + KEPT),
        }
        for row in rows
    ]
