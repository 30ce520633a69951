"""Whose an effect is, by its `effectId` (saga-semantics §8)."""

from orchestrator.engine.states import OPEN_ENTRIES, Direction, EntryState, StepState
from orchestrator.models import StepRun

_GIVEN_UP = tuple(
    state.value
    for state in (
        *(OPEN_ENTRIES - {EntryState.LATE_EFFECT}),
        EntryState.COMPENSATED,
        EntryState.RESOLVED_MANUALLY,
    )
)
"""Entries of effects that are being undone, or were."""


def owner_of(effect_id: str, *, root_id: str) -> str | None:
    """Return an execution outside this family that did the effect and keeps it; None = none."""
    found = (
        StepRun.objects.filter(
            effect_id=effect_id,
            state=StepState.COMPLETED,
            direction=Direction.FORWARD,
        )
        # As the index has it, so that the planner may use it whatever the id is.
        .exclude(effect_id="")
        .exclude(execution__root_id=root_id)
        .exclude(entry_state__in=_GIVEN_UP)
        .values_list("execution_id", flat=True)
        .order_by("id")
        .first()
    )
    return str(found) if found is not None else None
