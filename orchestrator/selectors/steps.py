"""Step runs of an execution, as its detail shows them."""

from collections.abc import Collection
from uuid import UUID

from orchestrator.engine import keys
from orchestrator.engine.states import Direction
from orchestrator.models import Attempt, Execution, StepRun
from orchestrator.selectors import definitions
from orchestrator.selectors.paging import Page, encode_cursor, position_after
from orchestrator.selectors.times import iso


def steps_page(*, execution: Execution, cursor: str | None, limit: int) -> Page[dict[str, object]]:
    """Return step runs in the order of scheduling; the caller has found the execution."""
    rows = StepRun.objects.filter(execution=execution)
    if cursor:
        rows = rows.filter(seq__gt=position_after(cursor))
    found = list(rows.order_by("seq", "id")[: limit + 1])
    more, found = len(found) > limit, found[:limit]
    workers = _workers([row.attempt_id for row in found])
    several = definitions.undos_of_several_steps(
        version_id=execution.version_id, checksum=execution.version.checksum
    )
    return Page(
        results=[
            _step_dict(
                row,
                worker=workers.get(row.attempt_id, ""),
                key=_key(row, several=several),
            )
            for row in found
        ],
        next=encode_cursor("a", str(found[-1].seq)) if more else None,
    )


def _step_dict(row: StepRun, *, worker: str, key: str) -> dict[str, object]:
    return {
        "id": str(row.pk),
        "taskReferenceName": row.reference,
        "name": row.name,
        "type": row.type,
        "direction": row.direction,
        "compensates": str(row.compensates) if row.compensates is not None else None,
        "iteration": row.iteration,
        "epoch": row.epoch,
        "attempt": row.attempt,
        "state": row.state,
        "input": row.input,
        "output": row.output,
        "reason": row.reason,
        "worker": worker,
        "idempotencyKey": key,
        "childId": str(row.child_id) if row.child_id is not None else None,
        "dueAt": iso(row.due_at),
        "scheduledAt": iso(row.scheduled_at),
        "startedAt": iso(row.started_at),
        "endedAt": iso(row.ended_at),
    }


def _key(row: StepRun, *, several: Collection[str]) -> str:
    """Return the key the participant got with the last attempt (saga-semantics §12)."""
    entry = str(row.compensates)
    if row.direction == Direction.FORWARD:
        return keys.forward_key(str(row.execution_id), row.position, row.epoch)
    if row.direction == Direction.PROBE:
        return keys.probe_key(entry, row.round)
    if row.direction == Direction.CONFIRM:
        return keys.confirm_key(entry, row.reference if row.reference in several else "")
    return keys.undo_key(entry, row.round, row.reference if row.reference in several else "")


def _workers(attempts: Collection[UUID]) -> dict[UUID, str]:
    rows = Attempt.objects.filter(pk__in=attempts).values_list("pk", "worker")
    return dict(rows)
