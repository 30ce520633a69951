"""Effects that turned up after their undo: what they hold back, and undoing them again (§2.3).

A LATE_EFFECT entry is not settled, so what is ordered before it waits for the person who deals with
it. RETRY begins a new round with new keys: in the plan that is being carried out, or in one of its
own where the run had ended.
"""

from typing import Any

from orchestrator.engine import order
from orchestrator.engine.compensation import plan, planning
from orchestrator.engine.snapshot import StepRun
from orchestrator.engine.states import Direction, EntryState
from orchestrator.engine.work import Work

TRIGGER = "LATE_EFFECT"


def may_undo_again(work: Work) -> bool:
    """Tell whether an undo could begin: a plan is being carried out, or the run had ended."""
    return "undo" in work.frontier or "late" in work.frontier


def undo_again(work: Work, entry: StepRun, *, actor: str, reason: str) -> None:
    """Plan the undo of a late effect once more, in a new round (saga-semantics §12)."""
    if "undo" in work.frontier:
        work.frontier["undo"]["free"].append(entry.id)
        # Whoever waits for it still does, where it was not settled before.
        planning.place(work, entry, waits=0, following=entry.undo_next or ())
        return
    if not work.snapshot.whole:
        work.needs.whole = True
        return
    chosen = frozenset({entry.id})
    choosable = frozenset({EntryState.LATE_EFFECT})
    made = plan.make(work.runs, work.node, wanted=chosen, choosable=choosable)
    if work.needs:
        return
    work.frontier.pop("late")
    planning.store_plan(work, made, TRIGGER, actor=actor, reason=reason)


def holds_back(work: Work, entry: StepRun) -> bool:
    """Tell whether an entry must wait for one ordered after it that came in later: a late effect.

    Also true while step runs must be loaded to tell.
    """
    if entry.entry_state is EntryState.READY and entry.undo_waits:
        # The plan has grown: what was added after this one goes first (invariant 8).
        return True
    late = work.frontier["undo"].get("late", ())
    if not late:
        return False
    if not work.snapshot.whole:
        work.needs.whole = True
        return True
    forward = {key: run for key, run in work.runs.items() if run.direction is Direction.FORWARD}
    later = order.successors(forward, (entry.id,))
    # One that is undone again was not part of the plan's order: it waits for all that came after.
    awaited = later if entry.id in late else later.intersection(late)
    return any(_is_awaited(work, forward[key]) for key in awaited)


def _is_awaited(work: Work, run: StepRun) -> bool:
    if run.entry_state is None or not run.entry_state.is_open:
        return False
    node = work.node(run)
    compensation = node.step.compensation if node else None
    if compensation is None:
        return True
    gave_up = run.entry_state is EntryState.COMPENSATION_FAILED
    lets_go = gave_up and not compensation.blocks_on_failure
    return not (compensation.independent or lets_go)


def stands_still(work: Work, undo: dict[str, Any], moving: tuple[EntryState, ...]) -> bool:
    """Tell whether nothing of a plan moves by itself: what is queued waits for late effects."""
    held = 0
    for key in (*undo["free"], *undo["ready"]):
        entry = work.run(key)
        if entry is None or not holds_back(work, entry):
            return False
        held += entry.entry_state in moving
    return work.entries_in(moving) == held
