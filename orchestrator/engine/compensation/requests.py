"""What people, the API and parents ask of a run: cancel, undo (saga-semantics §5)."""

from dataclasses import replace

from orchestrator.engine.compensation import confirming_plan, extending, planning
from orchestrator.engine.forward import direction, finish, part, stopping
from orchestrator.engine.snapshot import Cancelled, ParentSpoke, UndoRequested
from orchestrator.engine.states import EntryState, ExecutionState
from orchestrator.engine.work import Work

_LIVE = (EntryState.ARMED, EntryState.UNCERTAIN)


def parent_spoke(work: Work, item: ParentSpoke) -> None:
    """Take the word of the parent: stop, with or without undo, or be undone (T6)."""
    state = work.execution.state
    if state.is_terminal:
        if item.stop:
            # The parent was told when this run ended; told twice, it might take it for an undo.
            return
        if work.entries_in(_LIVE):
            _undo_for_parent(work, item)
        else:
            finish.tell_parent(work)
        return
    if state in (ExecutionState.CREATED, ExecutionState.RUNNING):
        work.stop = stopping.asked_for("PARENT", item.reason, undo=item.undo, actor="parent")
    elif "part" in work.frontier:
        part.interrupt(
            work, stopping.asked_for("PARENT", item.reason, undo=item.undo, actor="parent")
        )
    elif is_asked(work):
        work.frontier.setdefault("stop", {})["undo"] = item.undo
    elif state is ExecutionState.STOPPING and item.undo:
        work.frontier["stop"]["undo"] = True
    elif not item.stop and "undo" in work.frontier:
        extending.extend(work, "PARENT", actor="parent", reason=item.reason, override=item.override)
        confirming_plan.confirmed_above(work)


def _undo_for_parent(work: Work, item: ParentSpoke) -> None:
    """Undo an ended child with its parent; past a pivot only what came after it (§11)."""
    stop = {"trigger": "PARENT", "undo": True, "by": "parent", "reason": item.reason}
    if item.override:
        stop["override"] = True
    wanted: frozenset[str] | None = None
    if direction.bounded_by_pivot(work, stop):
        if not work.snapshot.whole:
            work.needs.whole = True
            return
        wanted = direction.beyond_pivot(work)
        work.frontier["stop"] = {**stop, "dead_end": True}
        if not any(work.runs[key].entry_state in _LIVE for key in wanted):
            work.move(ExecutionState.NEEDS_ATTENTION, reason=direction.DEAD_END)
            return
    planning.begin_plan(
        work,
        "PARENT",
        actor="parent",
        reason=item.reason,
        wanted=wanted,
        override=item.override,
    )


def is_asked(work: Work) -> bool:
    """Tell whether a person is to say how a stopped run goes on."""
    waits = "undo" in work.frontier or "late" in work.frontier
    return work.in_state(ExecutionState.NEEDS_ATTENTION) and not waits


def cancelled(work: Work, item: Cancelled) -> None:
    """Take a cancel (T4); it never takes away an undo that is under way."""
    if work.in_state(ExecutionState.CREATED, ExecutionState.RUNNING):
        stop = stopping.asked_for("CANCEL", item.reason, undo=item.compensate, actor=item.actor)
        work.stop = replace(stop, override=item.override)
        return
    if "part" in work.frontier:
        stop = stopping.asked_for("CANCEL", item.reason, undo=item.compensate, actor=item.actor)
        part.interrupt(work, replace(stop, override=item.override))
        return
    if "undo" in work.frontier:
        # A cancel never takes an undo away; with undo, it asks for all of it (§5).
        if item.compensate:
            extending.extend(
                work, "CANCEL", actor=item.actor, reason=item.reason, override=item.override
            )
        return
    by = {"undo": item.compensate, "by": item.actor, "reason": item.reason}
    if is_asked(work):
        stop = work.frontier.setdefault("stop", {"trigger": "CANCEL"})
        stop |= by
        if item.override:
            stop["override"] = True
            stop.pop("dead_end", None)
        if not item.compensate:
            work.frontier.pop("questions", None)
        return
    asks_for_undo = item.compensate and stopping.wants_undo(work) is not True
    if work.in_state(ExecutionState.STOPPING) and asks_for_undo:
        # A cancel never takes an undo away, but it may ask for one (saga-semantics §5).
        work.frontier["stop"] |= {**by, "trigger": "CANCEL"}


def undo_requested(work: Work, item: UndoRequested) -> None:
    """Take the wish to have an ended run undone (T5)."""
    if "part" in work.frontier:
        # The rest of the run is still in flight: all of it is stopped first (invariant 11).
        if item.entries is None:
            stop = stopping.asked_for("CANCEL", item.reason, undo=True, actor=item.actor)
            part.interrupt(work, replace(stop, override=item.override))
        return
    is_open = is_asked(work) and stopping.is_quiet(work)
    if "undo" in work.frontier:
        extending.extend(
            work,
            item.trigger,
            actor=item.actor,
            reason=item.reason,
            wanted=item.entries,
            on_request=True,
            override=item.override,
        )
        return
    if not (work.execution.state.is_terminal or is_open):
        return
    began = planning.begin_plan(
        work,
        item.trigger,
        actor=item.actor,
        reason=item.reason,
        wanted=item.entries,
        on_request=True,
        override=item.override,
    )
    if began:
        # The person has answered: there is no dead end to come back to (§11).
        work.frontier.pop("stop", None)
