"""Attempts that our own workers take and report on; those of others are in `reports`."""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from django.db import InterfaceError, OperationalError, transaction

from orchestrator import dispatch, drain, metrics
from orchestrator.engine import keys
from orchestrator.engine.definition.graph import Node, policy_of
from orchestrator.engine.definition.model import BUILT_IN_POLICY
from orchestrator.engine.outcomes import Outcome
from orchestrator.engine.snapshot import AttemptEnded, Claimed, Extended, Input, StepRun
from orchestrator.engine.states import Direction
from orchestrator.engine.steps import base
from orchestrator.failpoints import failpoint
from orchestrator.handlers.base import ForwardView, Work
from orchestrator.services import advance, memory, upkeep
from orchestrator.services.advance import Keeping
from orchestrator.services.retrying import retried
from orchestrator.store import branches, claims, load, taking
from orchestrator.store.load import Loaded
from orchestrator.store.statements import any_of, bound

logger = logging.getLogger(__name__)

_DATABASE_AWAY = (OperationalError, InterfaceError)
"""What no execution is to blame for."""
BATCH = 32
"""Step runs that one Celery task takes at once, where they are quick."""


def claim(*, step_run_id: str, queue: str, worker: str) -> list[Work]:
    """Take one step run, if it is still there to be taken, and answer what is to be done."""
    # Under load most of what a message names was taken long before it arrived.
    execution_id = retried(claims.execution_of)(step_run_id)
    if execution_id is None or drain.is_draining():
        return []
    keep = Keeping(queues=(queue,), limit=1, worker=worker)
    item = Claimed(step_run_id=step_run_id, worker=worker)
    claimed = advance.drive(inputs={execution_id: [item]}, keep=keep)
    if claimed:
        upkeep.note_claim()
    return _works(claimed)


def claim_due(*, queue: str, limit: int, worker: str) -> list[Work]:
    """Take step runs of any execution that have been waiting on a queue."""
    if drain.is_draining():
        return []
    try:
        claimed = _claim_due(queue=queue, limit=limit, worker=worker).claimed
        memory.keep(claimed)
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
    found = claims.due_on_queue(queue=queue, limit=limit + BATCH, lock=False)
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
    found, loaded = taking.lock_due(queue=queue, limit=limit)
    return claim_locked(found, loaded, worker) if found else advance.Advanced(loaded={})


def claim_locked(
    found: Sequence[claims.Due], loaded: Mapping[str, Loaded], worker: str
) -> advance.Advanced:
    """Take these step runs for a worker, as far as they are still there; part of a transaction."""
    inputs: dict[str, list[Input]] = {}
    for due in found:
        item = Claimed(step_run_id=due.step_run_id, worker=worker)
        inputs.setdefault(due.execution_id, []).append(item)
    _preload(loaded, [due.step_run_id for due in found if not loaded[due.execution_id].complete])
    advanced = advance.advance_locked(loaded, inputs, last=True)
    dispatch.ring_executions(advanced.to_advance)
    return advanced


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
    return branches.graph_of_run(loaded, run).nodes[run.reference]


def key_of(loaded: Loaded, run: StepRun) -> str:
    """Return the idempotency key of a step run (saga-semantics §12)."""
    entry_id = run.compensates or ""
    match run.direction:
        case Direction.FORWARD:
            return keys.forward_key(loaded.view.id, run.position, run.epoch)
        case Direction.PROBE:
            return keys.probe_key(entry_id, run.round)
        case Direction.CONFIRM:
            return keys.confirm_key(entry_id, _shown(loaded, run))
        case Direction.COMPENSATION:
            return keys.undo_key(entry_id, run.round, _shown(loaded, run))


def _shown(loaded: Loaded, run: StepRun) -> str:
    """Return the reference of an attached step where its key carries it, else nothing."""
    graph = branches.graph_of_run(loaded, run)
    owner = graph.nodes[graph.nodes[run.reference].owner]
    return run.reference if run.reference in owner.step.keyed else ""


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
    compensation = branches.graph_of_run(loaded, entry).nodes[entry.reference].step.compensation
    limit = compensation.retry.attempt_timeout_seconds if compensation else base.DEFAULT_DEADLINE
    own = base.deadline_seconds(BUILT_IN_POLICY, run)
    return min(limit, own) if run.type == "HTTP" else limit


def heartbeat(*, execution_id: str, run: StepRun) -> bool:
    """Renew the lease of a long step; False when the result is not wanted any more."""
    item = Extended(step_run_id=run.id, attempt_id=run.attempt_id)
    advanced = advance.transit(inputs={execution_id: [item]})
    wanted = run.id not in advanced.refused
    view = advanced.loaded[execution_id].view if execution_id in advanced.loaded else None
    if not wanted or view is None:
        return False
    return run.direction is not Direction.FORWARD or view.state.value == "RUNNING"
