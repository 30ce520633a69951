"""Tasks for polling workers: handed out, reported on, ended by signals and people."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from orchestrator import drain
from orchestrator.access import policy
from orchestrator.access.permissions import Permission
from orchestrator.access.scoping import visible_to
from orchestrator.border.input import clean, size_of
from orchestrator.engine.outcomes import Failed, Outcome, Succeeded, Unknown, Waiting
from orchestrator.engine.snapshot import AttemptEnded, Extended, Input
from orchestrator.models import Attempt, AttemptLog, Execution, QueuePoll, Workflow
from orchestrator.models import StepRun as StepRow
from orchestrator.services import advance, attempts
from orchestrator.services.errors import NotFound
from orchestrator.services.retrying import retried
from orchestrator.store import claims, clock, load

if TYPE_CHECKING:
    from django.contrib.auth.models import User

MAX_REASON = 10_000
POLLS_NOTED = timedelta(seconds=1)
"""How exactly is remembered when a worker polled last."""
MAX_OUTPUT = 3 * 2**20
"""Bytes of a task's output (reliability.md §12)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskReport:
    """What a polling worker, a signal or a person reports about a task (Conductor's TaskResult)."""

    task_id: str
    status: str
    """IN_PROGRESS, COMPLETED, FAILED, FAILED_WITH_TERMINAL_ERROR or CANCELED."""
    output: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""
    callback_after_seconds: float = 0
    worker: str = ""
    extend_lease: bool = False
    logs: Sequence[str] = ()
    signal: bool = False
    """An update that may also end a task that nobody has taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """What became of a report."""

    execution_id: str
    task_id: str
    accepted: bool
    """False: kept as a late result, nothing else changed."""
    is_settled: bool
    task_name: str = ""
    domain: str = ""


def poll(
    *, actor: "User | None", task_type: str, worker: str, domain: str = "", count: int = 1
) -> list[Attempt]:
    """Hand out up to `count` tasks of a type, and note that the worker asked.

    Returns the attempts with their step run and execution; each is the worker's from now on.
    """
    _note_poll(task_type=task_type, domain=domain, worker=worker)
    if drain.is_draining():
        return []
    advanced = _poll(actor=actor, task_type=task_type, worker=worker, domain=domain, count=count)
    ids = [run.attempt_id for _, run in advanced.claimed]
    if not ids:
        return []
    rows = Attempt.objects.select_related("step_run", "step_run__execution").in_bulk(ids)
    return [rows[UUID(key)] for key in ids]


@retried
@transaction.atomic(durable=True)
def _poll(
    *, actor: "User | None", task_type: str, worker: str, domain: str, count: int
) -> advance.Advanced:
    found = claims.due_for_polling(
        task_type=task_type,
        domain=domain,
        limit=count,
        workflows=_reportable(actor),
    )
    if not found:
        return advance.Advanced(loaded={})
    loaded = load.lock_executions({due.execution_id for due in found})
    return attempts.claim_locked(found, loaded, worker)


def _reportable(actor: "User | None") -> list[int] | None:
    """Return the workflows whose tasks the actor may take; None = all."""
    if actor is None or actor.is_superuser:
        return None
    rows = visible_to(actor, Workflow.objects.all(), Permission.REPORT_TASK, path="pk")
    return list(rows.values_list("pk", flat=True))


def _note_poll(*, task_type: str, domain: str, worker: str) -> None:
    """Remember who polled what and when, also when there was nothing (conductor/api.md §4.2)."""
    now = clock.now()
    seen = QueuePoll.objects.filter(task_type=task_type, domain=domain, worker=worker)
    known = seen.values_list("polled_at", flat=True).first()
    if known is None:
        QueuePoll.objects.bulk_create(
            [QueuePoll(task_type=task_type, domain=domain, worker=worker, polled_at=now)],
            ignore_conflicts=True,
        )
    elif now - known > POLLS_NOTED:
        # A worker of many connections would else have each wait for the others at this row.
        seen.filter(polled_at__lt=now).update(polled_at=now)


def report(*, actor: "User | None", report: TaskReport) -> Reported:
    """Take a worker's word about a task.

    Raises:
        NotFound: There is no such task, or the actor may not see it.
        Forbidden: The actor may see it and not report on it.
    """
    attempt = find_attempt(actor=actor, task_id=report.task_id)
    run = attempt.step_run
    _keep_logs(attempt, report.logs)
    execution_id = str(attempt.execution_id)
    item = _input_of(str(run.pk), report)
    first: list[advance.Advanced] = []
    advance.drive(inputs={execution_id: [item]}, on_first=first.append)
    accepted = [str(run.pk) not in advanced.refused for advanced in first]
    decided = first[0].runs.get(str(run.pk)) if first else None
    settled = decided or StepRow.objects.only("state", "attempt_id").get(pk=run.pk)
    open_states = {"SCHEDULED", "DISPATCHED", "WAITING", "RETRY_WAIT"}
    return Reported(
        execution_id=execution_id,
        task_id=report.task_id,
        accepted=bool(accepted and accepted[0]),
        is_settled=str(settled.attempt_id) != report.task_id or settled.state not in open_states,
        task_name=run.name,
        domain=run.domain,
    )


def find_attempt(*, actor: "User | None", task_id: str) -> Attempt:
    """Return a task that the actor may report on, with step run and execution."""
    try:
        key = UUID(str(task_id))
    except ValueError:
        raise NotFound(f"Task not found for taskId: {task_id}") from None
    rows = Attempt.objects.select_related("step_run", "step_run__execution__workflow")
    attempt = rows.filter(pk=key).first()
    if attempt is None:
        raise NotFound(f"Task not found for taskId: {task_id}")
    policy.require(actor, Permission.REPORT_TASK, attempt.step_run.execution.workflow)
    return attempt


def _keep_logs(attempt: Attempt, lines: Sequence[str]) -> None:
    if lines:
        now = clock.now()
        AttemptLog.objects.bulk_create(
            AttemptLog(attempt_id=attempt.pk, execution_id=attempt.execution_id, line=line, at=now)
            for line in lines
        )


def add_log(*, actor: "User | None", task_id: str, line: str) -> None:
    """Keep a line that a worker logs about a task."""
    _keep_logs(find_attempt(actor=actor, task_id=task_id), [line])


def _input_of(run_id: str, report: TaskReport) -> Input:
    if report.extend_lease:
        return Extended(step_run_id=run_id, attempt_id=report.task_id)
    return AttemptEnded(
        step_run_id=run_id,
        attempt_id=report.task_id,
        outcome=outcome_of(report),
        worker=report.worker,
        cancelled=report.status == "CANCELED",
        signal=report.signal,
    )


def outcome_of(report: TaskReport) -> Outcome:
    """Read a worker's status; `outputData._saga` says partial or unknown (product.md §5)."""
    output: dict[str, Any] = dict(clean(dict(report.output)))
    if size_of(output) > MAX_OUTPUT:
        # The work was done, perhaps; what it gave cannot be kept (definitions.md §8.6).
        too_large = f"payload_too_large: an output has at most {MAX_OUTPUT // 2**20} MiB"
        return Failed(reason=too_large, terminal=True, partial=report.status == "COMPLETED")
    said = output.get("_saga")
    reason = report.reason[:MAX_REASON]
    match report.status:
        case "COMPLETED":
            return Succeeded(output=output)
        case "IN_PROGRESS":
            return Waiting(callback_seconds=max(report.callback_after_seconds, 0), output=output)
        case "CANCELED":
            return Failed(reason=reason or "cancelled by the worker", output=output)
        case _:
            said = said if isinstance(said, dict) else {}
            if said.get("outcome") == "UNKNOWN":
                return Unknown(reason=reason, output=output)
            return Failed(
                reason=reason,
                terminal=report.status == "FAILED_WITH_TERMINAL_ERROR",
                partial=said.get("partial") is True,
                output=output,
            )


def find_open_task(*, actor: "User | None", execution_id: str, reference: str) -> str | None:
    """Return the id of the open task of a reference (newest round), or None."""
    execution = find_execution(actor=actor, execution_id=execution_id)
    rows = StepRow.objects.filter(
        Q(reference=reference) | Q(position=reference),
        execution=execution,
        state__in=("SCHEDULED", "DISPATCHED", "WAITING", "RETRY_WAIT"),
    )
    found = rows.order_by("-seq").values_list("attempt_id", flat=True).first()
    if found is None and "__" in reference:
        name, _, round_ = reference.rpartition("__")
        if round_.isdigit():
            rows = StepRow.objects.filter(
                execution=execution, reference=name, iteration=int(round_)
            ).exclude(state__in=("COMPLETED", "FAILED", "SKIPPED", "CANCELLED"))
            found = rows.order_by("-seq").values_list("attempt_id", flat=True).first()
    return str(found) if found else None


def find_blocked_task(*, actor: "User | None", execution_id: str) -> str | None:
    """Return the first open WAIT task, also of running children (conductor/api.md §4.3)."""
    execution = find_execution(actor=actor, execution_id=execution_id)
    pending = [execution.pk]
    while pending:
        key = pending.pop(0)
        rows = StepRow.objects.filter(execution_id=key, state="WAITING").order_by("seq")
        for row in rows.only("type", "attempt_id", "child_id"):
            if row.type == "WAIT":
                return str(row.attempt_id)
            if row.child_id is not None:
                pending.append(row.child_id)
    return None


def find_execution(*, actor: "User | None", execution_id: str) -> Execution:
    """Return an execution whose tasks the actor may report on."""
    try:
        key = UUID(str(execution_id))
    except ValueError:
        raise NotFound(f"No such workflow found by id: {execution_id}") from None
    execution = Execution.objects.select_related("workflow").filter(pk=key).first()
    if execution is None:
        raise NotFound(f"No such workflow found by id: {execution_id}")
    policy.require(actor, Permission.REPORT_TASK, execution.workflow)
    return execution
