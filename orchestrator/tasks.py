"""Celery's side, thin: one message wakes a worker, which then does what the rows say is due.

The broker may deliver a message twice or never: only one claim succeeds, and repair rings again.
"""

import logging
import os
import socket
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
_usual_seconds: dict[str, float] = {}


def _worker_name() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


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
    close_old_connections()
    delivery = execute_step.request.delivery_info or {}
    queue = str(delivery.get("routing_key") or dispatch.DEFAULT_QUEUE)
    run_queue(queue, first=step_run_id)


@shared_task(name=dispatch.ADVANCE)
def advance_execution(execution_id: str, v: int = 0) -> None:
    """Take what is due for an execution: what it was told, timers, answers of scripts."""
    if not _is_known(v, dispatch.ADVANCE):
        return
    close_old_connections()
    advance.drive(inputs={}, due=[execution_id])


@shared_task(name=dispatch.SIMULATE)
def simulate_version(version_id: str, v: int = 0) -> None:
    """Simulate a version that was published, and keep the result."""
    if not _is_known(v, dispatch.SIMULATE):
        return
    close_old_connections()
    simulations.keep_if_missing(version_id=int(version_id))


def run_queue(queue: str, *, first: str) -> None:
    """Run steps of a queue, beginning with one, until there is none or the time slice ends."""
    worker = _worker_name()
    ends = time.monotonic() + SLICE_SECONDS
    limit = _limit(queue)
    pending = deque(attempts.claim(step_run_id=first, queue=queue, worker=worker))
    while True:
        if not pending:
            if time.monotonic() > ends:
                return
            pending.extend(attempts.claim_due(queue=queue, limit=limit, worker=worker))
            if not pending:
                return
        keep = Keeping(
            queues=(queue,) if time.monotonic() < ends else (), limit=limit, worker=worker
        )
        pending.extend(_run_batch(pending, keep))


def _limit(queue: str) -> int:
    """Return how many steps of a queue one task may hold at once.

    Calls that leave the process are slow: whoever holds one lets others take the rest.
    """
    return 1 if queue == registry.CALLS_QUEUE else BATCH


def _run_batch(pending: deque[Work], keep: Keeping) -> Sequence[Work]:
    """Run claimed steps until their outcomes should be written; return what follows from them."""
    results: list[Result] = []
    began = time.monotonic()
    while pending:
        work = pending[0]
        is_late = time.monotonic() - began > COMMIT_AFTER_SECONDS
        if results and (is_late or _usual_seconds.get(work.name, 1.0) > QUICK_SECONDS):
            break
        results.append(_run(pending.popleft()))
        if len(results) >= BATCH:
            break
    return attempts.record_outcomes(results=results, keep=keep)


def _run(work: Work) -> Result:
    # No transaction is open here: a handler may take minutes and must not hold a lock.
    began = time.monotonic()
    outcome = registry.run(work)
    took = time.monotonic() - began
    usual = _usual_seconds.get(work.name, took)
    _usual_seconds[work.name] = usual * 0.8 + took * 0.2
    return Result(work=work, outcome=outcome)
