"""What the protocol asks of runs beside starting and steering: look at one now, forget one."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.db import transaction

from orchestrator.access import policy
from orchestrator.access.permissions import Permission
from orchestrator.audit import log
from orchestrator.border.input import check as check_json
from orchestrator.engine.snapshot import VariablesSet
from orchestrator.engine.states import EntryState
from orchestrator.models import (
    AttemptLog,
    Execution,
    ExecutionEvent,
    Notice,
    StartKey,
    StepRun,
)
from orchestrator.services import advance, locked, versions
from orchestrator.services.errors import Conflict
from orchestrator.services.retrying import retried

if TYPE_CHECKING:
    from uuid import UUID

    from django.contrib.auth.models import User

NAMED_AT_MOST = 20
_OVER = (EntryState.VOID.value, EntryState.COMPENSATED.value)


def look_at_execution(*, actor: "User | None", execution_id: "UUID | str") -> None:
    """Take what is due for a run now; nothing happens where nothing is. Safe to call twice.

    Raises:
        NotFound, Forbidden: The actor may not see or not steer it.
    """
    key = _may_steer(actor, execution_id)
    advance.drive(inputs={}, due=[key])


@retried
@transaction.atomic(durable=True)
def _may_steer(actor: "User | None", execution_id: "UUID | str") -> str:
    row, loaded = locked.find_locked(execution_id)
    policy.require(actor, Permission.CONTROL_EXECUTION, row.workflow)
    return loaded.view.id


@retried
@transaction.atomic(durable=True)
def change_variables(
    *, actor: "User | None", execution_id: "UUID | str", values: Mapping[str, Any]
) -> None:
    """Set variables of a run that is not over; the others stay.

    Raises:
        NotFound, Forbidden: The actor may not see or not steer it.
        Conflict: The run is over.
    """
    row, loaded = locked.find_locked(execution_id)
    policy.require(actor, Permission.CONTROL_EXECUTION, row.workflow)
    if loaded.view.state.is_terminal:
        raise Conflict(f"The run is over ({loaded.view.state}); its variables stay as they are.")
    check_json(dict(values))
    change = VariablesSet(values=dict(values), actor=versions.name_of(actor))
    locked.apply_locked(loaded, change)
    log.record(
        "execution.update",
        loaded.view.id,
        actor,
        workflow=row.workflow_name,
        changes={"variables": sorted(values)[:NAMED_AT_MOST]},
    )


@retried
@transaction.atomic(durable=True)
def remove_execution(*, actor: "User | None", execution_id: "UUID | str", reason: str = "") -> None:
    """Delete an ended run with its history; what still stands for an effect is named in the audit.

    Its key of start is free again. Its children stay, as runs of their own.

    Raises:
        NotFound, Forbidden: The actor may not see or not delete it.
        Conflict: The run is not over.
    """
    row, loaded = locked.find_locked(execution_id)
    policy.require(actor, Permission.DELETE_EXECUTION, row.workflow)
    if not loaded.view.state.is_terminal:
        raise Conflict(
            f"The run is {loaded.view.state}; only a run that is over can be removed. "
            "Terminate it first."
        )
    live = list(
        StepRun.objects.filter(execution=row, entry_state__isnull=False)
        .exclude(entry_state__in=_OVER)
        .order_by("seq")
        .values_list("reference", flat=True)
    )
    for model in (AttemptLog, ExecutionEvent, Notice, StartKey):
        model.objects.filter(execution_id=row.pk).delete()
    Execution.objects.filter(pk=row.pk).delete()
    log.record(
        "execution.delete",
        loaded.view.id,
        actor,
        workflow=row.workflow_name,
        reason=reason,
        changes={"live": live[:NAMED_AT_MOST], "liveCount": len(live)},
    )
