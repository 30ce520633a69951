"""Undo that the definition asks for: an event, or a moment (T7, saga-semantics §5).

A run that goes forward is stopped; one that has ended is undone; one that undoes already takes more
into its plan. Nobody answers for it, so a completed pivot bounds it like a failure (§11).
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from orchestrator.engine import order, roots
from orchestrator.engine.compensation import confirming_plan, extending, plan, planning
from orchestrator.engine.definition.durations import MalformedTime
from orchestrator.engine.definition.moments import instant
from orchestrator.engine.events import Event
from orchestrator.engine.expressions import mapping
from orchestrator.engine.expressions.limits import ExpressionTooLarge
from orchestrator.engine.forward import direction, part, stopping
from orchestrator.engine.occurrences import Triggered
from orchestrator.engine.states import ExecutionState
from orchestrator.engine.work import Stop, Work

NAME = "TRIGGER"
PURPOSE = "TRIGGER"
_STANDING = (ExecutionState.COMPLETED, ExecutionState.PARTIALLY_COMPENSATED)
"""Ended runs whose effects stand because they were meant to, not because somebody left them."""
AGAIN_AFTER = 60
"""Seconds after which a trigger that met a pivot in doubt is tried again."""


# ---- moments ---------------------------------------------------------------------------------


def arm(work: Work) -> None:
    """Set the timers of triggers with `at`, anew where their moment has moved (invariant 40)."""
    for index, trigger in _moments(work):
        _arm(work, index, trigger)


def arm_again(work: Work) -> None:
    """Follow steps that moments are read from, once they have settled."""
    settled = {event.reference for event in work.events if event.type == "step.completed"}
    for index, trigger in _moments(work) if settled else ():
        if settled & roots.steps_read(mapping.roots(trigger["at"])):
            _arm(work, index, trigger)


def _moments(work: Work) -> list[tuple[int, Mapping[str, Any]]]:
    if not work.is_saga:
        return []
    return [
        (index, trigger)
        for index, trigger in enumerate(work.graph.definition.saga.triggers)
        if trigger.get("at") is not None
    ]


def _arm(work: Work, index: int, trigger: Mapping[str, Any]) -> None:
    values = roots.forward_roots(work, mapping.roots(trigger["at"]))
    if values is None:
        return
    said, wrong = None, ""
    try:
        said = mapping.resolve(trigger["at"], values)
        moment = instant(said).at if said not in (None, "", "null") else None
    except (MalformedTime, ExpressionTooLarge) as error:
        moment, wrong = None, str(error)
    kept = work.frontier.get("moments", {})
    now_said = moment.isoformat() if moment is not None else wrong
    if kept.get(str(index), "") == now_said:
        return
    work.frontier["moments"] = {**kept, str(index): now_said}
    if moment is not None:
        work.wake_at(PURPOSE, moment, str(index))
        return
    work.forget(PURPOSE, str(index))
    if wrong:
        data = {"trigger": index, "reason": wrong[:500]}
        work.record(Event(type="trigger.unreadable", data=data))


def due(work: Work, subject: str) -> None:
    """Take the moment of a trigger, or its next try."""
    triggers = work.graph.definition.saga.triggers
    if subject.isdecimal() and int(subject) < len(triggers):
        trigger = triggers[int(subject)]
        name = str(trigger.get("event") or "")
        said = work.frontier.get("moments", {}).get(subject, "")
        reason = f"the event {name}" if name else f"its time has come: {said}"
        _apply(work, int(subject), actor="", reason=reason)


# ---- events ----------------------------------------------------------------------------------


def happened(work: Work, item: Triggered) -> None:
    """Take an event that the definition waits for; whoever raised it has checked the condition."""
    if item.index < len(work.graph.definition.saga.triggers):
        _apply(work, item.index, actor=item.actor, reason=f"the event {item.event}")


# ---- what it does ----------------------------------------------------------------------------


def _apply(work: Work, index: int, *, actor: str, reason: str) -> None:
    given = work.graph.definition.saga.triggers[index].get("steps")
    steps = [str(step) for step in given] if isinstance(given, list) else []
    if "pivot_doubt" in work.frontier:
        work.wake_at(PURPOSE, work.later(AGAIN_AFTER), str(index))
        return
    if work.in_state(ExecutionState.CREATED, ExecutionState.RUNNING):
        work.stop = _stop(steps, actor, reason)
    elif "part" in work.frontier:
        part.interrupt(work, _stop(steps, actor, reason))
    elif "undo" in work.frontier:
        _add(work, index, steps, actor, reason)
    elif work.execution.state.is_terminal:
        _undo_ended(work, steps, actor, reason)
    elif "late" not in work.frontier and stopping.wants_undo(work) is not True:
        # It stops without undo, or a person has not said yet: the event says it.
        stop = work.frontier.setdefault("stop", {})
        stop |= {"trigger": NAME, "undo": True, "by": actor, "reason": reason}
        if steps:
            stop["steps"] = steps


def _stop(steps: list[str], actor: str, reason: str) -> Stop:
    stop = stopping.asked_for(NAME, reason, undo=True, actor=actor)
    return replace(stop, steps=tuple(steps))


def _add(work: Work, index: int, steps: list[str], actor: str, reason: str) -> None:
    """Add to the plan; one that a person has started takes in nothing that nobody has seen."""
    is_confirmed = not work.in_state(ExecutionState.PLANNING)
    if is_confirmed and confirming_plan.asks(work, NAME):
        later = work.frontier.setdefault("triggers_later", [])
        if index not in [kept["index"] for kept in later]:
            later.append({"index": index, "actor": actor, "reason": reason})
        return
    if not work.snapshot.whole:
        work.needs.whole = True
        return
    wanted = named(work, steps) if steps else None
    extending.extend(work, NAME, actor=actor, reason=reason, wanted=wanted)


def take_postponed(work: Work) -> None:
    """Take what came while a plan ran that a person had started, now that it has ended."""
    for kept in work.frontier.pop("triggers_later", []):
        _apply(work, kept["index"], actor=kept["actor"], reason=kept["reason"])


def _undo_ended(work: Work, steps: list[str], actor: str, reason: str) -> None:
    if not (work.in_state(*_STANDING) and work.entries_in(plan.CHOOSABLE)):
        return
    if not work.snapshot.whole:
        work.needs.whole = True
        return
    inside = named(work, steps) if steps else None
    if direction.bounded_by_pivot(work, {"trigger": NAME}):
        beyond = direction.beyond_pivot(work)
        inside = beyond if inside is None else inside & beyond
    if not planning.begin_plan(work, NAME, actor=actor, reason=reason, wanted=inside):
        is_open = work.needs or work.in_state(ExecutionState.NEEDS_ATTENTION)
        if not is_open:
            work.record(Event(type="trigger.ignored", data={"reason": reason, "by": actor}))


def named(work: Work, steps: list[str]) -> frozenset[str]:
    """Return the step runs of these references and what came after them; all must be loaded."""
    forward = plan.forward_runs(work.runs)
    starts = [run.id for run in forward.values() if run.reference in steps]
    return order.successors(forward, starts).union(starts)


def within(
    work: Work, stop: Mapping[str, Any], inside: frozenset[str] | None
) -> frozenset[str] | None:
    """Return the step runs that a stop may undo: those that its trigger names, if it names any."""
    steps = stop.get("steps")
    if not steps:
        return inside
    chosen = named(work, steps)
    return chosen if inside is None else chosen & inside
