"""Undo on request, and its preview."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import transaction

from orchestrator.access import policy
from orchestrator.access.permissions import Permission
from orchestrator.audit import log
from orchestrator.engine.commands import Needs
from orchestrator.engine.compensation import plan
from orchestrator.engine.definition.graph import Node
from orchestrator.engine.snapshot import StepRun, UndoRequested
from orchestrator.engine.states import ExecutionState
from orchestrator.models import Execution
from orchestrator.models import StepRun as StepRow
from orchestrator.services import versions
from orchestrator.services.errors import Conflict, Invalid, NotFound
from orchestrator.services.executions import cancel_execution
from orchestrator.services.locked import apply_locked, find_locked, problem, require_reason
from orchestrator.services.retrying import retried
from orchestrator.store import branches, clock, load
from orchestrator.store.load import Loaded

if TYPE_CHECKING:
    from django.contrib.auth.models import User

ON_REQUEST = frozenset(
    {
        ExecutionState.COMPLETED,
        ExecutionState.FAILED,
        ExecutionState.TIMED_OUT,
        ExecutionState.TERMINATED,
        ExecutionState.PARTIALLY_COMPENSATED,
    }
)


def preview(*, actor: "User | None", execution_id: "UUID | str") -> dict[str, Any]:
    """Return the plan that an undo would make now; nothing is stored (saga-semantics §5).

    Raises:
        NotFound: There is no such execution, or the actor may not see it.
    """
    execution = _visible(actor, execution_id)
    loaded = load.read_executions([str(execution.pk)])[str(execution.pk)]
    made = _planned(loaded)
    return {
        "hash": made.hash,
        "entries": list(made.entries),
        "edges": [list(edge) for edge in made.edges],
        "cannotBeUndone": list(made.cannot_be_undone),
    }


def _visible(actor: "User | None", execution_id: "UUID | str") -> Execution:
    try:
        key = UUID(str(execution_id))
    except ValueError:
        raise NotFound(f"There is no execution {execution_id}.") from None
    execution = Execution.objects.select_related("workflow").filter(pk=key).first()
    if execution is None:
        raise NotFound(f"There is no execution {key}.")
    policy.require(actor, Permission.VIEW_WORKFLOW, execution.workflow)
    return execution


def _planned(loaded: Loaded, wanted: Collection[str] | None = None) -> plan.Plan:
    """Make the plan over the whole ledger, without storing it."""
    is_over = loaded.view.state.is_terminal
    choosable = plan.CHOOSABLE_ON_REQUEST if is_over else plan.CHOOSABLE
    _load_whole(loaded)
    return plan.make(
        loaded.runs,
        lambda run: _node(loaded, run),
        wanted=wanted,
        choosable=choosable,
        now=clock.now(),
    )


def _load_whole(loaded: Loaded) -> None:
    key = loaded.view.id
    load.satisfy({key: loaded}, {key: Needs(whole=True)}, load.NO_RESOLVERS)


def _node(loaded: Loaded, run: StepRun) -> Node | None:
    return branches.graph_of_run(loaded, run).nodes.get(run.reference)


def request_compensation(
    *,
    actor: "User | None",
    execution_id: "UUID | str",
    reason: str,
    entries: Collection[str] | None = None,
    force: bool = False,
) -> None:
    """Undo a run that is over (T5), whole or chosen entries; a running one is cancelled with undo.

    Asked again while it undoes, nothing changes.

    Raises:
        NotFound, Forbidden: The actor may not see or not undo it.
        Invalid: There is no reason, or a chosen entry is not of this run.
        Conflict: There is nothing to undo, or the chosen entries leave out one that must be undone
            before them (`missing` names it).
    """
    told = require_reason(reason)
    if force:
        raise Conflict(
            "Undoing chosen entries against their order needs a second person; choose the entries "
            "that came after them as well."
        )
    if _is_running(execution_id):
        _visible_for_undo(actor, execution_id)
        cancel_execution(actor=actor, execution_id=execution_id, compensate=True, reason=told)
        return
    _request(actor=actor, execution_id=execution_id, reason=told, entries=entries)


def _is_running(execution_id: "UUID | str") -> bool:
    states = (ExecutionState.CREATED.value, ExecutionState.RUNNING.value)
    try:
        key = UUID(str(execution_id))
    except ValueError:
        return False
    return Execution.objects.filter(pk=key, state__in=states).exists()


def _visible_for_undo(actor: "User | None", execution_id: "UUID | str") -> None:
    execution = _visible(actor, execution_id)
    policy.require(actor, Permission.COMPENSATE_EXECUTION, execution.workflow)


@retried
@transaction.atomic(durable=True)
def _request(
    *,
    actor: "User | None",
    execution_id: "UUID | str",
    reason: str,
    entries: Collection[str] | None,
) -> None:
    row, loaded = find_locked(execution_id)
    policy.require(actor, Permission.COMPENSATE_EXECUTION, row.workflow)
    state = loaded.view.state
    if not state.is_terminal:
        return
    if state not in ON_REQUEST:
        raise Conflict(f"The run is {state}; there is nothing left to undo.")
    wanted = _chosen(loaded, entries) if entries is not None else None
    made = _planned(loaded, wanted)
    if made.is_empty:
        raise Conflict("There is nothing to undo in this run.")
    if made.missing:
        names = ", ".join(f'"{run.reference}"' for run in made.missing)
        raise Conflict(
            "What came after a chosen entry must be undone before it. Choose these as well: "
            f"{names}.",
            missing=[{"id": run.id, "taskReferenceName": run.reference} for run in made.missing],
        )
    who = versions.name_of(actor)
    chosen = frozenset(wanted) if wanted is not None else None
    fresh = load.lock_executions([loaded.view.id])[loaded.view.id]
    apply_locked(fresh, UndoRequested(actor=who, reason=reason, entries=chosen))
    log.record(
        "execution.compensate",
        str(row.pk),
        actor,
        workflow=row.workflow_name,
        reason=reason,
        changes={"plan": made.hash, "entries": len(made.entries)},
    )


def _chosen(loaded: Loaded, entries: Collection[str]) -> set[str]:
    wanted = {str(entry) for entry in entries}
    if not wanted:
        raise Invalid("Choose at least one entry.", problem("/entries", "empty"))
    known = {
        str(key)
        for key in StepRow.objects.filter(
            execution_id=loaded.view.id, entry_state__isnull=False
        ).values_list("pk", flat=True)
    }
    strange = sorted(wanted - known)
    if strange:
        raise Invalid(
            f"{strange[0]} is not an entry of this run.", problem("/entries", "unknown entry")
        )
    return wanted
