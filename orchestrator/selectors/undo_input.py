"""What an undo was sent with last, for a person who changes it."""

from typing import Any
from uuid import UUID

from orchestrator.engine.compensation.inputs import sent_of
from orchestrator.engine.states import Direction
from orchestrator.models import StepRun


def last_input(entry_id: UUID) -> dict[str, Any]:
    """Return the last input of an undo: amended, or as its first step got it; else nothing.

    The caller has found the entry among those the actor may see.
    """
    amended = StepRun.objects.values_list("undo_input", flat=True).get(pk=entry_id)
    if amended:
        return dict(amended["input"])
    first = (
        StepRun.objects.filter(compensates=entry_id, direction=Direction.COMPENSATION)
        .order_by("-round", "seq")
        .only("type", "input")
        .first()
    )
    return sent_of(first.type, first.input) if first is not None else {}
