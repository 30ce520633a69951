"""What operators do about an undo that only a person can move on, and about an unknown outcome."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import transaction

from orchestrator.access import policy
from orchestrator.access.permissions import Permission
from orchestrator.audit import log
from orchestrator.border.input import check as check_json
from orchestrator.engine.canonical import digest
from orchestrator.engine.compensation.acts import ALLOWED
from orchestrator.engine.snapshot import EntryActed, StepSettled
from orchestrator.engine.states import EntryState, StepState
from orchestrator.models import Execution
from orchestrator.models import StepRun as StepRow
from orchestrator.services import undo_inputs, versions
from orchestrator.services.errors import Conflict, NotFound
from orchestrator.services.locked import apply_locked, find_locked, require_reason
from orchestrator.services.retrying import retried

if TYPE_CHECKING:
    from django.contrib.auth.models import User

AUDITED = {
    "RETRY": "compensation.retry",
    "AMEND": "compensation.amend",
    "SKIP": "compensation.skip",
    "RESOLVE": "compensation.resolve",
    "HARMLESS": "compensation.resolve",
    "TO_MANUAL": "compensation.to_manual",
}
_VERBS = {
    "RETRY": "tried again",
    "AMEND": "sent with another input",
    "SKIP": "skipped",
    "RESOLVE": "settled by hand",
    "HARMLESS": "called harmless",
    "TO_MANUAL": "handed to a person",
}
_REFUSED = {
    "AMEND": "A call of this undo took effect, or perhaps did, so it must not be sent with another "
    "input. Find out first; if nothing was applied, say so with `notApplied`. Or try it again as "
    "it is: it keeps its key.",
    "RETRY": "The run still goes on, so nothing of it can be undone now. Cancel it, or wait for "
    "its end.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One act of a person on an entry."""

    action: str
    reason: str
    note: str = ""
    input: dict[str, Any] | None = None
    not_applied: bool = False


def retry_entry(
    *, actor: "User | None", entry_id: "UUID | str", reason: str, note: str = ""
) -> None:
    """Try a failed undo again, with the key it had; it goes on at the step that failed.

    A late effect is undone once more in a new round, with a new key.

    Raises:
        Conflict: Also for a late effect while its run goes on.
    """
    _act(actor=actor, entry_id=entry_id, act=Act(action="RETRY", reason=reason, note=note))


def amend_entry(
    *,
    actor: "User | None",
    entry_id: "UUID | str",
    reason: str,
    input: Mapping[str, Any],  # noqa: A002 - the name on the wire
    note: str = "",
    not_applied: bool = False,
) -> None:
    """Try a failed undo again with another input, in a new round with a new key (§9).

    The policy of the undo is evaluated again on the new input.

    Args:
        actor: Who does it.
        entry_id: The entry.
        reason: Why.
        input: What is sent: the body of an HTTP undo, the input of any other task.
        note: More about it.
        not_applied: The actor attests that no call of the round before was applied.

    Raises:
        NotFound, Forbidden: The actor may not see it, or not settle undos there.
        Invalid: There is no reason, or the input is not what the undo's schema asks for.
        Conflict: The undo has not failed, or one of its calls was or may have been applied.
    """
    execution = Execution.objects.select_related("workflow").get(pk=_execution_of(entry_id))
    policy.require(actor, Permission.SETTLE_COMPENSATION, execution.workflow)
    given = dict(input)
    check_json(given)
    # Asks the jail, so it comes before the lock.
    undo_inputs.require_valid(entry_id=str(entry_id), input=given)
    act = Act(action="AMEND", reason=reason, note=note, input=given, not_applied=not_applied)
    _act(actor=actor, entry_id=entry_id, act=act)


def skip_entry(
    *, actor: "User | None", entry_id: "UUID | str", reason: str, note: str = ""
) -> None:
    """Waive an undo: its effect stays, what is ordered after it may go on."""
    _act(actor=actor, entry_id=entry_id, act=Act(action="SKIP", reason=reason, note=note))


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
    _act(actor=actor, entry_id=entry_id, act=Act(action=action, reason=reason, note=note))


def send_to_manual(
    *, actor: "User | None", entry_id: "UUID | str", reason: str, note: str = ""
) -> None:
    """Hand an undo over to a person outside the engine."""
    _act(actor=actor, entry_id=entry_id, act=Act(action="TO_MANUAL", reason=reason, note=note))


@retried
@transaction.atomic(durable=True)
def _act(*, actor: "User | None", entry_id: "UUID | str", act: Act) -> None:
    """Carry out an operator's act on an entry.

    Raises:
        NotFound, Forbidden: The actor may not see it, or not settle undos there.
        Invalid: There is no reason.
        Conflict: The entry is not in a state in which this can be done.
    """
    row, loaded = find_locked(_execution_of(entry_id))
    policy.require(actor, Permission.SETTLE_COMPENSATION, row.workflow)
    told = require_reason(act.reason)
    entry = StepRow.objects.get(pk=str(entry_id))
    state = EntryState(entry.entry_state or EntryState.TENTATIVE)
    if act.action not in ALLOWED.get(state, frozenset()):
        raise Conflict(
            f"The undo of {entry.reference} is {state}: it cannot be {_VERBS[act.action]} now."
        )
    acted = EntryActed(
        entry_id=str(entry.pk),
        action=act.action,
        actor=versions.name_of(actor),
        reason=told,
        note=act.note,
        input=act.input,
        not_applied=act.not_applied,
    )
    if acted.entry_id in apply_locked(loaded, acted).refused:
        why = _REFUSED.get(act.action, f"The undo of {entry.reference} cannot be settled now.")
        raise Conflict(why)
    log.record(
        AUDITED[act.action],
        str(entry.pk),
        actor,
        workflow=row.workflow_name,
        reason=told,
        changes={"execution": str(row.pk), "from": state.value, "note": act.note, **_told(act)},
    )


def _told(act: Act) -> dict[str, Any]:
    """Return what the audit keeps of an act beside its reason; of an input only the hash."""
    changes: dict[str, Any] = {}
    if act.input is not None:
        changes = {"inputHash": digest(act.input), "notApplied": act.not_applied}
    if act.action == "HARMLESS":
        changes["harmless"] = True
    return changes


def _execution_of(entry_id: "UUID | str") -> UUID:
    key = _key(entry_id)
    if key is None:
        raise NotFound(f"There is no compensation {entry_id}.")
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
