"""Wake-ups: the names of all Celery tasks, and the only place that sends them, after commit.

A message is a doorbell: rows say what is to be done, and repair rings again for what nobody took.
So a failed publish is counted and forgotten; while the broker does not answer nothing is tried for
a while.
"""

import contextlib
import logging
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from celery import current_app
from django.conf import settings
from django.db import transaction

from orchestrator import metrics
from orchestrator.border import doorbell
from orchestrator.failpoints import failpoint

logger = logging.getLogger(__name__)

EXECUTE_STEP = "orchestrator.execute_step"
ADVANCE = "orchestrator.advance"
DELIVER = "orchestrator.deliver"
SIMULATE = "orchestrator.simulate_version"
MESSAGE_VERSION = 1
DEFAULT_QUEUE = "default"
BREAKER_SECONDS = 2.0
FULL_QUEUE = 200
FOLLOWED_AT_ONCE = 8
"""More executions than this in one ring are not announced: streams look each second."""
KEPT_BACK_SECONDS = 0.05

_closed_until = 0.0


def reaches_workers() -> bool:
    """Tell whether what this process publishes is read by anybody.

    A command beside `serve` has an in-process broker of its own that nobody reads; the ticker of
    `serve` rings for what it has scheduled.
    """
    return not (settings.AMENDS_EMBEDDED and settings.AMENDS_ROLE != "embedded")


def ring_steps(steps: Iterable[tuple[str, str]]) -> None:
    """Wake a Celery worker for each (step run, queue), once the transaction is committed."""
    wanted = list(steps)
    if wanted:
        _after_commit(lambda: _send_steps(wanted))


def ring_executions(ids: Iterable[str]) -> None:
    """Have executions take what is due for them, once the transaction is committed."""
    wanted = list(ids)
    if wanted:
        _after_commit(lambda: _send_all(ADVANCE, wanted, DEFAULT_QUEUE))


def ring_message(message_id: int) -> None:
    """Have an outbox row delivered, once the transaction is committed."""
    _after_commit(lambda: _send_all(DELIVER, [str(message_id)], DEFAULT_QUEUE))


def ring_simulation(version_id: int) -> None:
    """Have a version simulated, once the transaction that publishes it is committed.

    A message that is lost costs nothing: whoever first asks for the result has it made.
    """
    _after_commit(lambda: _send_all(SIMULATE, [str(version_id)], DEFAULT_QUEUE))


def tell_pollers(names: Iterable[str]) -> None:
    """Wake long polls for these task names, once the transaction is committed."""
    wanted = set(names)
    if wanted:
        _after_commit(lambda: doorbell.ring(*map(poll_topic, wanted)))


def tell_followers(ids: Iterable[str], *, at_once: bool = True) -> None:
    """Wake the streams that follow these executions, once the transaction is committed.

    `at_once`: it is news that somebody waits for, so a slice of work does not keep it to itself.
    """
    wanted = list(ids)
    if wanted:
        _after_commit(lambda: _announce(wanted, at_once=at_once))


@contextlib.contextmanager
def announcing_together() -> Iterator[None]:
    """In the block, announce steps that follow one another in a moment by one ring.

    A worker that goes from step to step would else ring after each; who follows a run sees the
    next state a moment later, and the end of the run at once.
    """
    token = _kept_back.set(_KeptBack())
    try:
        yield
    finally:
        announce_kept_back()
        _kept_back.reset(token)


def announce_kept_back() -> None:
    """Ring for what was kept back; called before anything that may take a while."""
    kept = _kept_back.get()
    if kept is not None and kept.ids:
        _ring_followers(kept)


@dataclass(slots=True)
class _KeptBack:
    """Executions whose news waits for the next ring of this slice of work."""

    ids: set[str] = field(default_factory=set)
    rung_at: float = field(default_factory=time.monotonic)


_kept_back: ContextVar[_KeptBack | None] = ContextVar("kept_back", default=None)


def _announce(ids: Collection[str], *, at_once: bool) -> None:
    kept = _kept_back.get()
    if kept is None:
        kept, at_once = _KeptBack(), True
    kept.ids.update(ids)
    if at_once or time.monotonic() - kept.rung_at > KEPT_BACK_SECONDS:
        _ring_followers(kept)


def _ring_followers(kept: _KeptBack) -> None:
    ids, kept.ids = kept.ids, set()
    kept.rung_at = time.monotonic()
    if len(ids) <= FOLLOWED_AT_ONCE:
        doorbell.ring(*map(execution_topic, ids))


def pass_failpoint(name: str) -> None:
    """Pass a named moment right after the commit, before any wake-up that is asked for later."""
    _after_commit(lambda: failpoint(name))


def poll_topic(name: str) -> str:
    """Return the doorbell topic of a polled task name."""
    return f"poll:{name}"


def execution_topic(execution_id: str) -> str:
    """Return the doorbell topic of an execution."""
    return f"execution:{execution_id}"


def answers() -> bool:
    """Tell whether the broker can be reached now; for callers without an open transaction."""
    return _lengths(()) is not None


def full_queues(queues: Iterable[str]) -> frozenset[str]:
    """Return the queues that hold so many messages that another would only be one more to read.

    Workers that are awake claim from the database anyway. A broker that does not answer has none.
    """
    lengths = _lengths(queues) or {}
    return frozenset(queue for queue, length in lengths.items() if length > FULL_QUEUE)


def _lengths(queues: Iterable[str]) -> dict[str, int] | None:
    """Return how many messages wait in each queue that exists; None when the broker is away."""
    found: dict[str, int] = {}
    try:
        with current_app.connection_for_write() as connection:
            channel: Any = connection.default_channel
            for queue in queues:
                with contextlib.suppress(*connection.channel_errors):
                    found[queue] = channel.queue_declare(queue, passive=True).message_count
    except Exception as error:  # noqa: BLE001 - each broker has errors of its own; all mean the same
        logger.warning("broker_away", extra={"error": type(error).__name__})
        return None
    return found


def _after_commit(send: Callable[[], object]) -> None:
    transaction.on_commit(send, robust=True)


def _send_steps(steps: Iterable[tuple[str, str]]) -> None:
    by_queue: dict[str, list[str]] = {}
    for step_run_id, queue in steps:
        by_queue.setdefault(queue, []).append(step_run_id)
    for queue, ids in by_queue.items():
        _send_all(EXECUTE_STEP, ids, queue)


def _send_all(task: str, ids: Iterable[str], queue: str) -> None:
    """Publish a message per id on one connection; a broker that fails is left alone a while."""
    global _closed_until  # noqa: PLW0603 - the breaker belongs to the process
    if not reaches_workers() or time.monotonic() < _closed_until:
        return
    if failpoint("publish.before"):
        return
    try:
        with current_app.producer_or_acquire() as producer:
            for key in ids:
                _send(task, key, queue, producer)
    except Exception as error:  # noqa: BLE001 - any broker error means the same: repair rings
        _closed_until = time.monotonic() + BREAKER_SECONDS
        metrics.PUBLISH_FAILURES.inc()
        logger.warning("publish_failed", extra={"task": task, "error": type(error).__name__})


def _send(task: str, key: str, queue: str, producer: Any) -> None:
    current_app.send_task(
        task,
        args=(key,),
        kwargs={"v": MESSAGE_VERSION},
        queue=queue,
        producer=producer,
        retry=False,
        ignore_result=True,
    )
