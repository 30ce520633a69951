"""Cancelling a run that is not over (T4), and what a completed pivot says to that (§11)."""

from typing import TYPE_CHECKING, Any

from orchestrator.access import policy
from orchestrator.access.permissions import Permission
from orchestrator.audit import log
from orchestrator.engine.compensation import pivots
from orchestrator.engine.compensation.overriding import Overrides
from orchestrator.engine.definition.model import EffectClass
from orchestrator.engine.snapshot import Cancelled, StepRun
from orchestrator.engine.states import EntryState, ExecutionState
from orchestrator.models import Execution
from orchestrator.services import two_persons, versions
from orchestrator.services.errors import Conflict
from orchestrator.services.locked import apply_locked, live_entries
from orchestrator.services.two_persons import Agreed, Waiting
from orchestrator.store import load, whole
from orchestrator.store.load import Loaded

if TYPE_CHECKING:
    from django.contrib.auth.models import User

KIND = "CANCEL"
_UNDOABLE = (EntryState.TENTATIVE, EntryState.ARMED, EntryState.UNCERTAIN)


def cancel_locked(
    row: Execution,
    loaded: Loaded,
    *,
    actor: "User | None",
    compensate: bool,
    reason: str,
    force: bool = False,
    adds: bool = True,
) -> Waiting | None:
    """Cancel a run whose row is locked; returns what it waits for, if it needs a second person.

    Args:
        row: The execution.
        loaded: The same, as decisions see it.
        actor: Who cancels.
        compensate: Undo what was done.
        reason: Why.
        force: Go past a completed pivot, with a second person.
        adds: A run that undoes already takes into its plan what that leaves out.

    Raises:
        Forbidden: The actor may not cancel, not leave effects standing, or not override.
        Conflict: The run is over, or its undo would go past a completed pivot without `force`.
    """
    policy.require(actor, Permission.CANCEL_EXECUTION, row.workflow)
    state = loaded.view.state
    if state.is_terminal:
        raise Conflict(f"The run is over ({state}); there is nothing to cancel.")
    if not compensate and live_entries(loaded):
        policy.require(actor, Permission.BREAK_GLASS, row.workflow)
    if "undo" in loaded.view.frontier and not adds:
        return None
    if compensate and "pivot_doubt" in loaded.view.frontier:
        raise Conflict(
            "Nobody knows yet whether the pivot took effect, so nothing may be undone. Settle its "
            "step first."
        )
    agreed: Agreed | None = None
    overrides = _past_pivot(loaded) if compensate else Overrides()
    if overrides:
        answer = _agree(row, overrides, actor, reason, force=force)
        if isinstance(answer, Waiting):
            return answer
        agreed = answer
    cancel = Cancelled(
        compensate=compensate,
        actor=versions.name_of(actor),
        reason=reason,
        override=agreed is not None,
    )
    apply_locked(load.lock_executions([loaded.view.id])[loaded.view.id], cancel)
    changes: dict[str, Any] = {"compensate": compensate}
    if agreed is not None:
        changes |= _told(overrides)
        changes |= {"firstPerson": agreed.first, "firstReason": agreed.first_reason}
    _record(row, actor, reason, changes)
    return None


def why_forced(overrides: Overrides) -> str:
    """Return why this cannot be done by one person, and the way out."""
    told: list[str] = []
    if overrides.before_pivot and overrides.pivot is not None:
        told.append(
            f"“{overrides.pivot.reference}” has decided this run: what was done before or beside "
            f"it stays, so {_names(overrides.before_pivot)} cannot simply be undone."
        )
    if overrides.sealed:
        told.append(f"The time in which it could be undone is over for {_names(overrides.sealed)}.")
    if overrides.skipped_over:
        told.append(
            "What came after a chosen entry must be undone before it. Choose these as well: "
            f"{_names(overrides.skipped_over)}."
        )
    told.append("To do it all the same takes `force` and two persons with the right break_glass.")
    return " ".join(told)


def _names(runs: tuple[StepRun, ...]) -> str:
    return ", ".join(f'"{run.reference}"' for run in runs)


def _past_pivot(loaded: Loaded) -> Overrides:
    """Return what a cancel with undo would undo although a pivot has completed after or beside it.

    A run that stops or undoes already is left as it is: the engine keeps its undo within bounds.
    """
    if loaded.view.state is ExecutionState.STOPPING or "undo" in loaded.view.frontier:
        return Overrides()
    if not _may_have_pivot(loaded):
        return Overrides()
    runs = whole.load_whole(loaded)
    allowed = pivots.allowed(runs, lambda run: whole.node(loaded, run))
    if allowed is None:
        return Overrides()
    return Overrides(
        pivot=pivots.last_pivot(runs, lambda run: whole.node(loaded, run)),
        before_pivot=tuple(
            run
            for run in sorted(runs.values(), key=lambda run: run.seq)
            if run.entry_state in _UNDOABLE and run.id not in allowed
        ),
    )


def _may_have_pivot(loaded: Loaded) -> bool:
    """Tell, without loading anything, whether a step of the run may be a pivot."""
    nodes = loaded.graph.nodes.values()
    return loaded.view.is_saga and any(
        node.effect is EffectClass.PIVOT or node.step.type == "FORK_JOIN_DYNAMIC" for node in nodes
    )


def _agree(
    row: Execution, overrides: Overrides, actor: "User | None", reason: str, *, force: bool
) -> Waiting | Agreed:
    if not force:
        raise Conflict(why_forced(overrides), needsForce=overrides.to_public())
    policy.require(actor, Permission.BREAK_GLASS, row.workflow)
    agreed = two_persons.agree_locked(
        row=row,
        kind=KIND,
        body={"compensate": True, "force": True},
        actor=actor,
        permission=Permission.BREAK_GLASS,
        reason=reason,
    )
    if isinstance(agreed, Waiting) and agreed.is_new:
        changes = {"compensate": True, **_told(overrides)}
        _record(row, actor, reason, changes, result="waiting")
    return agreed


def _told(overrides: Overrides) -> dict[str, Any]:
    return {"overrides": overrides.to_public()}


def _record(
    row: Execution,
    actor: "User | None",
    reason: str,
    changes: dict[str, Any],
    *,
    result: str = "ok",
) -> None:
    log.record(
        "execution.cancel",
        str(row.pk),
        actor,
        workflow=row.workflow_name,
        reason=reason,
        changes=changes,
        result=result,
    )
