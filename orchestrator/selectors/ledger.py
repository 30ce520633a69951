"""Ledger entries of an execution: what can be undone, and what each undo waits for."""

from collections.abc import Mapping
from typing import Any

from orchestrator.engine.states import EntryState
from orchestrator.models import Execution, StepRun
from orchestrator.selectors.paging import Page, encode_cursor, position_after
from orchestrator.selectors.times import iso, iso_of

_FIELDS = (
    "id", "seq", "reference", "iteration", "entry_state", "policy", "round", "amount",
    "approval_id", "entry_due_at", "entry_reason", "undo_attempts", "undo_waits",
)  # fmt: skip


_WAITING: Mapping[str, str] = {
    EntryState.AWAITING_APPROVAL: "an approval",
    EntryState.DELAYED: "its time",
    EntryState.RETRY_WAIT: "its next try",
    EntryState.COMPENSATION_FAILED: "a person: the undo failed for good",
    EntryState.MANUAL: "a person who undoes it by hand",
    EntryState.LATE_EFFECT: "a person: the step took effect after its undo",
}


def entries_page(
    *, execution: Execution, cursor: str | None, limit: int
) -> Page[dict[str, object]]:
    """Return ledger entries in the order of scheduling; the caller has found the execution."""
    rows = StepRun.objects.filter(execution=execution, entry_state__isnull=False)
    if cursor:
        rows = rows.filter(seq__gt=position_after(cursor))
    found = list(rows.only(*_FIELDS).order_by("seq", "id")[: limit + 1])
    more, found = len(found) > limit, found[:limit]
    return Page(
        results=[entry_dict(row, frontier=execution.frontier) for row in found],
        next=encode_cursor("a", str(found[-1].seq)) if more else None,
    )


def entry_dict(row: StepRun, *, frontier: Mapping[str, Any]) -> dict[str, object]:
    """Return one entry as the API shows it; its id is that of the step run it undoes.

    `dueAt` is the time before which the undo is not sent, `undoableUntil` that after which it is
    not: the end of the step's window, or `notAfter`.
    """
    is_armed = row.entry_state == EntryState.ARMED
    times = (frontier.get("undo") or {}).get("times", {}).get(str(row.pk), {})
    return {
        "id": str(row.pk),
        "taskReferenceName": row.reference,
        "iteration": row.iteration,
        "state": row.entry_state,
        "policy": row.policy,
        "round": row.round,
        "amount": row.amount,
        "attempts": row.undo_attempts,
        "reason": row.entry_reason,
        "dueAt": None if is_armed else iso(row.entry_due_at),
        "undoableUntil": iso(row.entry_due_at) if is_armed else iso_of(times.get("NOT_AFTER")),
        "waitingFor": waiting_for(row),
        "approvalId": str(row.approval_id) if row.approval_id is not None else None,
    }


def waiting_for(row: StepRun) -> str | None:
    """Say what the undo waits for, or None when it waits for nothing."""
    if row.entry_state == EntryState.PLANNED:
        others = row.undo_waits
        return f"{others} undo{'s' if others != 1 else ''} before it" if others else None
    if row.entry_state == EntryState.READY and row.entry_due_at is not None:
        # Its time has moved away after it had come.
        return _WAITING[EntryState.DELAYED]
    return _WAITING.get(str(row.entry_state))
