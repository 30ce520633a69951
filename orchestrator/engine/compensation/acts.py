"""What operators do about an entry that only a person can move on (saga-semantics §9)."""

from collections.abc import Callable, Mapping

from orchestrator.engine.compensation import amending, late, settling, undo
from orchestrator.engine.snapshot import EntryActed, StepRun
from orchestrator.engine.states import EntryState
from orchestrator.engine.work import Work

Act = Callable[[Work, StepRun, EntryActed], None]


def acted(work: Work, item: EntryActed) -> None:
    """Carry out an operator's act; refused where the state of the entry does not allow it."""
    entry = work.run(item.entry_id)
    if entry is None:
        return
    state = entry.entry_state
    act = _ACTS[state].get(item.action) if state is not None and state in _ACTS else None
    is_late = state is EntryState.LATE_EFFECT
    if act is None or not (is_late or "undo" in work.frontier):
        work.refused.append(entry.id)
        return
    act(work, entry, item)


def _retry(work: Work, entry: StepRun, _item: EntryActed) -> None:
    """Go on at the step that failed, with the key it had (§12)."""
    entry = work.change(entry, undo_attempts=0, undo_began_at=None, entry_reason="")
    undo.ready(work, entry)


def _undo_late(work: Work, entry: StepRun, item: EntryActed) -> None:
    if late.may_undo_again(work):
        late.undo_again(work, entry, actor=item.actor, reason=item.reason)
    else:
        work.refused.append(entry.id)


def _skip(work: Work, entry: StepRun, item: EntryActed) -> None:
    _settle(work, entry, item, EntryState.SKIPPED)
    work.change(entry, entry_reason=item.reason)


def _resolve(work: Work, entry: StepRun, item: EntryActed) -> None:
    _settle(work, entry, item, EntryState.RESOLVED_MANUALLY)
    work.change(entry, entry_reason=item.note or item.reason)


def _declare_harmless(work: Work, entry: StepRun, item: EntryActed) -> None:
    _settle(work, entry, item, EntryState.COMPENSATED)
    work.change(entry, entry_reason=item.note or item.reason)


def _to_manual(work: Work, entry: StepRun, item: EntryActed) -> None:
    settling.to_manual(work, entry, reason=item.reason, actor=item.actor)


def _settle(work: Work, entry: StepRun, item: EntryActed, state: EntryState) -> None:
    settling.settle_entry(work, entry, state, by=item.actor, reason=item.reason, note=item.note)


_ACTS: Mapping[EntryState, Mapping[str, Act]] = {
    EntryState.COMPENSATION_FAILED: {
        "RETRY": _retry,
        "AMEND": amending.amend,
        "SKIP": _skip,
        "RESOLVE": _resolve,
        "TO_MANUAL": _to_manual,
    },
    EntryState.MANUAL: {"RETRY": _retry, "SKIP": _skip, "RESOLVE": _resolve},
    EntryState.LATE_EFFECT: {
        "RETRY": _undo_late,
        "RESOLVE": _resolve,
        "HARMLESS": _declare_harmless,
    },
}

ALLOWED: Mapping[EntryState, frozenset[str]] = {
    state: frozenset(acts) for state, acts in _ACTS.items()
}
"""What an operator may do from which state (product.md §4)."""
