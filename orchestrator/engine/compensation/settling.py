"""How an entry ends: settled, failed or left to a person (saga-semantics §2.3, §9)."""

from typing import Any

from orchestrator.engine.compensation import timers
from orchestrator.engine.snapshot import StepRun
from orchestrator.engine.states import EntryState
from orchestrator.engine.steps import entry as ledger
from orchestrator.engine.work import Work

_BEFORE_READY = (EntryState.PLANNED, EntryState.AWAITING_APPROVAL, EntryState.DELAYED)


def give_up(work: Work, entry: StepRun, reason: str) -> None:
    """Stop trying: a person must act; entries ordered after stay PLANNED or go on (§9)."""
    work.frontier["undo"]["flight"] -= 1
    if entry.entry_state is EntryState.READY:
        entry = ledger.begin_running(work, entry)
    fail_entry(work, entry, reason)


def fail_entry(work: Work, entry: StepRun, reason: str) -> None:
    """Mark an entry COMPENSATION_FAILED."""
    if entry.entry_state in _BEFORE_READY:
        entry = work.change(entry, entry_state=EntryState.READY)
    entry = work.change(entry, entry_state=EntryState.COMPENSATION_FAILED, entry_reason=reason)
    work.tell("entry.compensation_failed", entry, reason=reason[:500])
    node = work.node(entry)
    compensation = node.step.compensation if node else None
    if compensation is not None and not compensation.blocks_on_failure:
        release(work, entry)


def settle_entry(work: Work, entry: StepRun, state: EntryState, **data: Any) -> None:
    """Settle an entry; those ordered after it may go on."""
    late = work.frontier.get("late_for", [])
    if entry.id in late:
        late.remove(entry.id)
        if state is EntryState.COMPENSATED:
            ledger.mark_late(work, entry, **data)
            return
    entry = work.change(entry, entry_state=state)
    work.tell(f"entry.{state.value.lower()}", entry, **data)
    timers.forget(work, entry)
    undo = work.frontier.get("undo")
    if undo is not None:
        undo["left"] -= 1
        if entry.id in undo.get("late", ()):
            undo["late"].remove(entry.id)
        release(work, entry)


def release(work: Work, entry: StepRun) -> None:
    """Let go what waits for this entry, once."""
    for key in entry.undo_next or ():
        waiting = work.run(key)
        if waiting is None:
            continue
        waiting = work.change(waiting, undo_waits=waiting.undo_waits - 1)
        if waiting.undo_waits == 0:
            work.frontier["undo"]["free"].append(key)
    if not work.needs:
        work.change(entry, undo_next=())


def to_manual(work: Work, entry: StepRun, *, reason: str, actor: str = "") -> None:
    """Leave the undo to a person outside the engine."""
    entry = work.change(entry, entry_state=EntryState.MANUAL, entry_reason=reason)
    work.tell("entry.manual", entry, reason=reason, by=actor)
