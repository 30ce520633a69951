"""What follows when it is too late for an undo: `notAfter` has passed (saga-semantics §10.3).

Never for an undo in flight. `onWindowClosed` says what is done instead: a person undoes it by hand,
another undo is sent, or people agree to leave the effect.
"""

from datetime import datetime

from orchestrator.engine.compensation import asking, settling, timers
from orchestrator.engine.definition.graph import Node
from orchestrator.engine.expressions.limits import ExpressionTooLarge
from orchestrator.engine.snapshot import StepRun
from orchestrator.engine.states import EntryState
from orchestrator.engine.steps import entry as ledger
from orchestrator.engine.work import Work


def close(work: Work, node: Node, entry: StepRun, *, since: datetime) -> bool:
    """Let an entry go the way of what is too late; True if it goes on with the other undo."""
    undo = node.step.compensation
    assert undo is not None
    # The participant may know of this round: another undo could do it twice.
    tried = entry.entry_state is EntryState.READY and ledger.was_sent(work, entry)
    if work.needs:
        return False
    way = "MANUAL" if tried else undo.on_window_closed
    if way == "SKIP_WITH_APPROVAL":
        _ask_to_skip(work, node, entry, since)
        return False
    timers.forget(work, entry)
    work.tell("entry.window_closed", entry, since=since.isoformat(), then=way)
    if way == "ALTERNATE":
        work.frontier["undo"].setdefault("alternate", []).append(entry.id)
        # Nobody has agreed to this one yet, whatever was agreed to before.
        work.change(entry, approval_id=None, undo_input=None, entry_due_at=None)
        return True
    what = "tried before; finish it by hand" if tried else "undo it by hand"
    entry = work.change(entry, entry_due_at=None)
    settling.to_manual(work, entry, reason=f"notAfter passed at {since.isoformat()}: {what}")
    return False


def is_waived(work: Work, approval_id: str) -> bool:
    """Tell whether a request asks to leave the effect as it is."""
    return approval_id in (work.frontier.get("undo") or {}).get("skips", ())


def _ask_to_skip(work: Work, node: Node, entry: StepRun, since: datetime) -> None:
    try:
        undo_input = asking.sent(work, node, entry)
    except ExpressionTooLarge as error:
        settling.fail_entry(work, entry, str(error))
        return
    if undo_input is None:
        return
    timers.forget(work, entry)
    work.tell("entry.window_closed", entry, since=since.isoformat(), then="SKIP_WITH_APPROVAL")
    entry = work.change(entry, entry_due_at=None)
    asking.ask_to_skip(work, node, entry, undo_input, since=since)
