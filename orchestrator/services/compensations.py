"""Undo on request, its preview, and what operators do about undos that are stuck."""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import transaction

from orchestrator.access import policy
from orchestrator.access.permissions import Permission
from orchestrator.audit import log
from orchestrator.engine.commands import Needs
from orchestrator.engine.compensation import plan
from orchestrator.engine.definition.graph import Node
from orchestrator.engine.snapshot import EntryActed, StepRun, StepSettled, UndoRequested
from orchestrator.engine.states import EntryState, ExecutionState, StepState
from orchestrator.models import Execution
from orchestrator.models import StepRun as StepRow
from orchestrator.services import versions
from orchestrator.services.errors import Conflict, Invalid, NotFound
from orchestrator.services.executions import cancel_execution
from orchestrator.services.locked import apply_locked, find_locked, problem, require_reason
from orchestrator.services.retrying import retried
from orchestrator.store import load
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
ALLOWED_ACTS: Mapping[EntryState, frozenset[str]] = {
    EntryState.COMPENSATION_FAILED: frozenset({"RETRY", "SKIP", "RESOLVE", "TO_MANUAL"}),
    EntryState.MANUAL: frozenset({"RETRY", "SKIP", "RESOLVE"}),
    EntryState.LATE_EFFECT: frozenset({"RESOLVE", "HARMLESS"}),
}
"""What an operator may do from which state (product.md §4); what is missing is a 409."""
AUDITED = {
    "RETRY": "compensation.retry",
    "SKIP": "compensation.skip",
    "RESOLVE": "compensation.resolve",
    "HARMLESS": "compensation.resolve",
    "TO_MANUAL": "compensation.to_manual",
}


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
    )


def _load_whole(loaded: Loaded) -> None:
    key = loaded.view.id
    load.satisfy({key: loaded}, {key: Needs(whole=True)}, _NO_RESOLVERS)


_NO_RESOLVERS = load.Resolvers(
    child=lambda _name, _number: None,
    inline_child=lambda _parent, _document: "",
    approval_holds=lambda _approval, _hash: False,
)


def _node(loaded: Loaded, run: StepRun) -> Node | None:
    return load.graph_of_run(loaded, run).nodes.get(run.reference)


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


# ---- stuck undos -----------------------------------------------------------------------------


def retry_entry(
    *, actor: "User | None", entry_id: "UUID | str", reason: str, note: str = ""
) -> None:
    """Try a failed undo again, with the key it had; it goes on at the step that failed."""
    _act(actor=actor, entry_id=entry_id, action="RETRY", reason=reason, note=note)


def skip_entry(
    *, actor: "User | None", entry_id: "UUID | str", reason: str, note: str = ""
) -> None:
    """Waive an undo: its effect stays, what is ordered after it may go on."""
    _act(actor=actor, entry_id=entry_id, action="SKIP", reason=reason, note=note)


def resolve_entry(
    *,
    actor: "User | None",
    entry_id: "UUID | str",
    reason: str,
    note: str = "",
    harmless: bool = False,
) -> None:
    """Say that an undo was done by hand, outside the engine.

    `harmless` attests that a late effect did no harm: its entry is COMPENSATED again.

    Raises:
        Conflict: Also for `harmless` where there is no late effect.
    """
    action = "HARMLESS" if harmless else "RESOLVE"
    _act(actor=actor, entry_id=entry_id, action=action, reason=reason, note=note)


def send_to_manual(
    *, actor: "User | None", entry_id: "UUID | str", reason: str, note: str = ""
) -> None:
    """Hand an undo over to a person outside the engine."""
    _act(actor=actor, entry_id=entry_id, action="TO_MANUAL", reason=reason, note=note)


@retried
@transaction.atomic(durable=True)
def _act(
    *, actor: "User | None", entry_id: "UUID | str", action: str, reason: str, note: str
) -> None:
    """Carry out an operator's act on an entry.

    Raises:
        NotFound, Forbidden: The actor may not see it, or not settle undos there.
        Invalid: There is no reason.
        Conflict: The entry is not in a state in which this can be done.
    """
    execution_id = _execution_of(entry_id)
    row, loaded = find_locked(execution_id)
    policy.require(actor, Permission.SETTLE_COMPENSATION, row.workflow)
    told = require_reason(reason)
    entry = StepRow.objects.get(pk=str(entry_id))
    state = EntryState(entry.entry_state or EntryState.TENTATIVE)
    if action not in ALLOWED_ACTS.get(state, frozenset()):
        verb = action.lower().replace("_", " ")
        raise Conflict(
            f"The undo of {entry.reference} is {state}: it cannot be sent to {verb} now."
        )
    acted = EntryActed(
        entry_id=str(entry.pk),
        action=action,
        actor=versions.name_of(actor),
        reason=told,
        note=note,
    )
    apply_locked(loaded, acted)
    log.record(
        AUDITED[action],
        str(entry.pk),
        actor,
        workflow=row.workflow_name,
        reason=told,
        changes={"execution": str(row.pk), "from": state.value, "note": note},
    )


def _execution_of(entry_id: "UUID | str") -> UUID:
    try:
        key = UUID(str(entry_id))
    except ValueError:
        raise NotFound(f"There is no compensation {entry_id}.") from None
    found = (
        StepRow.objects.filter(pk=key, entry_state__isnull=False)
        .values_list("execution_id", flat=True)
        .first()
    )
    if found is None:
        raise NotFound(f"There is no compensation {key}.")
    return UUID(str(found))


@retried
@transaction.atomic(durable=True)
def settle_step(
    *,
    actor: "User | None",
    execution_id: "UUID | str",
    step_id: "UUID | str",
    applied: bool,
    output: Mapping[str, Any] | None = None,
    reason: str,
) -> None:
    """Take the named answer to "did this happen?" for a step of unknown outcome.

    Raises:
        Conflict: The outcome of the step is known, or its undo was already dispatched.
    """
    row, loaded = find_locked(execution_id)
    policy.require(actor, Permission.SETTLE_COMPENSATION, row.workflow)
    told = require_reason(reason)
    key = _key(step_id)
    step = StepRow.objects.filter(pk=key, execution_id=row.pk).first() if key else None
    if step is None:
        raise NotFound(f"There is no step {step_id} in this run.")
    open_entries = (None, EntryState.UNCERTAIN.value)
    if step.state != StepState.UNKNOWN or step.entry_state not in open_entries:
        raise Conflict(f"{step.reference} is {step.state}: there is no open question about it.")
    answer = StepSettled(
        step_run_id=str(step.pk),
        applied=applied,
        actor=versions.name_of(actor),
        reason=told,
        output=dict(output) if output is not None else None,
    )
    apply_locked(loaded, answer)
    log.record(
        "step.settle",
        str(row.pk),
        actor,
        workflow=row.workflow_name,
        reason=told,
        changes={"step": str(step.pk), "applied": applied},
    )


def _key(text: "UUID | str") -> UUID | None:
    try:
        return UUID(str(text))
    except ValueError:
        return None
