"""Entries whose time to be undone is over: SEALED, then confirmed (saga-semantics §2.3, §10.4).

Only an ARMED entry is sealed: never one in a plan, and never one of unknown outcome. Business time
goes on while a run is paused and after it has ended; what is sent because of it waits for the end
of a pause (§10.6).
"""

from collections.abc import Iterable

from orchestrator.engine.compensation import confirm_hooks
from orchestrator.engine.definition.durations import MalformedTime
from orchestrator.engine.definition.graph import Node
from orchestrator.engine.expressions.limits import ExpressionTooLarge
from orchestrator.engine.snapshot import StepRun
from orchestrator.engine.states import Direction, EntryState
from orchestrator.engine.steps import windows
from orchestrator.engine.work import Work

AT_ONCE = 100
"""Entries sealed in one decision when a run is completed; the rest follows by a timer."""


def window_due(work: Work, entry_id: str) -> None:
    """Take the end of a window; an entry in a plan stays what it is."""
    if not entry_id:
        work.frontier["seals"] = True
        return
    entry = work.run(entry_id)
    if entry is None or entry.entry_state is not EntryState.ARMED or entry.entry_due_at is None:
        return
    if entry.entry_due_at > work.now:
        work.wake_at(windows.PURPOSE, entry.entry_due_at, entry.id)
        return
    _seal(work, entry)


def seal_overdue(work: Work) -> None:
    """Seal what is over before a plan is made, should its timer be late (invariant 41)."""
    for run in list(work.runs.values()):
        entry = work.run(run.id) if windows.is_overdue(run, work.now) else None
        if entry is not None:
            work.forget(windows.PURPOSE, entry.id)
            _seal(work, entry)


def run_completed(work: Work) -> None:
    """Seal what can be undone until the run is COMPLETED: `confirm` without `window`."""
    if not work.snapshot.whole:
        work.needs.whole = True
        return
    chosen = [run for run, node in _armed(work) if _lasts_as_long_as_the_run(node)]
    entries = [entry for run in chosen[:AT_ONCE] if (entry := work.run(run.id)) is not None]
    if work.needs:
        return
    work.frontier.pop("seals")
    for entry in entries:
        _seal(work, entry)
    if len(chosen) > AT_ONCE:
        work.wake_at(windows.PURPOSE, work.now)


def follow_variables(work: Work) -> None:
    """Move the windows that are read from run variables (invariant 40)."""
    if not work.frontier.get("windows_move"):
        return
    if not work.snapshot.whole:
        work.needs.whole = True
        return
    moving = [run for run, node in _armed(work) if windows.follows_variables(node)]
    for run in moving:
        entry = work.run(run.id)
        node = work.node(run)
        if entry is not None and node is not None:
            _set_window(work, node, entry)


def hold(work: Work, entry: StepRun) -> None:
    """Stop the window of an entry that a plan has chosen: it is not sealed while in the plan."""
    if entry.entry_due_at is not None:
        work.forget(windows.PURPOSE, entry.id)


def reopen(work: Work, entry: StepRun) -> None:
    """Set the window of an entry that a rejected plan gives back; it may be over by now (§2.3)."""
    node = work.node(entry)
    is_bound = node is not None and bool(node.step.window or node.step.confirm)
    whole = work.run(entry.id) if is_bound and entry.entry_state is EntryState.ARMED else None
    if node is not None and whole is not None:
        _set_window(work, node, whole)


def _armed(work: Work) -> Iterable[tuple[StepRun, Node]]:
    for run in sorted(work.runs.values(), key=lambda run: run.seq):
        if run.direction is Direction.FORWARD and run.entry_state is EntryState.ARMED:
            node = work.node(run)
            if node is not None:
                yield run, node


def _lasts_as_long_as_the_run(node: Node) -> bool:
    return node.step.window is None and bool(node.step.confirm)


def _set_window(work: Work, node: Node, entry: StepRun) -> None:
    """Set the end of an ARMED entry's window anew; over already, it is sealed at once."""
    if node.step.window is None:
        if node.step.confirm:
            work.frontier["seals"] = True
        return
    try:
        closes = windows.closes_at(
            work, node, entry, output=entry.output, since=entry.ended_at or work.now
        )
    except (MalformedTime, ExpressionTooLarge) as error:
        work.tell("entry.window_unreadable", entry, reason=str(error)[:500])
        closes = None
    if work.needs or closes == entry.entry_due_at:
        return
    entry = work.change(entry, entry_due_at=closes)
    if closes is None:
        work.forget(windows.PURPOSE, entry.id)
    elif closes > work.now:
        work.wake_at(windows.PURPOSE, closes, entry.id)
    else:
        work.forget(windows.PURPOSE, entry.id)
        _seal(work, entry)


def _seal(work: Work, entry: StepRun) -> None:
    node = work.node(entry)
    if node is None:
        return
    entry = work.change(entry, entry_state=EntryState.SEALED, entry_due_at=None)
    work.tell("entry.sealed", entry)
    if node.step.confirm:
        confirm_hooks.ask_for(work, entry)
