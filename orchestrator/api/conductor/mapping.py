"""Our runs and tasks in Conductor's words and JSON: every translation of values is here.

The rules are those of Conductor's own objects and, where a definition has saga parts, ours on top:
`docs/conductor-compatibility.md` says which.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrator.api.conductor import definitions
from orchestrator.engine import keys
from orchestrator.engine.definition.graph import BUILT_IN_CALLS, ENGINE_TYPES
from orchestrator.engine.roots import STATUS_WORDS, millis, task_type
from orchestrator.engine.states import AttemptState, Direction, ExecutionState, StepState

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from orchestrator.models import Execution, StepRun
    from orchestrator.selectors.conductor import RunRow, TaskRow

_ABOUT = {
    Direction.COMPENSATION: "compensationFor",
    Direction.PROBE: "probeFor",
    Direction.CONFIRM: "confirmFor",
}
_OF_ATTEMPT = {
    AttemptState.SCHEDULED: "SCHEDULED",
    AttemptState.DISPATCHED: "IN_PROGRESS",
    AttemptState.WAITING: "IN_PROGRESS",
    AttemptState.SUCCEEDED: "COMPLETED",
    AttemptState.FAILED: "FAILED",
    AttemptState.FAILED_TERMINAL: "FAILED_WITH_TERMINAL_ERROR",
    AttemptState.TIMED_OUT: "TIMED_OUT",
    AttemptState.UNKNOWN: "FAILED",
    AttemptState.CANCELLED: "CANCELED",
}
_FAILURES = {"FAILED_TERMINAL": "FAILED_WITH_TERMINAL_ERROR", "TIMED_OUT": "TIMED_OUT"}
DEFAULT_RESPONSE_SECONDS = 3600


# ---- runs --------------------------------------------------------------------------------------


def run_status(execution: Execution) -> str:
    """Return the status of a run: of the forward part, however far an undo has come."""
    state = ExecutionState(execution.state)
    if not state.is_terminal:
        return "PAUSED" if execution.paused else "RUNNING"
    if state in (ExecutionState.COMPENSATED, ExecutionState.PARTIALLY_COMPENSATED):
        return execution.outcome or "FAILED"
    return state.value


def is_over(execution: Execution) -> bool:
    """Tell whether the run has a terminal status on this wire."""
    return ExecutionState(execution.state).is_terminal


def end_reason(execution: Execution) -> str | None:
    """Return why the forward part of the present epoch ended as it did."""
    failure = execution.failure or {}
    return failure.get("reason") or execution.frontier.get("ended_because") or None


def run_json(row: RunRow) -> dict[str, Any]:
    """Return a run as `GET /workflow/{id}` shows it."""
    execution = row.execution
    tasks = [task_json(task) for task in row.tasks]
    started = millis(execution.created_at)
    return without_nulls(
        {
            "createTime": started,
            "updateTime": millis(execution.updated_at),
            "startTime": started,
            "endTime": millis(execution.ended_at) if is_over(execution) else 0,
            "createdBy": execution.started_by or None,
            "status": run_status(execution),
            "sagaState": execution.state if execution.is_saga else None,
            "epoch": execution.epoch,
            "workflowId": str(execution.pk),
            "parentWorkflowId": _text(execution.parent_id),
            "parentWorkflowTaskId": _text(execution.parent_step_id),
            "workflowName": execution.workflow_name,
            "workflowVersion": execution.version_number,
            "correlationId": execution.correlation_id or None,
            "idempotencyKey": execution.idempotency_key or None,
            "input": execution.input,
            "output": execution.output or {},
            "variables": execution.variables,
            "tasks": tasks,
            "taskToDomain": execution.domains,
            "priority": execution.priority,
            "reasonForIncompletion": end_reason(execution),
            "failedReferenceTaskNames": _distinct(reference(run) for run in row.failed),
            "failedTaskNames": _distinct(run.name for run in row.failed),
            "workflowDefinition": definitions.workflow_json(
                row.document, name=execution.workflow_name, version=execution.version_number
            ),
            "lastRetriedTime": millis(row.retried_at),
            "history": [],
            "rateLimited": False,
        }
    )


def status_json(execution: Execution, *, output: bool, variables: bool) -> dict[str, Any]:
    """Return what `GET /workflow/{id}/status` shows."""
    shown: dict[str, Any] = {
        "workflowId": str(execution.pk),
        "correlationId": execution.correlation_id or None,
        "status": run_status(execution),
    }
    if output:
        shown["output"] = execution.output or {}
    if variables:
        shown["variables"] = execution.variables
    return without_nulls(shown)


# ---- tasks -------------------------------------------------------------------------------------


def reference(run: StepRun) -> str:
    """Return the reference on the wire: with the round for what stands in a loop."""
    return f"{run.reference}__{run.iteration}" if run.iteration else run.reference


def task_status(row: TaskRow) -> str:
    """Return the status of a task; the last attempt of a step speaks for the step."""
    run, attempt = row.run, row.attempt
    state, kept = StepState(run.state), AttemptState(attempt.state)
    if attempt.pk != run.attempt_id:
        is_silence = kept is AttemptState.UNKNOWN and run.error_class == "TIMED_OUT"
        return "TIMED_OUT" if is_silence else _OF_ATTEMPT[kept]
    if state is StepState.WAITING and kept is AttemptState.SCHEDULED:
        return "SCHEDULED"
    if state is StepState.FAILED and kept is AttemptState.CANCELLED:
        # It waited for its turn when the run was stopped and never began.
        return "CANCELED"
    if state is StepState.FAILED:
        return _FAILURES.get(run.error_class, "FAILED")
    if state is StepState.UNKNOWN:
        return "IN_PROGRESS" if is_open_question(row) else _FAILURES.get(run.error_class, "FAILED")
    return STATUS_WORDS[state]


def is_open_question(row: TaskRow) -> bool:
    """Tell whether somebody or something may still say what became of an unknown outcome."""
    if is_over(row.execution):
        return False
    frontier, key = row.execution.frontier, str(row.run.pk)
    return key in frontier.get("doubts", {}) or key in frontier.get("questions", ())


def task_json(row: TaskRow) -> dict[str, Any]:
    """Return a task: one attempt of a step run."""
    run, attempt, execution = row.run, row.attempt, row.execution
    status = task_status(row)
    workflow_task = _workflow_task(row)
    started = _started(row, status)
    scheduled = millis(attempt.scheduled_at)
    about = row.entry.attempt_id if row.entry is not None else run.compensates
    task = {
        "taskType": task_type(run.type, run.name),
        "status": status,
        "inputData": task_input(row),
        "referenceTaskName": reference(run),
        "retryCount": attempt.number - 1,
        "seq": row.seq,
        "correlationId": execution.correlation_id or None,
        "pollCount": attempt.poll_count,
        "taskDefName": task_definition_name(run, workflow_task),
        "scheduledTime": scheduled,
        "startTime": started,
        "endTime": _ended(row, status),
        "updateTime": millis(run.updated_at if _is_last(row) else attempt.ended_at) or scheduled,
        "startDelayInSeconds": _whole(workflow_task.get("startDelay")),
        "retriedTaskId": _retried_id(row),
        "retried": not _is_last(row),
        "executed": status not in {"SCHEDULED", "IN_PROGRESS"},
        "callbackFromWorker": True,
        "responseTimeoutSeconds": response_timeout(row),
        "workflowInstanceId": str(execution.pk),
        "workflowType": execution.workflow_name,
        "taskId": str(attempt.pk),
        "reasonForIncompletion": _reason(row, status),
        "callbackAfterSeconds": attempt.callback_after if status == "SCHEDULED" else 0,
        "workerId": attempt.worker or None,
        "outputData": _output(row, status),
        "workflowTask": workflow_task,
        "taskDefinition": _task_definition(row, workflow_task),
        "domain": run.domain or None,
        "rateLimitPerFrequency": 0,
        "rateLimitFrequencyInSeconds": 0,
        "workflowPriority": execution.priority,
        "iteration": run.iteration,
        "loopOverTask": run.iteration > 0,
        "subWorkflowId": _text(run.child_id) if _is_last(row) else None,
        "subworkflowChanged": False,
        "queueWaitTime": max(started - scheduled, 0) if started else 0,
        "firstStartTime": millis(run.started_at),
        _ABOUT.get(Direction(run.direction), "compensationFor"): _text(about),
    }
    return without_nulls(task)


def task_input(row: TaskRow) -> dict[str, Any]:
    """Return the input of a task, with its keys where a definition has saga parts."""
    run = row.run
    is_for_worker = run.type not in ENGINE_TYPES and run.type not in BUILT_IN_CALLS
    if not row.execution.is_saga or not is_for_worker:
        return dict(run.input)
    saga = {
        "idempotencyKey": idempotency_key(row),
        "direction": run.direction,
        "executionId": str(run.execution_id),
        "stepId": str(run.pk),
    }
    if row.entry is not None:
        saga["forwardKey"] = _forward_key(row.entry)
    return {**run.input, "_saga": saga}


def task_definition_name(run: StepRun, workflow_task: Mapping[str, Any]) -> str:
    """Return the name of the task's definition, also of what is queued under its type."""
    named = run.type in {"SIMPLE", "DYNAMIC"}
    return run.name if named else str(workflow_task.get("name") or run.name)


def idempotency_key(row: TaskRow) -> str:
    """Return the key that stays the same for every attempt of this work."""
    run, entry_id = row.run, str(row.run.compensates)
    match Direction(run.direction):
        case Direction.FORWARD:
            return _forward_key(run)
        case Direction.PROBE:
            return keys.probe_key(entry_id, run.round)
        case Direction.CONFIRM:
            return keys.confirm_key(entry_id, _shown(row))
        case Direction.COMPENSATION:
            return keys.undo_key(entry_id, run.round, _shown(row))


def _shown(row: TaskRow) -> str:
    """Return the reference of an attached step where its key carries it, else nothing."""
    return row.run.reference if row.run.reference in row.facts.shared_undos else ""


def response_timeout(row: TaskRow) -> int:
    """Return after how many silent seconds the task is taken away from its worker."""
    run = row.run
    if run.direction != Direction.FORWARD:
        return int(row.facts.undo_timeouts.get(run.reference, 60))
    if run.type in ENGINE_TYPES or run.type in BUILT_IN_CALLS:
        return 0
    inline = row.facts.tasks.get(run.reference, {}).get("taskDefinition") or {}
    policy = inline or row.execution.task_policies.get(run.name) or {}
    return _whole(policy.get("responseTimeoutSeconds")) or DEFAULT_RESPONSE_SECONDS


def without_nulls(shown: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what has no value; nulls inside of maps are data and stay."""
    return {name: value for name, value in shown.items() if value is not None}


def _forward_key(run: StepRun) -> str:
    return keys.forward_key(str(run.execution_id), run.position, run.epoch)


def _is_last(row: TaskRow) -> bool:
    return row.attempt.pk == row.run.attempt_id


def _retried_id(row: TaskRow) -> str | None:
    if row.attempt.number < 2:
        return None
    run = row.run
    return keys.attempt_id(str(run.execution_id), str(run.pk), row.attempt.number - 1)


def _started(row: TaskRow, status: str) -> int:
    if status == "SCHEDULED" and row.attempt.poll_count == 0:
        return 0
    return millis(row.attempt.started_at or (row.run.started_at if _is_last(row) else None))


def _ended(row: TaskRow, status: str) -> int:
    if status in {"SCHEDULED", "IN_PROGRESS"}:
        return 0
    ended: datetime | None = row.attempt.ended_at
    return millis(ended or (row.run.ended_at if _is_last(row) else None))


def _reason(row: TaskRow, status: str) -> str | None:
    reason = row.run.reason if _is_last(row) else row.attempt.reason
    if row.run.state == StepState.UNKNOWN and _is_last(row) and status != "IN_PROGRESS":
        return f"outcome unknown: {reason}"
    return reason or None


def _output(row: TaskRow, status: str) -> dict[str, Any]:
    """Return what this attempt gave; a new attempt does not show what the one before it gave."""
    if not _is_last(row):
        return row.attempt.output or {}
    is_untouched = row.attempt.number > 1 and row.attempt.poll_count < 2
    if is_untouched and status in {"SCHEDULED", "IN_PROGRESS"} and row.run.state != "WAITING":
        return {}
    return row.run.output or {}


def _workflow_task(row: TaskRow) -> dict[str, Any]:
    run = row.run
    known = row.facts.tasks.get(run.reference)
    if known is None or run.defined_by is not None:
        known = {"name": run.name, "taskReferenceName": run.reference, "type": run.type}
    return definitions.task_json(known)


def _task_definition(row: TaskRow, workflow_task: Mapping[str, Any]) -> dict[str, Any] | None:
    inline = workflow_task.get("taskDefinition")
    found = inline or row.execution.task_policies.get(row.run.name)
    return definitions.task_definition_json({"name": row.run.name, **found}) if found else None


def _whole(value: Any) -> int:
    return int(value) if isinstance(value, int | float) else 0


def _text(value: Any) -> str | None:
    return str(value) if value is not None else None


def _distinct(values: Any) -> list[str]:
    return list(dict.fromkeys(values))
