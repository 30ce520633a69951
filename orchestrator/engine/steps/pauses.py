"""Paused time does not count for attempt timeouts (saga-semantics §10.6).

The pauses of a saga stand in the frontier as `[from, to]`, `to` null while the run is paused; those
that no unsettled step run remembers are dropped. A plain run keeps none: there the clock of a task
goes on, and its timeouts only wait for the end of the pause (conductor/definitions.md §4).
"""

from collections.abc import Collection
from datetime import datetime, timedelta

from orchestrator.engine.snapshot import StepRun
from orchestrator.engine.work import Work

KEY = "pauses"


def begin(work: Work) -> None:
    """Remember when a pause began."""
    if work.is_saga:
        work.frontier.setdefault(KEY, []).append([work.now.isoformat(), None])


def end(work: Work, unsettled: Collection[StepRun]) -> None:
    """Remember when the pause ended, as long as a step run is open that has known it."""
    if KEY not in work.frontier:
        return
    oldest = min((run.first_scheduled_at for run in unsettled), default=work.now)
    found = work.frontier.pop(KEY)
    found[-1][1] = found[-1][1] or work.now.isoformat()
    kept = [pause for pause in found if datetime.fromisoformat(pause[1]) > oldest]
    if kept:
        work.frontier[KEY] = kept


def since(work: Work, moment: datetime) -> timedelta:
    """Return how long the run has been paused since a moment."""
    total = timedelta()
    for start, stop in work.frontier.get(KEY, ()):
        begun = max(datetime.fromisoformat(start), moment)
        ended = work.now if stop is None else datetime.fromisoformat(stop)
        total += max(ended - begun, timedelta())
    return total
