"""When an undo may be sent: not before its time, and not after (saga-semantics §10.2, §10.3).

Both times are computed when the entry leaves PLANNED, before it is sent, when it is claimed, when a
run variable changes and when a timer fires.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Any

from orchestrator.engine import roots
from orchestrator.engine.compensation import attached, closing, settling, timers
from orchestrator.engine.definition.durations import MalformedTime
from orchestrator.engine.definition.graph import Node
from orchestrator.engine.definition.model import Moment
from orchestrator.engine.definition.moments import Instant, instant
from orchestrator.engine.expressions import mapping
from orchestrator.engine.expressions.limits import ExpressionTooLarge
from orchestrator.engine.snapshot import StepRun
from orchestrator.engine.states import EntryState, StepState
from orchestrator.engine.steps import base, windows
from orchestrator.engine.work import Work

SETTLE_DELAY = 30


class Turn(Enum):
    """What the clock says about an undo."""

    GO = auto()
    """It may be sent now."""
    EARLY = auto()
    """It must wait."""
    ALTERNATE = auto()
    """It is too late: the other undo is to go the same way."""
    NONE = auto()
    """Nothing follows: something must be loaded, or the entry has gone another way."""


@dataclass(frozen=True, slots=True)
class Times:
    """The first and the last moment at which an undo may be sent; None = no bound."""

    first: Instant | None = None
    last: Instant | None = None


class Unreadable(Exception):
    """A business time of an undo is missing, or is none."""


def consider(work: Work, node: Node, entry: StepRun) -> Turn:
    """Hold an entry to its times; one that is too late, or cannot be told, goes another way.

    An undo that was handed out and that nobody has taken yet is taken back where it must be.
    """
    if not _is_bound(work, node, entry):
        return Turn.GO
    try:
        times = read(work, node, entry)
    except Unreadable as error:
        return _refuse(work, entry, str(error))
    if times is None:
        return Turn.NONE
    if times.last is not None and times.last.at <= work.now:
        return _close(work, node, entry, times.last.at)
    if times.first is not None and times.first.at > work.now:
        return Turn.EARLY if _is_back(work, entry) else Turn.NONE
    return Turn.GO


def hold(work: Work, node: Node, entry: StepRun) -> StepRun:
    """Set the timers of an entry that waits, and show until when."""
    if not _is_bound(work, node, entry):
        return entry
    times = read(work, node, entry)
    if times is None:
        return entry
    first = times.first if times.first is not None and times.first.at > work.now else None
    timers.keep(work, entry, not_before=first, not_after=times.last)
    due_at = first.at if first is not None else None
    return work.change(entry, entry_due_at=due_at) if entry.entry_due_at != due_at else entry


def _is_bound(work: Work, node: Node, entry: StepRun) -> bool:
    undo = node.step.compensation
    if undo is None or roots.is_alternate(work, entry):
        return False
    declared = undo.not_before is not None or undo.not_after is not None
    return declared or entry.state is StepState.UNKNOWN


def _refuse(work: Work, entry: StepRun, reason: str) -> Turn:
    if _is_back(work, entry):
        timers.forget(work, entry)
        settling.fail_entry(work, entry, reason)
    return Turn.NONE


def _close(work: Work, node: Node, entry: StepRun, since: datetime) -> Turn:
    if not _is_back(work, entry):
        return Turn.NONE
    goes_on = closing.close(work, node, entry, since=since)
    return Turn.ALTERNATE if goes_on else Turn.NONE


def _is_back(work: Work, entry: StepRun) -> bool:
    """Take back what nobody has claimed; False where something must be loaded first."""
    if entry.entry_state is not EntryState.READY:
        return True
    return attached.take_back(work, entry)


# ---- computing -------------------------------------------------------------------------------


def read(work: Work, node: Node, entry: StepRun) -> Times | None:
    """Compute the times of an entry's undo; None if something must be loaded first.

    Raises:
        Unreadable: a time that the author has set is missing, or is none.
    """
    undo = node.step.compensation
    assert undo is not None
    first = _instant(work, node, entry, "notBefore", undo.not_before)
    last = _instant(work, node, entry, "notAfter", undo.not_after)
    if work.needs:
        return None
    return Times(_later(first, _settled(work, node, entry)), last)


def _instant(
    work: Work, node: Node, entry: StepRun, key: str, moment: Moment | None
) -> Instant | None:
    if moment is None:
        return None
    template: Any = {"at": moment.at, "zone": moment.zone, "lead": moment.lead}
    names = mapping.roots(template)
    if names:
        values = windows.roots_now(work, names, node, entry)
        if values is None:
            return None
        try:
            template = mapping.resolve(template, values)
        except ExpressionTooLarge as error:
            raise Unreadable(f"{key}: {error}") from None
    try:
        return instant(template["at"], zone=template["zone"], lead=template["lead"])
    except MalformedTime as error:
        raise Unreadable(f"{key}: {error}") from None


def _settled(work: Work, node: Node, entry: StepRun) -> Instant | None:
    """Return until when the call of an unknown outcome may still land (§3, point 3)."""
    if entry.state is not StepState.UNKNOWN:
        return None
    delay = timedelta(seconds=settle_delay(work, node, entry))
    return Instant((entry.ended_at or work.now) + delay)


def settle_delay(work: Work, node: Node, entry: StepRun) -> float:
    """Return `unknownSettleDelaySeconds`, or the larger of 30 s and the attempt's timeout."""
    said = work.graph.definition.saga.unknown_settle_delay_seconds
    if said is not None:
        return said
    policy = base.task_policy(work, node)
    is_call = entry.type == "HTTP"
    own = base.deadline_seconds(policy, entry) if is_call else policy.timeout_seconds
    return max(SETTLE_DELAY, own)


def _later(one: Instant | None, other: Instant | None) -> Instant | None:
    if one is None or other is None:
        return one or other
    return one if one.at >= other.at else other
