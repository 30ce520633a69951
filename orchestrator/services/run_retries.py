"""An ended run is taken up again from its failed steps, with or without its failed children."""

from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import transaction

from orchestrator.access import policy
from orchestrator.access.permissions import Permission
from orchestrator.audit import log
from orchestrator.engine.forward.again import ENDED_WITHOUT_UNDO
from orchestrator.engine.snapshot import RetryRequested
from orchestrator.engine.states import EntryState, ForwardResult, StepState
from orchestrator.models import Execution, StepRun
from orchestrator.services import versions
from orchestrator.services.errors import Conflict
from orchestrator.services.locked import (
    DISPATCHED_ENTRIES,
    apply_locked,
    find_locked,
    is_asked,
    was_dispatched,
)
from orchestrator.services.retrying import retried

if TYPE_CHECKING:
    from django.contrib.auth.models import User

_TO_RESUME = (StepState.FAILED.value, StepState.CANCELLED.value)
_DISPATCHED = frozenset(state.value for state in DISPATCHED_ENTRIES)


@retried
@transaction.atomic(durable=True)
def retry_execution(
    *,
    actor: "User | None",
    execution_id: "UUID | str",
    reason: str = "",
    resume_children: bool = False,
) -> None:
    """Take an ended run up again from its failed steps: same step runs, keys and epoch.

    A run that waits for a person to say how it goes on (`onFailure: ASK`, a completed pivot) may be
    retried too (saga-semantics §11).

    Args:
        actor: Who does it.
        execution_id: The run.
        reason: Why.
        resume_children: Failed sub-workflows go on as the runs they are, from their own failed
            steps (`resumeSubworkflowTasks`); otherwise fresh ones are started.

    Raises:
        Conflict: The run is in another state, or an undo was ever dispatched, in it or in a child
            that is to go on; a fresh child would hide effects of the last one.
    """
    row, loaded = find_locked(execution_id)
    policy.require(actor, Permission.CONTROL_EXECUTION, row.workflow)
    state = loaded.view.state
    if was_dispatched(loaded):
        raise Conflict(
            "An undo of this run has begun, so it cannot be retried. Let the undo end and start a "
            "new run."
        )
    if not (state in ENDED_WITHOUT_UNDO or is_asked(loaded)):
        raise Conflict(
            f"Only a run that failed, or waits for a person, can be retried; this one is {state}."
        )
    if resume_children:
        _require_resumable_children(row.pk)
    else:
        _require_clean_children(row)
    request = RetryRequested(
        actor=versions.name_of(actor), reason=reason, resume_children=resume_children
    )
    advanced = apply_locked(loaded, request)
    if not advanced.runs:
        raise Conflict("There is nothing in this run that could be retried.")
    changes: dict[str, Any] = {"resumeChildren": True} if resume_children else {}
    log.record(
        "execution.retry",
        str(row.pk),
        actor,
        workflow=row.workflow_name,
        reason=reason,
        changes=changes,
    )


def _require_clean_children(row: Execution) -> None:
    """Refuse a retry that would start a fresh child over effects of the failed one (api.md §14).

    Raises:
        Conflict: A child that did not complete has an effect left, or its undo was begun.
    """
    children_ = Execution.objects.filter(parent_id=row.pk, is_saga=True)
    gone = {EntryState.VOID.value}
    for child in children_.exclude(outcome="COMPLETED").only("id", "workflow_name", "frontier"):
        if set(child.frontier.get("ledger", {})) - gone:
            raise Conflict(
                f"The child run {child.pk} ({child.workflow_name}) has effects of its own, or was "
                "undone. Start a new run instead."
            )


def _require_resumable_children(execution_id: UUID) -> None:
    """Refuse to go on with children, down to the leaves, that cannot be tried again.

    Raises:
        Conflict: An undo of a failed child was ever dispatched, or the child has not ended.
    """
    failed = StepRun.objects.filter(
        execution_id=execution_id, child_id__isnull=False, state__in=_TO_RESUME
    )
    children_ = Execution.objects.filter(pk__in=failed.values("child_id"))
    for child in children_.only("id", "workflow_name", "state", "outcome", "frontier"):
        if child.outcome == ForwardResult.COMPLETED:
            continue
        named = f"The child run {child.pk} ({child.workflow_name})"
        if _DISPATCHED & set(child.frontier.get("ledger", {})):
            raise Conflict(f"{named} was undone, so it cannot go on. Start a new run instead.")
        if child.state not in ENDED_WITHOUT_UNDO:
            raise Conflict(f"{named} is {child.state}; only a failed one can go on.")
        _require_resumable_children(child.pk)
