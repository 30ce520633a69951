"""Attempts: taken by Celery workers and polling workers, and what they report."""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import InterfaceError, OperationalError, transaction
from django.db.models import Q

from orchestrator import drain, metrics
from orchestrator.access import policy
from orchestrator.access.permissions import Permission
from orchestrator.access.scoping import visible_to
from orchestrator.border.input import clean, size_of
from orchestrator.engine import keys
from orchestrator.engine.definition.graph import Node, policy_of
from orchestrator.engine.definition.model import BUILT_IN_POLICY
from orchestrator.engine.outcomes import Failed, Outcome, Succeeded, Unknown, Waiting
from orchestrator.engine.snapshot import AttemptEnded, Claimed, Extended, Input, StepRun
from orchestrator.engine.states import Direction, StepState
from orchestrator.engine.steps import base
from orchestrator.failpoints import failpoint
from orchestrator.handlers.base import ForwardView, Work
from orchestrator.models import Attempt, AttemptLog, Execution, QueuePoll, Workflow
from orchestrator.models import StepRun as StepRow
from orchestrator.services import advance, upkeep
from orchestrator.services.advance import Keeping
from orchestrator.services.errors import NotFound
from orchestrator.services.retrying import retried
from orchestrator.store import claims, clock, load
from orchestrator.store.load import Loaded
from orchestrator.store.statements import any_of, bound

if TYPE_CHECKING:
    from django.contrib.auth.models import User

logger = logging.getLogger(__name__)

MAX_REASON = 10_000
MAX_OUTPUT = 3 * 2**20
"""Bytes of a task's output (reliability.md §12)."""
_DATABASE_AWAY = (OperationalError, InterfaceError)
"""What no execution is to blame for."""
CLAIMABLE = (StepState.SCHEDULED, StepState.RETRY_WAIT)
BATCH = 32
"""Step runs that one Celery task takes at once, where they are quick."""


# ---- our own workers -------------------------------------------------------------------------


def claim(*, step_run_id: str, queue: str, worker: str) -> list[Work]:
    """Take one step run, if it is still there to be taken, and answer what is to be done."""
    # Under load most of what a message names was taken long before it arrived.
    claimable = StepRow.objects.filter(pk=step_run_id, state__in=CLAIMABLE).order_by()
    row = claimable.values_list("execution_id", flat=True).first()
    if row is None or drain.is_draining():
        return []
    keep = Keeping(queues=(queue,), limit=1, worker=worker)
    item = Claimed(step_run_id=step_run_id, worker=worker)
    claimed = advance.drive(inputs={str(row): [item]}, keep=keep)
    if claimed:
        upkeep.note_claim()
    return _works(claimed)


def claim_due(*, queue: str, limit: int, worker: str) -> list[Work]:
    """Take step runs of any execution that have been waiting on a queue."""
    if drain.is_draining():
        return []
    try:
        claimed = _claim_due(queue=queue, limit=limit, worker=worker).claimed
    except _DATABASE_AWAY:
        raise
    except Exception:
        logger.exception("claim_failed", extra={"queue": queue})
        claimed = _claim_each(queue=queue, limit=limit, worker=worker)
    if claimed:
        upkeep.note_claim()
    return _works(claimed)


def _claim_each(*, queue: str, limit: int, worker: str) -> list[tuple[Loaded, StepRun]]:
    """Claim one by one, so that an execution that cannot be loaded does not hold up its queue."""
    claimed: list[tuple[Loaded, StepRun]] = []
    found = claims.due_on_queue(queue=queue, limit=limit + BATCH, now=clock.now(), lock=False)
    for due in found:
        if len(claimed) >= limit:
            break
        item = Claimed(step_run_id=due.step_run_id, worker=worker)
        try:
            claimed += advance.transit(inputs={due.execution_id: [item]}).claimed
        except Exception:
            logger.exception("claim_failed", extra={"execution_id": due.execution_id})
    return claimed


@retried
@transaction.atomic(durable=True)
def _claim_due(*, queue: str, limit: int, worker: str) -> advance.Advanced:
    found = claims.due_on_queue(queue=queue, limit=limit, now=clock.now())
    return _claim_locked(found, worker)


def _claim_locked(found: Sequence[claims.Due], worker: str) -> advance.Advanced:
    inputs: dict[str, list[Input]] = {}
    for due in found:
        item = Claimed(step_run_id=due.step_run_id, worker=worker)
        inputs.setdefault(due.execution_id, []).append(item)
    loaded = load.lock_executions(inputs)
    _preload(loaded, [due.step_run_id for due in found])
    return advance.advance_locked(loaded, inputs)


def _preload(loaded: Mapping[str, Loaded], step_run_ids: Collection[str]) -> None:
    """Load the step runs that inputs name, so that the first decision has them."""
    if step_run_ids:
        condition = any_of("s.id", len(step_run_ids))
        for execution_id, run in load.step_runs(condition, bound(step_run_ids)):
            if execution_id in loaded:
                loaded[execution_id].runs[run.id] = run


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one attempt came to, as its worker reports it."""

    work: Work
    outcome: Outcome


def record_outcomes(*, results: Sequence[Result], keep: Keeping) -> list[Work]:
    """Write what attempts came to, in one transaction, and take what follows from them."""
    inputs: dict[str, list[Input]] = {}
    for result in results:
        work = result.work
        ended = AttemptEnded(
            step_run_id=work.step_run_id,
            attempt_id=work.attempt_id,
            outcome=result.outcome,
            worker=keep.worker,
        )
        inputs.setdefault(work.execution_id, []).append(ended)
        metrics.ATTEMPTS.labels(
            direction=work.direction.value, outcome=type(result.outcome).__name__.lower()
        ).inc()
    is_undo = any(result.work.direction is Direction.COMPENSATION for result in results)
    failpoint("undo_record.before" if is_undo else "record.before")
    works = _works(_record(inputs, keep))
    failpoint("undo_record.after" if is_undo else "record.after")
    return works


def _record(inputs: Mapping[str, Sequence[Input]], keep: Keeping) -> list[tuple[Loaded, StepRun]]:
    """Write inputs of several executions together; one that cannot be written spoils no other."""
    try:
        return advance.drive(inputs=inputs, keep=keep)
    except _DATABASE_AWAY:
        raise
    except Exception:
        if len(inputs) == 1:
            raise
        logger.exception("record_failed", extra={"executions": len(inputs)})
    claimed: list[tuple[Loaded, StepRun]] = []
    for key, items in inputs.items():
        try:
            claimed += advance.drive(inputs={key: items}, keep=keep)
        except Exception:
            # Its lease runs out; then the ticker meets the same trouble and says so again.
            logger.exception("record_failed", extra={"execution_id": key})
    return claimed


def _works(claimed: Sequence[tuple[Loaded, StepRun]]) -> list[Work]:
    return [work_of(loaded, run) for loaded, run in claimed]


def work_of(loaded: Loaded, run: StepRun) -> Work:
    """Return what a claimed attempt carries."""
    node = _node(loaded, run)
    is_forward = run.direction is Direction.FORWARD
    entry = None if is_forward else loaded.runs.get(run.compensates or "")
    return Work(
        execution_id=loaded.view.id,
        step_run_id=run.id,
        attempt_id=run.attempt_id,
        number=run.attempt,
        reference=run.reference,
        name=run.name,
        type=run.type,
        direction=run.direction,
        input=run.input,
        idempotency_key=key_of(loaded, run),
        forward_key=forward_key_of(loaded.view.id, entry) if entry else None,
        forward=_forward_view(loaded.view.id, entry) if entry else None,
        saga=loaded.view.is_saga,
        deadline_seconds=_deadline(loaded, node, run, entry),
        outcomes=node.step.outcomes,
        async_complete=node.step.async_complete,
        heartbeat=partial(heartbeat, execution_id=loaded.view.id, run=run),
    )


def _node(loaded: Loaded, run: StepRun) -> Node:
    return load.graph_of_run(loaded, run).nodes[run.reference]


def key_of(loaded: Loaded, run: StepRun) -> str:
    """Return the idempotency key of a step run (saga-semantics §12)."""
    entry_id = run.compensates or ""
    match run.direction:
        case Direction.FORWARD:
            return keys.forward_key(loaded.view.id, run.position, run.epoch)
        case Direction.PROBE:
            return keys.probe_key(entry_id, run.round)
        case Direction.CONFIRM:
            return keys.confirm_key(entry_id)
        case Direction.COMPENSATION:
            graph = load.graph_of_run(loaded, run)
            owner = graph.nodes[graph.nodes[run.reference].owner]
            compensation = owner.step.compensation
            several = compensation is not None and len(compensation.tasks) > 1
            return keys.undo_key(entry_id, run.round, run.reference if several else "")


def forward_key_of(execution_id: str, entry: StepRun) -> str:
    """Return the key of the forward call that an entry stands for."""
    return keys.forward_key(execution_id, entry.position, entry.epoch)


def _forward_view(execution_id: str, entry: StepRun) -> ForwardView:
    return ForwardView(
        input=entry.input, output=entry.output or {}, key=forward_key_of(execution_id, entry)
    )


def _deadline(loaded: Loaded, node: Node, run: StepRun, entry: StepRun | None) -> float:
    """Return how long the call may take; always shorter than the lease (reliability.md §2.8)."""
    if entry is None:
        return base.deadline_seconds(policy_of(node.step, loaded.policies), run)
    compensation = load.graph_of_run(loaded, entry).nodes[entry.reference].step.compensation
    limit = compensation.retry.attempt_timeout_seconds if compensation else base.DEFAULT_DEADLINE
    own = base.deadline_seconds(BUILT_IN_POLICY, run)
    return min(limit, own) if run.type == "HTTP" else limit


def heartbeat(*, execution_id: str, run: StepRun) -> bool:
    """Renew the lease of a long step; False when the result is not wanted any more."""
    item = Extended(step_run_id=run.id, attempt_id=run.attempt_id)
    advanced = advance.transit(inputs={execution_id: [item]})
    wanted = run.id not in advanced.refused
    view = advanced.loaded[execution_id].view if execution_id in advanced.loaded else None
    return wanted and view is not None and view.state.value == "RUNNING"


# ---- polling workers -------------------------------------------------------------------------


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
        now=clock.now(),
        workflows=_reportable(actor),
    )
    return _claim_locked(found, worker) if found else advance.Advanced(loaded={})


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
    if not seen.update(polled_at=now):
        QueuePoll.objects.bulk_create(
            [QueuePoll(task_type=task_type, domain=domain, worker=worker, polled_at=now)],
            ignore_conflicts=True,
        )


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
    accepted: list[bool] = []
    advance.drive(
        inputs={execution_id: [item]},
        on_first=lambda advanced: accepted.append(str(run.pk) not in advanced.refused),
    )
    settled = StepRow.objects.only("state", "attempt_id").get(pk=run.pk)
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
