"""What is due: step runs to take, leases that have run out, timers, rows that nobody was woken for.

Candidates only: whoever takes them decides again under the execution's lock. Executions that
somebody holds are skipped where the database can, so that many workers do not wait for each other.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from orchestrator.engine.definition.graph import ENGINE_TYPES
from orchestrator.models import Execution, Notice, StepRun, Timer
from orchestrator.store import clock, statements, wire
from orchestrator.store.statements import any_of, bound, table_of

# What the claim would refuse anyway must not stand before others in the queue: the same rule as
# `attempts.is_claimable` of the engine.
DISPATCHABLE = (
    "((s.direction = 'FORWARD' AND e.state = 'RUNNING' AND NOT (e.paused AND e.is_saga)) "
    "OR (s.direction <> 'FORWARD' AND NOT e.paused))"
)
DUE_ON_QUEUE = "{s}.queue = %s AND {s}.state IN ('SCHEDULED', 'RETRY_WAIT') AND {s}.due_at <= {now}"
_CLAIMABLE = "('SCHEDULED', 'RETRY_WAIT', 'WAITING')"
# One statement names the types that no worker takes, whatever they are called.
_NOT_FOR_WORKERS = ", ".join(f"'{name}'" for name in sorted(ENGINE_TYPES))


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A step run that may be taken, and the execution to lock for it."""

    step_run_id: str
    execution_id: str
    queue: str = ""


def execution_of(step_run_id: str) -> str | None:
    """Return the execution of a step run that may still be taken by a worker of ours."""
    [rows] = wire.ask(
        (
            (
                f"SELECT {table_of(StepRun).select(('execution_id',))} "  # noqa: S608
                f"FROM {table_of(StepRun).name} "
                f"WHERE {any_of('id', 1)} AND state IN ('SCHEDULED', 'RETRY_WAIT')"
            ),
            bound([step_run_id]),
        )
    )
    return _text(rows[0][0]) if rows else None


def due_on_queue(*, queue: str, limit: int, lock: bool = True) -> list[Due]:
    """Return step runs that a Celery worker of this queue may take, the longest due first.

    Without `lock` what others hold is among them, and no transaction is needed.
    """
    now, parameters = clock.in_sql()
    condition = f"{DUE_ON_QUEUE.format(s='s', now=now)} ORDER BY s.due_at"
    return _candidates(condition, [queue, *parameters], limit, lock=lock)


def due_for_polling(
    *, task_type: str, domain: str, limit: int, workflows: Collection[int] | None
) -> list[Due]:
    """Return step runs that a polling worker of this task type may take, higher priority first.

    `workflows` are the ids of workflows the worker may report on; None = all.
    """
    now, moments = clock.in_sql()
    parameters: list[Any] = [task_type, domain, *moments]
    condition = (
        f"s.name = %s AND s.domain = %s AND s.queue = '' AND s.state IN {_CLAIMABLE} "
        f"AND s.due_at <= {now} AND s.type NOT IN ({_NOT_FOR_WORKERS})"
    )
    if workflows is not None:
        if not workflows:
            return []
        marks = ", ".join(["%s"] * len(workflows))
        condition += f" AND e.workflow_id IN ({marks})"
        parameters += workflows
    return _candidates(condition + " ORDER BY s.priority DESC, s.due_at, s.id", parameters, limit)


def _candidates(
    condition: str, parameters: Sequence[Any], limit: int, *, lock: bool = True
) -> list[Due]:
    steps, executions = table_of(StepRun), table_of(Execution)
    is_sqlite = connection.vendor == "sqlite"
    ids = "s.id, s.execution_id" if is_sqlite else "s.id::text, s.execution_id::text"
    skip = "" if is_sqlite or not lock else " FOR NO KEY UPDATE OF e SKIP LOCKED"
    [rows] = wire.ask(
        (
            (
                f"SELECT {ids}, s.queue FROM {steps.name} s "  # noqa: S608
                f"JOIN {executions.name} e ON e.id = s.execution_id "
                f"WHERE {DISPATCHABLE} AND {condition} LIMIT %s{skip}"
            ),
            [*parameters, limit],
        )
    )
    return [
        Due(step_run_id=_text(step), execution_id=_text(execution), queue=queue)
        for step, execution, queue in rows
    ]


def _text(key: Any) -> str:
    return statements.dashed(key) if connection.vendor == "sqlite" else str(key)


def expired_leases(*, now: datetime, limit: int) -> list[Due]:
    """Return step runs whose lease, or first timeout, has passed."""
    rows = (
        StepRun.objects.filter(state="DISPATCHED", due_at__lt=now)
        .order_by("due_at")
        .values_list("id", "execution_id")[:limit]
    )
    return [Due(step_run_id=str(step), execution_id=str(execution)) for step, execution in rows]


def expired_leases_of(ids: Collection[str], *, now: datetime) -> list[Due]:
    """Return the step runs of locked executions whose lease, or first timeout, has passed."""
    rows = StepRun.objects.filter(
        execution_id__in=ids, state="DISPATCHED", due_at__lte=now
    ).values_list("id", "execution_id")
    return [Due(step_run_id=str(step), execution_id=str(execution)) for step, execution in rows]


def due_timers(*, now: datetime, limit: int) -> list[str]:
    """Return executions that have a timer which is due."""
    rows = (
        Timer.objects.filter(due_at__lte=now)
        .order_by("due_at")
        .values_list("execution_id", flat=True)[:limit]
    )
    return list(dict.fromkeys(str(key) for key in rows))


def timers_of(ids: Collection[str], *, now: datetime) -> list[tuple[str, str, str]]:
    """Return (execution, purpose, subject) of the due timers of locked executions."""
    rows = Timer.objects.filter(execution_id__in=ids, due_at__lte=now).order_by("due_at", "id")
    found = rows.values_list("execution_id", "purpose", "subject")
    return [(str(key), purpose, subject) for key, purpose, subject in found]


def take_notices(ids: Collection[str]) -> list[tuple[str, str, dict[str, Any]]]:
    """Take (execution, kind, data) of what others have told these locked executions."""
    rows = list(Notice.objects.filter(execution_id__in=ids).order_by("wake_at", "id"))
    if rows:
        Notice.objects.filter(pk__in=[row.pk for row in rows]).delete()
    return [(str(row.execution_id), row.kind, row.data) for row in rows]


def due_executions(*, now: datetime, limit: int) -> list[str]:
    """Return executions that are due for a transition: new, asked for, or told something."""
    own = (
        Execution.objects.filter(wake_at__lt=now)
        .order_by("wake_at")
        .values_list("id", flat=True)[:limit]
    )
    told = (
        Notice.objects.filter(wake_at__lt=now)
        .order_by("wake_at")
        .values_list("execution_id", flat=True)[:limit]
    )
    return list(dict.fromkeys(str(key) for key in (*own, *told)))
