"""Celery's side, thin: one message wakes a worker, which then does what the rows say is due.

The broker may deliver a message twice or never: only one claim succeeds, and repair rings again.
"""

import logging
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Sequence

from celery import shared_task
from django.db import close_old_connections

from orchestrator import dispatch, metrics
from orchestrator.handlers import registry
from orchestrator.handlers.base import Work
from orchestrator.services import advance, attempts, simulations
from orchestrator.services.advance import Keeping
from orchestrator.services.attempts import Result

logger = logging.getLogger(__name__)

SLICE_SECONDS = 10.0
BATCH = 32
COMMIT_AFTER_SECONDS = 0.005
"""Outcomes wait at most this long for others before they are written together."""
QUICK_SECONDS = 0.002
"""A step that usually takes longer is not started while outcomes wait to be written."""
LOOK_SECONDS = 1.0
HELD_SECONDS = 0.25
"""A task holds no more steps than are usually done in this time."""
_usual_seconds: dict[str, float] = {}
_usual_of_queue: dict[str, float] = {}


def _worker_name() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


_looked_at = 0.0


def _look_after_connections() -> None:
    """Leave a connection that is broken or too old, unless it was looked at a moment ago.

    One that breaks within that moment is noticed by the first statement, which is made again.
    """
    global _looked_at  # noqa: PLW0603 - connections belong to the process, or to its threads
    if time.monotonic() - _looked_at > LOOK_SECONDS or _is_threaded():
        close_old_connections()
        _looked_at = time.monotonic()


def _is_threaded() -> bool:
    return threading.current_thread() is not threading.main_thread()


def _is_known(v: int, task: str) -> bool:
    if v == dispatch.MESSAGE_VERSION:
        return True
    metrics.MESSAGES_DROPPED.labels(reason="version").inc()
    logger.warning("message_dropped", extra={"task": task, "version": v})
    return False


@shared_task(name=dispatch.EXECUTE_STEP)
def execute_step(step_run_id: str, v: int = 0) -> None:
    """Run a step, then what is due next on its queue, until nothing is left or the slice ends."""
    if not _is_known(v, dispatch.EXECUTE_STEP):
        return
    _look_after_connections()
    delivery = execute_step.request.delivery_info or {}
    queue = str(delivery.get("routing_key") or dispatch.DEFAULT_QUEUE)
    run_queue(queue, first=step_run_id)


@shared_task(name=dispatch.ADVANCE)
def advance_execution(execution_id: str, v: int = 0) -> None:
    """Take what is due for an execution: what it was told, timers, answers of scripts."""
    if not _is_known(v, dispatch.ADVANCE):
        return
    _look_after_connections()
    advance.drive(inputs={}, due=[execution_id])


@shared_task(name=dispatch.SIMULATE)
def simulate_version(version_id: str, v: int = 0) -> None:
    """Simulate a version that was published, and keep the result."""
    if not _is_known(v, dispatch.SIMULATE):
        return
    _look_after_connections()
    simulations.keep_if_missing(version_id=int(version_id))


def run_queue(queue: str, *, first: str) -> None:
    """Run steps of a queue, beginning with one, until there is none or the time slice ends."""
    worker = _worker_name()
    ends = time.monotonic() + SLICE_SECONDS
    with dispatch.announcing_together():
        pending, may_be_more = _begin(queue, first, worker)
        while True:
            is_over = time.monotonic() > ends
            if not pending:
                if is_over or not may_be_more:
                    return
                pending, may_be_more = _take(queue, worker)
                if not pending:
                    return
            keep = Keeping(queues=() if is_over else (queue,), limit=_limit(queue), worker=worker)
            pending.extend(_run_batch(queue, pending, keep))


def _begin(queue: str, first: str, worker: str) -> tuple[deque[Work], bool]:
    """Take what a message is about; where steps are quick, whatever is due with it."""
    if _limit(queue) > 1:
        return _take(queue, worker)
    # One step a task, so that as many processes as there are messages share slow work.
    return deque(attempts.claim(step_run_id=first, queue=queue, worker=worker)), True


def _take(queue: str, worker: str) -> tuple[deque[Work], bool]:
    """Take what is due on a queue; tell whether there may be more of it.

    Every step that is scheduled later brings a message of its own.
    """
    limit = _limit(queue)
    pending = deque(attempts.claim_due(queue=queue, limit=limit, worker=worker))
    return pending, len(pending) >= limit


def _limit(queue: str) -> int:
    """Return how many steps of a queue one task may hold at once.

    As many as are usually done within a moment: whoever holds slow work keeps others from it, and
    its leases run. Calls that leave the process are slow.
    """
    usual = _usual_of_queue.get(queue)
    if queue == registry.CALLS_QUEUE or usual is None:
        return 1
    return max(min(int(HELD_SECONDS / max(usual, 0.0001)), BATCH), 1)


def _run_batch(queue: str, pending: deque[Work], keep: Keeping) -> Sequence[Work]:
    """Run claimed steps until their outcomes should be written; return what follows from them."""
    results: list[Result] = []
    began = time.monotonic()
    while pending:
        is_slow = _usual_seconds.get(pending[0].name, 1.0) > QUICK_SECONDS
        is_late = time.monotonic() - began > COMMIT_AFTER_SECONDS
        if results and (is_late or is_slow):
            break
        if is_slow:
            dispatch.announce_kept_back()
        results.append(_run(queue, pending.popleft()))
        if len(results) >= BATCH:
            break
    return attempts.record_outcomes(results=results, keep=keep)


def _run(queue: str, work: Work) -> Result:
    # No transaction is open here: a handler may take minutes and must not hold a lock.
    began = time.monotonic()
    outcome = registry.run(work)
    took = time.monotonic() - began
    _learn(_usual_seconds, work.name, took)
    _learn(_usual_of_queue, queue, took)
    return Result(work=work, outcome=outcome)


def _learn(usual: dict[str, float], name: str, took: float) -> None:
    usual[name] = usual.get(name, took) * 0.8 + took * 0.2
