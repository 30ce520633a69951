"""What the ticker does beside recovery, now and then: look for what is stuck, measure, tidy up."""

import logging
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from django.db import transaction

from orchestrator import dispatch, metrics
from orchestrator.engine.states import AttemptState, EntryState
from orchestrator.handlers import registry
from orchestrator.models import Attempt, StepRun, Worker
from orchestrator.services import accounts, advance, answers, two_persons
from orchestrator.store import clock, stuck
from orchestrator.store.stuck import Depth, Stuck

logger = logging.getLogger(__name__)

WORKERS_KEPT = timedelta(hours=24)
WAITS_SECONDS, SILENT_SECONDS = 30, 60
"""Work has waited for so long, and no worker of this host has claimed anything for so long."""


@dataclass(slots=True)
class _Duty:
    """Something to be done every so many seconds by this process."""

    seconds: float
    act: Callable[[], object]
    last: float = field(default_factory=time.monotonic)

    def run_if_due(self) -> None:
        """Do it when its time has come; what fails is logged and comes again."""
        if time.monotonic() - self.last < self.seconds:
            return
        self.last = time.monotonic()
        try:
            self.act()
        except Exception:
            logger.exception("upkeep_failed", extra={"duty": self.act.__name__})


def now_and_then() -> None:
    """Do what is due; called with every tick."""
    for duty in _duties:
        duty.run_if_due()


# ---- what is stuck ------------------------------------------------------------------------------


_repaired: dict[tuple[str, str | None], int] = {}
"""(execution, step run) → revision at which this process has tried to repair it."""


def look_for_stuck() -> list[Stuck]:
    """Find what nothing will wake, say so, and have each advanced once (reliability.md §14)."""
    found = stuck.find(now=clock.now())
    metrics.EXECUTIONS_STUCK.set(len({one.execution_id for one in found}))
    known = {(one.execution_id, one.step_run_id): one for one in found}
    for gone in _repaired.keys() - known.keys():
        del _repaired[gone]
    for key, one in known.items():
        logger.error(
            "stuck",
            extra={
                "kind": one.kind,
                "execution_id": one.execution_id,
                "step_run_id": one.step_run_id,
            },
        )
        if _repaired.get(key) != one.revision:
            _repaired[key] = one.revision
            _repair(one)
    return found


def _repair(one: Stuck) -> None:
    try:
        advance.drive(inputs={}, due=[one.execution_id])
        if one.kind == "unclaimed" and one.step_run_id is not None:
            _ring(one.step_run_id)
    except Exception:
        logger.exception("repair_failed", extra={"execution_id": one.execution_id})


@transaction.atomic(durable=True)
def _ring(step_run_id: str) -> None:
    queue = StepRun.objects.filter(pk=step_run_id).values_list("queue", flat=True).first()
    if queue:
        dispatch.ring_steps([(step_run_id, queue)])
        metrics.REPAIRS_RUNG.labels(kind="stuck").inc()


# ---- gauges -------------------------------------------------------------------------------------


def measure() -> None:
    """Set the gauges that are counted from rows."""
    now = clock.now()
    names = {registry.DEFAULT_QUEUE, registry.CALLS_QUEUE, *registry.queues()}
    for queue, depth in _with_zeros(names, stuck.queue_depths(now=now)).items():
        metrics.QUEUE_DEPTH.labels(queue=queue).set(depth.count)
        metrics.QUEUE_OLDEST_SECONDS.labels(queue=queue).set(depth.oldest_seconds)
    states = {state.value for state in EntryState if state.is_open}
    for state, depth in _with_zeros(states, stuck.open_undos(now=now)).items():
        metrics.COMPENSATIONS_OPEN.labels(state=state).set(depth.count)
        metrics.COMPENSATIONS_OLDEST_SECONDS.labels(state=state).set(depth.oldest_seconds)


def _with_zeros(names: set[str], found: Mapping[str, Depth]) -> dict[str, Depth]:
    """Add what is empty now: a gauge keeps its last value for ever."""
    return {**dict.fromkeys(names, Depth(count=0, oldest_seconds=0.0)), **found}


# ---- rows of workers, old rows ------------------------------------------------------------------


@transaction.atomic(durable=True)
def sign_in() -> None:
    """Say that a ticker of this host is alive, and which queues have handlers here."""
    names = {registry.DEFAULT_QUEUE, registry.CALLS_QUEUE, *registry.queues()}
    Worker.objects.update_or_create(
        host=socket.gethostname(),
        defaults={"last_tick_at": clock.now(), "queues": sorted(names)},
    )


def note_claim() -> None:
    """Say that a worker of this host has claimed a step; at most once in a few seconds."""
    _claim_note.run_if_due()


@transaction.atomic(durable=True)
def _write_claim() -> None:
    Worker.objects.filter(host=socket.gethostname()).update(last_claim_at=clock.now())


_claim_note = _Duty(5.0, _write_claim)


def is_deaf() -> bool:
    """Tell whether work waits for the workers of this host, which take nothing of it.

    Who is in the middle of a step, or waits for a broker that does not answer, is not deaf.
    """
    now, host = clock.now(), socket.gethostname()
    depths = stuck.queue_depths(now=now)
    if not any(depth.oldest_seconds > WAITS_SECONDS for depth in depths.values()):
        return False
    silent_since = now - timedelta(seconds=SILENT_SECONDS)
    if Worker.objects.filter(host=host, last_claim_at__gte=silent_since).exists():
        return False
    at_work = Attempt.objects.filter(state=AttemptState.DISPATCHED, worker__startswith=f"{host}:")
    return not at_work.exists() and dispatch.answers()


def tidy_up() -> None:
    """Forget answers, tokens, hosts and calls for a second person that are too old."""
    answers.forget_old()
    accounts.forget_expired_tokens()
    two_persons.forget_old()
    with transaction.atomic(durable=True):
        Worker.objects.filter(last_tick_at__lt=clock.now() - WORKERS_KEPT).delete()


_duties = (
    _Duty(60.0, look_for_stuck),
    _Duty(10.0, measure),
    _Duty(60.0, tidy_up),
)
