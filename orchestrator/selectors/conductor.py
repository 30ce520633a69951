"""Runs and tasks as the Conductor face reads them: rows that belong together, in few queries."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from uuid import UUID

from orchestrator.access import scoping
from orchestrator.access.errors import NotFound
from orchestrator.engine.definition import document as documents
from orchestrator.engine.definition import graph
from orchestrator.engine.definition.model import Definition
from orchestrator.engine.states import Direction, StepState
from orchestrator.models import (
    Attempt,
    AttemptLog,
    Execution,
    ExecutionEvent,
    StepRun,
    WorkflowVersion,
)

if TYPE_CHECKING:
    from django.contrib.auth.models import User

LOGS_AT_MOST = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionFacts:
    """What showing tasks needs to know of a version's definition."""

    tasks: Mapping[str, Mapping[str, Any]]
    """Each task of the document by its reference, undo tasks too."""
    shared_undos: frozenset[str]
    """References of undo and confirm tasks whose keys carry them."""
    undo_timeouts: Mapping[str, float]
    """Seconds that one attempt of an undo, probe or confirm may take, by its reference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRow:
    """One attempt with all that its task shows."""

    attempt: Attempt
    run: StepRun
    execution: Execution
    facts: VersionFacts
    entry: StepRun | None
    """The step that an undo, probe or confirm is about."""
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """A run with what belongs to it."""

    execution: Execution
    document: Mapping[str, Any]
    tasks: Sequence[TaskRow] = field(default_factory=tuple)
    failed: Sequence[StepRun] = field(default_factory=tuple)
    """Forward steps that failed, as far as their names are needed."""
    retried_at: datetime | None = None


# ---- runs --------------------------------------------------------------------------------------


def find_run(
    *, actor: "User | None", execution_id: "UUID | str", with_tasks: bool = True
) -> RunRow:
    """Return a run that the actor may see.

    Raises:
        NotFound: There is none.
    """
    execution = find_execution(actor=actor, execution_id=execution_id)
    return run_row(execution=execution, with_tasks=with_tasks)


def find_execution(*, actor: "User | None", execution_id: "UUID | str") -> Execution:
    """Return the row of a run that the actor may see, with its version, or raise `NotFound`."""
    key = as_uuid(execution_id)
    rows = scoping.visible_to(actor, Execution.objects.select_related("version"))
    found = rows.filter(pk=key).first() if key is not None else None
    if found is None:
        raise NotFound(f"No such workflow found by id: {str(execution_id)[:64]}")
    return found


def run_row(*, execution: Execution, with_tasks: bool) -> RunRow:
    """Return all that is shown of a run that the caller has found, with its version."""
    failed = StepRun.objects.filter(
        execution=execution,
        direction=Direction.FORWARD.value,
        cut_epoch__isnull=True,
        state=StepState.FAILED.value,
    ).exclude(error_class="TIMED_OUT")
    retried = (
        ExecutionEvent.objects.filter(
            execution_id=execution.pk, type="execution.running", data__retry=True
        )
        .order_by("-seq")
        .values_list("at", flat=True)
        .first()
    )
    return RunRow(
        execution=execution,
        document=execution.version.document,
        tasks=tasks_of(execution=execution) if with_tasks else (),
        failed=list(failed.only("reference", "iteration", "name", "seq").order_by("seq")),
        retried_at=retried,
    )


# ---- tasks -------------------------------------------------------------------------------------


def tasks_of(*, execution: Execution) -> list[TaskRow]:
    """Return the tasks of a run in the order of scheduling: one per attempt."""
    runs = {row.pk: row for row in StepRun.objects.filter(execution=execution)}
    attempts = [
        attempt
        for attempt in Attempt.objects.filter(execution_id=execution.pk)
        if attempt.step_run_id in runs
    ]
    attempts.sort(key=lambda row: _order(row, runs[row.step_run_id]))
    facts = facts_of(execution.version)
    return [
        TaskRow(
            attempt=attempt,
            run=runs[attempt.step_run_id],
            execution=execution,
            facts=facts,
            entry=runs.get(runs[attempt.step_run_id].compensates or UUID(int=0)),
            seq=number,
        )
        for number, attempt in enumerate(attempts, start=1)
    ]


def _order(attempt: Attempt, run: StepRun) -> tuple[datetime, int, int]:
    return attempt.scheduled_at, run.seq, attempt.number


def find_task(*, actor: "User | None", task_id: str) -> TaskRow:
    """Return a task that the actor may see, or raise `NotFound`."""
    attempt = _visible_attempt(actor, as_uuid(task_id))
    if attempt is None:
        raise NotFound(f"Task not found for taskId: {task_id[:64]}")
    rows_before = Attempt.objects.filter(
        execution_id=attempt.execution_id, scheduled_at__lt=attempt.scheduled_at
    )
    return task_rows([attempt], before=rows_before.count())[0]


def _visible_attempt(actor: "User | None", key: UUID | None) -> Attempt | None:
    if key is None:
        return None
    rows = Attempt.objects.select_related("step_run__execution__version").filter(pk=key)
    return scoping.visible_to(actor, rows, path="step_run__execution__workflow").first()


def task_rows(attempts: Iterable[Attempt], *, before: int | None = None) -> list[TaskRow]:
    """Return tasks of attempts that come with their step run and execution.

    The number of tasks scheduled before is not counted for each of them unless the caller says it:
    a poll must stay cheap in a run of many tasks.
    """
    found = list(attempts)
    executions = {row.step_run.execution_id: row.step_run.execution for row in found}
    versions = WorkflowVersion.objects.only("id", "checksum").in_bulk(
        {row.version_id for row in executions.values()}
    )
    entries = StepRun.objects.in_bulk(
        {row.step_run.compensates for row in found if row.step_run.compensates is not None}
    )
    return [
        TaskRow(
            attempt=row,
            run=row.step_run,
            execution=row.step_run.execution,
            facts=facts_of(versions[row.step_run.execution.version_id]),
            entry=entries.get(row.step_run.compensates) if row.step_run.compensates else None,
            seq=row.step_run.seq if before is None else before + 1,
        )
        for row in found
    ]


def task_logs(*, actor: "User | None", task_id: str) -> list[AttemptLog]:
    """Return what workers logged about a task that the actor may see, the oldest first."""
    row = find_task(actor=actor, task_id=task_id)
    return list(AttemptLog.objects.filter(attempt_id=row.attempt.pk)[:LOGS_AT_MOST])


# ---- definitions -------------------------------------------------------------------------------


def facts_of(version: WorkflowVersion) -> VersionFacts:
    """Return what showing tasks needs of a version; found once per process."""
    return _facts(version.pk, version.checksum)


@lru_cache(maxsize=256)
def _facts(version_id: int, checksum: str) -> VersionFacts:
    stored = WorkflowVersion.objects.values_list("document", flat=True).get(
        pk=version_id, checksum=checksum
    )
    parsed = documents.parse(stored, inline=True).definition
    shared, timeouts = _undos(parsed) if parsed is not None else (frozenset(), {})
    tasks: dict[str, Mapping[str, Any]] = {}
    _gather_tasks(stored, tasks)
    return VersionFacts(tasks=tasks, shared_undos=shared, undo_timeouts=timeouts)


def _undos(definition: Definition) -> tuple[frozenset[str], dict[str, float]]:
    shared: set[str] = set()
    timeouts: dict[str, float] = {}
    for step in graph.inner_steps(definition.tasks):
        shared |= step.keyed
        if step.compensation is None:
            continue
        undo = step.compensation
        attached = [
            *undo.tasks,
            *undo.alternate,
            *step.confirm,
            *([step.probe] if step.probe else []),
        ]
        for task in attached:
            timeouts[task.reference] = undo.retry.attempt_timeout_seconds
    return frozenset(shared), timeouts


def _gather_tasks(node: Any, found: dict[str, Mapping[str, Any]]) -> None:
    if isinstance(node, list):
        for item in node:
            _gather_tasks(item, found)
    elif isinstance(node, Mapping):
        reference = node.get("taskReferenceName")
        if isinstance(reference, str):
            found.setdefault(reference, node)
        for key, value in node.items():
            # What is mapped or brought along is data, not a task of this definition.
            if key not in {"inputParameters", "subWorkflowParam", "taskDefinition"}:
                _gather_tasks(value, found)


def as_uuid(value: "UUID | str") -> UUID | None:
    """Return an id as such, or None when it cannot be one."""
    if isinstance(value, UUID):
        return value
    try:
        return UUID(str(value))
    except ValueError:
        return None


def known_ids(values: Collection[str]) -> list[UUID]:
    """Return the values that can be ids."""
    return [key for value in values if (key := as_uuid(value)) is not None]


def registered_versions(*, actor: "User | None") -> list[WorkflowVersion]:
    """Return every registered version that the actor may see, by name and number."""
    rows = WorkflowVersion.objects.filter(number__isnull=False, is_deleted=False)
    return list(
        scoping.visible_to(actor, rows)
        .select_related("workflow", "published_by")
        .order_by("workflow__name", "number")
    )


def find_version(*, actor: "User | None", name: str, number: int | None) -> WorkflowVersion:
    """Return a registered version, without a number the highest, or raise `NotFound`."""
    rows = WorkflowVersion.objects.filter(
        workflow__name=name, number__isnull=False, is_deleted=False
    )
    rows = scoping.visible_to(actor, rows).select_related("workflow", "published_by")
    found = (rows.filter(number=number) if number else rows.order_by("-number")).first()
    if found is None:
        which = f", version {number}" if number else ""
        raise NotFound(f"No such workflow found by name: {name[:255]}{which}")
    return found
