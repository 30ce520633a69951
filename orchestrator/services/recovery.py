"""What the ticker calls once a second: all that is due, found in the rows.

It decides nothing itself and marks nothing failed: every transition is taken under the execution's
lock, where the state is read again (reliability.md §3.4). Two tickers or twenty: the same effect.
"""

import logging
import time
from collections.abc import Collection, Iterable

from django.db import transaction
from django.db.models import Min

from orchestrator import dispatch, metrics
from orchestrator.engine.snapshot import StepDue
from orchestrator.models import Execution, StepRun, Timer
from orchestrator.services import advance, upkeep
from orchestrator.services.retrying import retried
from orchestrator.store import claims, clock, rings

logger = logging.getLogger(__name__)

BATCH = 200
AT_ONCE = 32
"""Executions in one transition: enough to share a commit, few enough to lock briefly."""
LONGEST_PAUSE = 1.0
FAILING_SECONDS = 60.0
"""How long an execution that cannot be advanced is left alone, so that it holds up no other."""


def tick() -> float:
    """Do everything that is due; returns seconds until the next known due moment, at most 1."""
    _advance(_due_executions())
    _expire()
    _ring()
    upkeep.sign_in()
    upkeep.now_and_then()
    return _pause()


def _due_executions() -> list[str]:
    now = clock.now()
    timed = claims.due_timers(now=now, limit=BATCH)
    due = dict.fromkeys([*timed, *claims.due_executions(now=now, limit=BATCH)])
    return [key for key in due if not _is_failing(key)]


_failing: dict[str, float] = {}
"""Execution → moment of the monotonic clock until which it is left alone."""


def _is_failing(key: str) -> bool:
    """Tell whether an execution could not be advanced a moment ago."""
    until = _failing.get(key)
    if until is None or time.monotonic() < until:
        return until is not None
    del _failing[key]
    return False


def _has_failed(key: str) -> None:
    _failing[key] = time.monotonic() + FAILING_SECONDS


def _advance(ids: list[str]) -> None:
    """Take what is due for executions, a few at a time; one that fails does not hold the others."""
    for start in range(0, len(ids), AT_ONCE):
        group = ids[start : start + AT_ONCE]
        try:
            advance.drive(inputs={}, due=group)
        except Exception:
            logger.exception("advance_failed", extra={"executions": len(group)})
            _one_by_one(group)


def _one_by_one(ids: Iterable[str]) -> None:
    for key in ids:
        try:
            advance.drive(inputs={}, due=[key])
        except Exception:
            logger.exception("advance_failed", extra={"execution_id": key})
            _has_failed(key)


def _expire() -> None:
    """Look at step runs whose lease, or first timeout, has passed."""
    expired = claims.expired_leases(now=clock.now(), limit=BATCH)
    inputs: dict[str, list[StepDue]] = {}
    for due in expired:
        if _is_failing(due.execution_id):
            continue
        inputs.setdefault(due.execution_id, []).append(StepDue(step_run_id=due.step_run_id))
    for key, items in inputs.items():
        try:
            advance.drive(inputs={key: items})
            metrics.LEASES_LOST.inc(len(items))
        except Exception:
            logger.exception("lease_failed", extra={"execution_id": key})
            _has_failed(key)


def _ring() -> None:
    """Ring for rows that nobody has claimed, but not for queues that are full of messages."""
    queues = rings.unrung_queues(now=clock.now())
    if queues:
        _ring_unless(dispatch.full_queues(queues))


@retried
@transaction.atomic(durable=True)
def _ring_unless(full: Collection[str]) -> None:
    """Put off the rows of all queues, so that full ones are not looked at again at once."""
    for queue, ids in rings.stamp_unrung(now=clock.now()).items():
        if queue not in full:
            dispatch.ring_steps((step_run_id, queue) for step_run_id in ids)
            metrics.REPAIRS_RUNG.labels(kind="step").inc(len(ids))


def _pause() -> float:
    """Return how long nothing that we know of will be due."""
    if _failing:
        # What cannot be advanced stays due; looking at it without end would help nobody.
        return LONGEST_PAUSE
    now = clock.now()
    moments = (
        Timer.objects.aggregate(first=Min("due_at"))["first"],
        StepRun.objects.filter(wake_at__isnull=False).aggregate(first=Min("wake_at"))["first"],
        Execution.objects.filter(wake_at__isnull=False).aggregate(first=Min("wake_at"))["first"],
    )
    seconds = [(moment - now).total_seconds() for moment in moments if moment is not None]
    return float(max(min([LONGEST_PAUSE, *seconds]), 0.0))


@transaction.atomic(durable=True)
def release_own_leases() -> int:
    """Let leases of our own workers run out now; returns how many.

    For `serve` at its start: its lock file says that no other process of ours can be alive, so
    whoever held them is dead, and what became of the calls is unknown (reliability.md §2.6).
    """
    held = StepRun.objects.filter(state="DISPATCHED").exclude(queue="")
    return held.update(due_at=clock.now())
