"""Timers of entries that wait for a time, or must be sent before one (saga-semantics §10).

What was set last stands under `times` in the frontier's `undo`, so that a timer is only written
when it moves, and each entry has at most one of a purpose (invariant 40). Where a zone's rules make
the moment it is looked at every week: the zone database may be a newer one by then.
"""

from datetime import datetime, timedelta

from orchestrator.engine.definition.moments import Instant
from orchestrator.engine.snapshot import StepRun
from orchestrator.engine.work import Work

NOT_BEFORE = "ENTRY"
NOT_AFTER = "NOT_AFTER"
LOOK_AGAIN = timedelta(days=7)


def keep(
    work: Work, entry: StepRun, *, not_before: Instant | None, not_after: Instant | None
) -> None:
    """Set the timers of an entry where they are not set so already; None clears one."""
    kept = _kept(work).get(entry.id, {})
    told: dict[str, str] = {}
    for name, moment in ((NOT_BEFORE, not_before), (NOT_AFTER, not_after)):
        if moment is None:
            if name in kept:
                work.forget(name, entry.id)
            continue
        told[name] = moment.at.isoformat()
        if told[name] != kept.get(name):
            work.wake_at(name, _look_at(work, moment), entry.id)
    if told != kept:
        _keep(work, entry, told)


def fired(work: Work, entry: StepRun, name: str) -> None:
    """Note that a timer is gone, so that it is set again if its time is still to come."""
    kept = _kept(work).get(entry.id, {})
    if name in kept:
        _keep(work, entry, {key: moment for key, moment in kept.items() if key != name})


def forget(work: Work, entry: StepRun) -> None:
    """Clear the timers of an entry that does not wait any more."""
    kept = _kept(work).get(entry.id)
    if kept:
        for name in kept:
            work.forget(name, entry.id)
        _keep(work, entry, {})


def timed_entries(work: Work) -> list[str]:
    """Return the entries for which a timer is set."""
    return list(_kept(work))


def _look_at(work: Work, moment: Instant) -> datetime:
    return min(moment.at, work.now + LOOK_AGAIN) if moment.is_wall_time else moment.at


def _kept(work: Work) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = (work.frontier.get("undo") or {}).get("times", {})
    return found


def _keep(work: Work, entry: StepRun, told: dict[str, str]) -> None:
    undo = work.frontier["undo"]
    times = undo.setdefault("times", {})
    if told:
        times[entry.id] = told
    else:
        times.pop(entry.id, None)
    if not times:
        del undo["times"]
