"""Undo on request (T4, T5): its preview, what it may choose, and what takes two persons (§5)."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import transaction

from orchestrator.access import policy
from orchestrator.access.permissions import Permission
from orchestrator.audit import log
from orchestrator.engine.compensation import overriding, plan, planning
from orchestrator.engine.compensation.overriding import Overrides
from orchestrator.engine.definition.graph import Node
from orchestrator.engine.snapshot import Input, StepRun, UndoRequested
from orchestrator.engine.states import ExecutionState
from orchestrator.models import Execution
from orchestrator.models import StepRun as StepRow
from orchestrator.services import cancelling, two_persons, versions
from orchestrator.services.errors import Conflict, Invalid, NotFound
from orchestrator.services.locked import apply_locked, find_locked, problem, require_reason
from orchestrator.services.retrying import retried
from orchestrator.services.two_persons import Agreed, Waiting
from orchestrator.store import clock, load, plans, whole
from orchestrator.store.load import Loaded

if TYPE_CHECKING:
    from django.contrib.auth.models import User

KIND = "COMPENSATE"
_GOING = (ExecutionState.CREATED, ExecutionState.RUNNING, ExecutionState.STOPPING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """The plan that a request would lead to."""

    made: plan.Plan
    added: tuple[str, ...]
    """Its entries that are in no plan yet."""
    overrides: Overrides
    unanswered: tuple[StepRun, ...] = ()
    """Entries of unknown outcome that a running plan cannot take in before somebody answers."""


# ---- preview ---------------------------------------------------------------------------------


def preview(*, actor: "User | None", execution_id: "UUID | str") -> dict[str, Any]:
    """Return the plan that an undo would make now; nothing is stored (saga-semantics §5).

    Raises:
        NotFound: There is no such execution, or the actor may not see it.
    """
    execution = _visible(actor, execution_id)
    loaded = load.read_executions([str(execution.pk)])[str(execution.pk)]
    found = propose(loaded)
    return {
        "hash": found.made.hash,
        "entries": list(found.made.entries),
        "edges": [list(edge) for edge in found.made.edges],
        "cannotBeUndone": list(found.made.cannot_be_undone),
        "amounts": plan.totals(found.made.entries),
        "needsForce": found.overrides.to_public(),
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


def propose(loaded: Loaded, wanted: Collection[str] | None = None) -> Proposal:
    """Make the plan over the whole ledger, without storing it; all that is named may be chosen."""
    choosable = plan.choosable(
        on_request=loaded.view.state.is_terminal or is_undoing(loaded),
        override=wanted is not None,
    )
    whole.load_whole(loaded)
    kept = _kept(loaded)

    def node_of(run: StepRun) -> Node | None:
        return whole.node(loaded, run)

    now = clock.now()
    made = plan.make(
        loaded.runs,
        node_of,
        wanted=wanted,
        choosable=choosable,
        kept=kept,
        # What is named is looked at as it is, and what is over then takes two persons.
        now=now if wanted is None else None,
    )
    added = [entry["id"] for entry in made.entries if entry["id"] not in kept]
    unanswered = tuple(
        run
        for key in added
        if kept and planning.waits_for_answer(node_of(run := loaded.runs[key]), run)
    )
    return Proposal(
        made=made,
        added=tuple(added),
        overrides=overriding.needed(loaded.runs, node_of, made, added, now=now),
        unanswered=unanswered,
    )


def is_undoing(loaded: Loaded) -> bool:
    """Tell whether a plan of this run waits to be carried out, or is."""
    return "undo" in loaded.view.frontier


def _kept(loaded: Loaded) -> tuple[str, ...]:
    if not is_undoing(loaded):
        return ()
    active = plans.active_plan(loaded.view.id, with_entries=True)
    return (active.entries or ()) if active else ()


# ---- the request -----------------------------------------------------------------------------


@retried
@transaction.atomic(durable=True)
def request_compensation(
    *,
    actor: "User | None",
    execution_id: "UUID | str",
    reason: str,
    entries: Collection[str] | None = None,
    force: bool = False,
) -> Waiting | None:
    """Undo a run, whole or chosen entries (T5); one that still goes is cancelled with undo (T4).

    While it undoes, what is asked for is added to the plan; where nothing is to be added, nothing
    changes. `force` goes past a pivot, a seal or the order: the first such call is kept and
    answered with `Waiting`, the same by another person within a day does it.

    Raises:
        NotFound, Forbidden: The actor may not see it, not undo it, or not override.
        Invalid: There is no reason, or a chosen entry is not of this run.
        Conflict: There is nothing to undo, or it would go past something without `force`.
    """
    row, loaded = find_locked(execution_id)
    policy.require(actor, Permission.COMPENSATE_EXECUTION, row.workflow)
    told = require_reason(reason)
    if loaded.view.state in _GOING:
        if entries is not None:
            raise Conflict(
                f"The run is {loaded.view.state}: single steps can be undone once it has ended. "
                "Cancel it, or wait."
            )
        return cancelling.cancel_locked(
            row, loaded, actor=actor, compensate=True, reason=told, force=force
        )
    wanted = _chosen(loaded, entries) if entries is not None else None
    found = propose(loaded, wanted)
    if not found.added and is_undoing(loaded):
        return None
    _require_something(loaded, found)
    agreed: Agreed | None = None
    if found.overrides:
        answer = _agree(row, found, wanted, actor, told, force=force)
        if isinstance(answer, Waiting):
            return answer
        agreed = answer
    request = UndoRequested(
        actor=versions.name_of(actor),
        reason=told,
        entries=frozenset(wanted) if wanted is not None else None,
        override=agreed is not None,
    )
    _apply(loaded, request)
    changes = {"plan": found.made.hash, "entries": len(found.made.entries)}
    _record(row, actor, told, {**changes, **_override_changes(found, agreed)})
    return None


def _apply(loaded: Loaded, request: Input) -> None:
    # Decided on rows as they are read under the lock, with nothing of the preview kept.
    fresh = load.lock_executions([loaded.view.id])[loaded.view.id]
    apply_locked(fresh, request)


def _require_something(loaded: Loaded, found: Proposal) -> None:
    state = loaded.view.state
    if state is ExecutionState.COMPENSATED:
        raise Conflict(f"The run is {state}; there is nothing left to undo.")
    if "late" in loaded.view.frontier:
        raise Conflict("An effect turned up after its undo. Settle it first.")
    if not found.added:
        raise Conflict("There is nothing to undo in this run.")
    if found.unanswered and len(found.unanswered) == len(found.added):
        names = ", ".join(f'"{run.reference}"' for run in found.unanswered)
        raise Conflict(f"Say first whether this happened: {names}. Then it can be undone.")


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


# ---- two persons -----------------------------------------------------------------------------


def _agree(
    row: Execution,
    found: Proposal,
    wanted: Collection[str] | None,
    actor: "User | None",
    reason: str,
    *,
    force: bool,
) -> Waiting | Agreed:
    """Take one person's word for an override; it is bound to the plan that person has seen."""
    if not force:
        raise Conflict(
            cancelling.why_forced(found.overrides),
            missing=[_named(run) for run in found.overrides.skipped_over],
            needsForce=found.overrides.to_public(),
        )
    policy.require(actor, Permission.BREAK_GLASS, row.workflow)
    body = {
        "entries": sorted(wanted) if wanted is not None else None,
        "force": True,
        "plan": found.made.hash,
    }
    agreed = two_persons.agree_locked(
        row=row,
        kind=KIND,
        body=body,
        actor=actor,
        permission=Permission.BREAK_GLASS,
        reason=reason,
    )
    if isinstance(agreed, Waiting) and agreed.is_new:
        _record(row, actor, reason, {**body, **_override_changes(found, None)}, result="waiting")
    return agreed


def _named(run: StepRun) -> dict[str, str]:
    return {"id": run.id, "taskReferenceName": run.reference}


def _override_changes(found: Proposal, agreed: Agreed | None) -> dict[str, Any]:
    if not found.overrides:
        return {}
    changes: dict[str, Any] = {"overrides": found.overrides.to_public()}
    if agreed is not None:
        changes |= {"firstPerson": agreed.first, "firstReason": agreed.first_reason}
    return changes


def _record(
    row: Execution,
    actor: "User | None",
    reason: str,
    changes: dict[str, Any],
    *,
    result: str = "ok",
) -> None:
    log.record(
        "execution.compensate",
        str(row.pk),
        actor,
        workflow=row.workflow_name,
        reason=reason,
        changes=changes,
        result=result,
    )
