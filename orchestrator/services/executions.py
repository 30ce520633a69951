"""Start, cancel, pause, resume and retry executions."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import IntegrityError, transaction

from orchestrator import dispatch, metrics
from orchestrator.access import policy
from orchestrator.access.permissions import Permission
from orchestrator.audit import log
from orchestrator.border.input import check as check_json
from orchestrator.border.input import size_of
from orchestrator.engine.canonical import JSONValue, digest
from orchestrator.engine.snapshot import PauseSet
from orchestrator.engine.states import ExecutionState
from orchestrator.models import Execution, Workflow
from orchestrator.services import advance, cancelling, versions
from orchestrator.services.errors import Conflict, Invalid, Malformed
from orchestrator.services.locked import (
    apply_locked,
    find_locked,
    problem,
    require_reason,
)
from orchestrator.services.lookups import Lookups
from orchestrator.services.retrying import retried
from orchestrator.store import clock, definitions, keys
from orchestrator.store.apply import children

if TYPE_CHECKING:
    from django.contrib.auth.models import User

MAX_KEY = 255
MAX_INPUT = 5 * 2**20
"""Bytes of a run's input (reliability.md §12)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """What a start came to."""

    id: UUID
    workflow_name: str
    version: int
    created: bool
    """False when an earlier start with the same key is answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRequest:
    """What somebody wants to start."""

    workflow_name: str
    version: int | None = None
    """None or 0: the stable version."""
    input: Mapping[str, Any]
    correlation_id: str = ""
    idempotency_key: str = ""
    strategy: str = "RETURN_EXISTING"
    """FAIL, RETURN_EXISTING or FAIL_ON_RUNNING; without a key it means nothing (api.md §14)."""
    definition: JSONValue = None
    """An inline definition, run without being registered."""
    priority: int = 0
    task_to_domain: Mapping[str, str] | None = None


def start_execution(  # noqa: PLR0913 - a start has that many parts
    *,
    actor: "User | None",
    workflow_name: str,
    version: int | None = None,
    input: Mapping[str, Any],  # noqa: A002 - the word of the contract
    correlation_id: str = "",
    idempotency_key: str = "",
    strategy: str = "RETURN_EXISTING",
    definition: JSONValue = None,
    priority: int = 0,
    task_to_domain: Mapping[str, str] | None = None,
) -> Started:
    """Start one execution and take its first decision.

    Safe to call again with the same idempotency key: the first execution is answered.

    Raises:
        NotFound: There is no such workflow or version, or the actor may not see it.
        Forbidden: The actor may see it and not start it.
        Conflict: The key was used with another body, or the strategy says so; an archived workflow.
        Invalid: The input or the inline definition is not acceptable.
    """
    request = StartRequest(
        workflow_name=workflow_name,
        version=version,
        input=input,
        correlation_id=correlation_id,
        idempotency_key=idempotency_key,
        strategy=strategy,
        definition=definition,
        priority=priority,
        task_to_domain=task_to_domain,
    )
    _check(request)
    return _once([request], actor=actor)[0]


def start_many(*, actor: "User | None", requests: list[StartRequest]) -> list[Started]:
    """Start executions in sets: one transaction for all of them; all or none.

    For callers that start many at once; each is as durable as if it had been started alone.
    """
    for request in requests:
        _check(request)
    return _once(requests, actor=actor)


def _once(requests: list[StartRequest], *, actor: "User | None") -> list[Started]:
    # Made before the insert, so that a second try after a lost COMMIT makes the same rows.
    ids = [new_id() for _ in requests]
    try:
        return _start(actor=actor, requests=requests, ids=ids)
    except IntegrityError:
        found = _written_before(ids)
        if not found:
            raise
        return found
    except Exception:
        # A version made by a transaction that was rolled back may leave its key to another one.
        definitions.graph_of_version.cache_clear()
        raise


def _written_before(ids: list[str]) -> list[Started]:
    """Return what an earlier try has started whose COMMIT came through after all."""
    rows = Execution.objects.only("workflow_name", "version_number").in_bulk(ids)
    return [
        Started(
            id=row.pk,
            workflow_name=row.workflow_name,
            version=row.version_number,
            created=True,
        )
        for row in (rows.get(UUID(key)) for key in ids)
        if row is not None
    ]


def new_id() -> str:
    """Return a new execution id: UUIDv7, so that ids sort by time of start."""
    stamp = time.time_ns() // 1_000_000
    raw = stamp.to_bytes(6, "big") + os.urandom(10)
    value = int.from_bytes(raw, "big")
    value = (value & ~(0xF << 76)) | (0x7 << 76)
    value = (value & ~(0x3 << 62)) | (0x2 << 62)
    return str(UUID(int=value))


def _check(request: StartRequest) -> None:
    if not isinstance(request.input, Mapping):
        raise Invalid("The input must be a JSON object.", problem("/input", "not an object"))
    if len(request.idempotency_key) > MAX_KEY or len(request.correlation_id) > MAX_KEY:
        raise Malformed(f"Idempotency key and correlation id have at most {MAX_KEY} characters.")
    if not 0 <= request.priority <= 99:
        raise Invalid("The priority must be between 0 and 99.", problem("/priority", "0 to 99"))
    check_json(dict(request.input))
    if size_of(request.input) > MAX_INPUT:
        message = f"The input of a run has at most {MAX_INPUT // 2**20} MiB."
        raise Invalid(message, problem("/input", "too large"))


@retried
@transaction.atomic(durable=True)
def _start(*, actor: "User | None", requests: list[StartRequest], ids: list[str]) -> list[Started]:
    resolved = Lookups(actor)
    prepared = [
        (*_prepare(actor, request, key, resolved), request)
        for request, key in zip(requests, ids, strict=True)
    ]
    new = [(started, row, request) for started, row, request in prepared if row is not None]
    if new:
        _insert(actor, new)
    return [started for started, _, _ in prepared]


def _prepare(
    actor: "User | None", request: StartRequest, execution_id: str, resolved: Lookups
) -> tuple[Started, dict[str, Any] | None]:
    """Return what the start comes to, and the row to insert unless an earlier one is answered."""
    version = resolved.version(
        name=request.workflow_name, number=request.version, definition=request.definition
    )
    workflow = version.workflow
    if request.idempotency_key:
        known = _known(request, workflow, execution_id)
        if known is not None:
            return known, None
    row = children.new_row(
        execution_id=execution_id,
        version=version,
        workflow=workflow,
        input=request.input,
        now=resolved.now,
        policies=resolved.policies(version),
        correlation_id=request.correlation_id,
        priority=request.priority,
        domains=request.task_to_domain or {},
        started_by=versions.name_of(actor),
        started_by_id=actor.pk if actor else None,
        idempotency_key=request.idempotency_key,
    )
    # Decided in this very transaction, so nothing is due when it is committed.
    row["wake_at"] = None
    started = Started(
        id=UUID(execution_id),
        workflow_name=row["workflow_name"],
        version=row["version_number"],
        created=True,
    )
    return started, row


def _known(request: StartRequest, workflow: Workflow, execution_id: str) -> Started | None:
    """Take the key, or say what an earlier start with it means for this one."""
    body_hash = digest([request.input, request.version, request.correlation_id, request.definition])
    known = keys.claim_key(
        workflow_id=workflow.pk,
        key=request.idempotency_key,
        execution_id=execution_id,
        body_hash=body_hash,
    )
    if known is None:
        return None
    earlier = Execution.objects.get(pk=known.execution_id)
    if request.strategy == "FAIL_ON_RUNNING" and ExecutionState(earlier.state).is_terminal:
        keys.hand_key_over(
            workflow_id=workflow.pk,
            key=request.idempotency_key,
            execution_id=execution_id,
            body_hash=body_hash,
            since=clock.now(),
        )
        return None
    if request.strategy != "RETURN_EXISTING":
        raise Conflict(
            f"The idempotency key {request.idempotency_key!r} belongs to execution {earlier.pk}.",
            executionId=str(earlier.pk),
        )
    if known.body_hash != body_hash:
        raise Conflict(
            f"The idempotency key {request.idempotency_key!r} was used with another body, for "
            f"execution {earlier.pk}. Use a new key for a new start.",
            executionId=str(earlier.pk),
        )
    return Started(
        id=earlier.pk,
        workflow_name=earlier.workflow_name,
        version=earlier.version_number,
        created=False,
    )


def _insert(actor: "User | None", new: list[tuple[Started, dict[str, Any], StartRequest]]) -> None:
    rows = {row["id"]: row for _, row, _ in new}
    advanced = advance.begin(rows, last=actor is None)
    dispatch.ring_executions(advanced.to_advance)
    for started, row, _ in new:
        metrics.EXECUTIONS_STARTED.labels(workflow=row["workflow_name"]).inc()
        if actor is not None:
            log.record(
                "execution.start",
                str(started.id),
                actor,
                workflow=started.workflow_name,
                changes={"version": started.version},
            )


# ---- control ---------------------------------------------------------------------------------


@retried
@transaction.atomic(durable=True)
def cancel_execution(
    *,
    actor: "User | None",
    execution_id: "UUID | str",
    compensate: bool,
    reason: str,
    adds: bool = True,
) -> None:
    """Cancel a run that is not over; with undo as far as something could be undone (T4).

    A cancel never shortens an undo. While the run undoes, what its plan leaves out is added to it,
    unless `adds` is false. Without undo, where something could be undone, it is an act of its own
    right (`break_glass`).

    Raises:
        NotFound, Forbidden: The actor may not see or not cancel it.
        Invalid: There is no reason.
        Conflict: The run is over, or undo is asked for past a pivot, or while one is in doubt.
    """
    row, loaded = find_locked(execution_id)
    policy.require(actor, Permission.CANCEL_EXECUTION, row.workflow)
    cancelling.cancel_locked(
        row, loaded, actor=actor, compensate=compensate, reason=require_reason(reason), adds=adds
    )


def pause_execution(*, actor: "User | None", execution_id: "UUID | str") -> None:
    """Dispatch nothing new in either direction until somebody resumes; safe to call twice."""
    _set_paused(actor=actor, execution_id=execution_id, paused=True)


def resume_execution(*, actor: "User | None", execution_id: "UUID | str") -> None:
    """Go on after a pause.

    Raises:
        Conflict: The run is not paused.
    """
    _set_paused(actor=actor, execution_id=execution_id, paused=False)


@retried
@transaction.atomic(durable=True)
def _set_paused(*, actor: "User | None", execution_id: "UUID | str", paused: bool) -> None:
    row, loaded = find_locked(execution_id)
    policy.require(actor, Permission.CONTROL_EXECUTION, row.workflow)
    if loaded.view.state.is_terminal:
        raise Conflict(f"The run is over ({loaded.view.state}).")
    if not paused and not loaded.view.paused:
        raise Conflict("The run is not paused.")
    if paused and loaded.view.paused:
        return
    apply_locked(loaded, PauseSet(paused=paused, actor=versions.name_of(actor)))
    action = "execution.pause" if paused else "execution.resume"
    log.record(action, str(row.pk), actor, workflow=row.workflow_name)
