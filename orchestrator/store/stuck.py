"""What nothing will wake any more, and how much waits: for the stuck detector and the gauges.

Read without locks, so a row may have moved on when it is looked at again; whoever repairs decides
anew under the execution's lock.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db.models import Count, Exists, Min, OuterRef, Q

from orchestrator.engine.states import (
    TERMINAL_EXECUTIONS,
    Direction,
    EntryState,
    ExecutionState,
    StepState,
)
from orchestrator.models import Execution, Notice, StepRun, Timer
from orchestrator.models.execution import CLAIMABLE, UNSETTLED

if TYPE_CHECKING:
    from django.db.models import QuerySet

AT_MOST = 50
"""Of each kind and look; more would say nothing new."""
QUIET = timedelta(seconds=60)
LATE_LEASE = timedelta(seconds=5)
"""More than two ticks, also where a tick takes a while."""

_SELF_MOVING = (
    ExecutionState.CREATED,
    ExecutionState.RUNNING,
    ExecutionState.STOPPING,
    ExecutionState.COMPENSATING,
)
"""What is not over and waits for no person as a whole; PLANNING waits for one to confirm."""
_HELD = (
    EntryState.AWAITING_APPROVAL,
    EntryState.MANUAL,
    EntryState.COMPENSATION_FAILED,
    EntryState.LATE_EFFECT,
)
"""Entries that wait for a person, or for a child (RUNNING, seen apart)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stuck:
    """One row that nothing moves."""

    kind: str
    """`asleep`, `lease`, `unclaimed`, `plan` or `child`."""
    execution_id: str
    revision: int
    step_run_id: str | None = None


def find(*, now: datetime) -> list[Stuck]:
    """Return what stands still although it should not (reliability.md §14)."""
    found = [
        *_idle_plans(now),
        *_asleep(now),
        *_of_steps("lease", _late_leases(now)),
        *_of_steps("unclaimed", _unclaimed(now)),
        *_of_steps("child", _unheard_children(now)),
    ]
    # The first word about a row is the more exact one.
    return list({(one.execution_id, one.step_run_id): one for one in reversed(found)}.values())


def _moving() -> "QuerySet[Execution]":
    return Execution.objects.filter(state__in=_SELF_MOVING, paused=False)


def _asleep(now: datetime) -> list[Stuck]:
    """Executions without anything that could wake them."""
    own = OuterRef("pk")
    rows = _moving().filter(
        ~Exists(Timer.objects.filter(execution_id=own)),
        ~Exists(Notice.objects.filter(execution_id=own)),
        ~Exists(StepRun.objects.filter(execution_id=own, state__in=UNSETTLED)),
        ~Exists(StepRun.objects.filter(execution_id=own, entry_state__in=_HELD)),
        ~Exists(
            StepRun.objects.filter(
                execution_id=own, entry_state=EntryState.RUNNING, child_id__isnull=False
            )
        ),
        wake_at__isnull=True,
        updated_at__lt=now - QUIET,
    )
    return _of_executions("asleep", rows)


def _idle_plans(now: datetime) -> list[Stuck]:
    """Plans with an entry that is free to be dispatched, and nothing in flight."""
    own = OuterRef("pk")
    in_flight = StepRun.objects.filter(
        execution_id=own, direction=Direction.COMPENSATION, state__in=UNSETTLED
    )
    rows = _moving().filter(
        Exists(StepRun.objects.filter(execution_id=own, entry_state=EntryState.READY)),
        ~Exists(in_flight),
        state=ExecutionState.COMPENSATING,
        wake_at__isnull=True,
        updated_at__lt=now - QUIET,
    )
    return _of_executions("plan", rows)


def _late_leases(now: datetime) -> "QuerySet[StepRun]":
    return StepRun.objects.filter(state=StepState.DISPATCHED, due_at__lt=now - LATE_LEASE)


def _unclaimed(now: datetime) -> "QuerySet[StepRun]":
    return _claimable(now - QUIET)


def _claimable(due_by: datetime) -> "QuerySet[StepRun]":
    """What a worker of ours could take, as far as it was due by then."""
    return StepRun.objects.filter(
        ~Q(queue=""),
        Q(direction=Direction.FORWARD, execution__state=ExecutionState.RUNNING)
        | ~Q(direction=Direction.FORWARD),
        state__in=CLAIMABLE,
        due_at__lte=due_by,
        execution__paused=False,
    )


def _unheard_children(now: datetime) -> "QuerySet[StepRun]":
    """Steps that wait for a child which is over, with no word from it on its way."""
    ended = Execution.objects.filter(
        pk=OuterRef("child_id"), state__in=TERMINAL_EXECUTIONS, updated_at__lt=now - QUIET
    )
    return StepRun.objects.filter(
        Exists(ended),
        ~Exists(Notice.objects.filter(execution_id=OuterRef("execution_id"))),
        state=StepState.WAITING,
        child_id__isnull=False,
        execution__paused=False,
        execution__state__in=_SELF_MOVING,
    )


def _of_executions(kind: str, rows: "QuerySet[Execution]") -> list[Stuck]:
    found = rows.order_by("updated_at").values_list("pk", "revision")[:AT_MOST]
    return [Stuck(kind=kind, execution_id=str(key), revision=revision) for key, revision in found]


def _of_steps(kind: str, rows: "QuerySet[StepRun]") -> list[Stuck]:
    found = rows.order_by("due_at").values_list("execution_id", "execution__revision", "pk")
    return [
        Stuck(kind=kind, execution_id=str(key), revision=revision, step_run_id=str(step))
        for key, revision, step in found[:AT_MOST]
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """How much waits, and since when."""

    count: int
    oldest_seconds: float


def queue_depths(*, now: datetime) -> Mapping[str, Depth]:
    """Return what could be claimed now, by queue."""
    rows = _claimable(now).values("queue").annotate(count=Count("id"), since=Min("due_at"))
    return {row["queue"]: _depth(row["count"], now - row["since"]) for row in rows}


def open_undos(*, now: datetime) -> Mapping[str, Depth]:
    """Return the entries that are not settled, by state."""
    states = [state.value for state in EntryState if state.is_open]
    rows = (
        StepRun.objects.filter(entry_state__in=states)
        .values("entry_state")
        .annotate(count=Count("id"), since=Min("updated_at"))
    )
    return {str(row["entry_state"]): _depth(row["count"], now - row["since"]) for row in rows}


def _depth(count: int, age: timedelta) -> Depth:
    return Depth(count=count, oldest_seconds=max(age.total_seconds(), 0.0))
