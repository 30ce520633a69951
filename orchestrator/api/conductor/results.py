"""What a call that waits for a run answers: the run, or what it waits for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.access.errors import NotFound
from orchestrator.api.conductor import base, mapping
from orchestrator.selectors import conductor, conductor_waits
from orchestrator.services.errors import Malformed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from django.contrib.auth.models import User

    from orchestrator.selectors.conductor import TaskRow

STRATEGIES = ("TARGET_WORKFLOW", "BLOCKING_WORKFLOW", "BLOCKING_TASK", "BLOCKING_TASK_INPUT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a caller waits for, and how it wants to be told."""

    strategy: str = "TARGET_WORKFLOW"
    references: tuple[str, ...] = ()
    """Steps of which one must have its result; none: until the run is over or waits for a word."""
    request_id: str = ""
    seconds: float = 10


def wish_of(query: Mapping[str, str]) -> Wish:
    """Read the query or headers of a call that waits."""
    strategy = base.text(query, "returnStrategy", STRATEGIES[0])
    if strategy not in STRATEGIES:
        known = ", ".join(STRATEGIES)
        raise Malformed(f"There is no returnStrategy {strategy[:40]!r}; there are {known}.")
    references = base.text(query, "waitUntilTaskRef").split(",")
    return Wish(
        strategy=strategy,
        references=tuple(name.strip() for name in references if name.strip()),
        request_id=base.text(query, "requestId"),
        seconds=base.number(query, "waitForSeconds", 10) or 10,
    )


def is_reached(execution_id: UUID, wish: Wish) -> bool:
    """Tell whether there is nothing more to wait for."""
    if mapping.is_over(conductor_waits.find_state(execution_id=execution_id)):
        return True
    if wish.references:
        return conductor_waits.has_settled(execution_id=execution_id, references=wish.references)
    return conductor_waits.find_blocking_task(execution_id=execution_id) is not None


def result(
    *, actor: User, execution_id: UUID, wish: Wish, timed_out: bool
) -> dict[str, Any] | None:
    """Return the body of the answer; None when a blocking task was asked for and there is none."""
    target = conductor.find_run(actor=actor, execution_id=execution_id)
    head = {
        "responseType": wish.strategy,
        "targetWorkflowId": str(execution_id),
        "targetWorkflowStatus": mapping.run_status(target.execution),
        "requestId": wish.request_id or None,
        "signalTimeout": True if timed_out else None,
    }
    if wish.strategy == "TARGET_WORKFLOW":
        return mapping.without_nulls({**mapping.run_json(target), **head})
    blocking = _blocking_task(actor, execution_id)
    if wish.strategy == "BLOCKING_WORKFLOW":
        row = (
            conductor.run_row(execution=blocking.execution, with_tasks=True)
            if blocking is not None
            else target
        )
        return mapping.without_nulls({**mapping.run_json(row), **head})
    if blocking is None:
        return None
    return mapping.without_nulls({**_task(blocking), **head})


def _blocking_task(actor: User, execution_id: UUID) -> TaskRow | None:
    """Return what blocks, unless it stands in a child that the caller may not see."""
    found = conductor_waits.find_blocking_task(execution_id=execution_id)
    if found is None:
        return None
    try:
        return conductor.find_task(actor=actor, task_id=str(found.attempt.pk))
    except NotFound:
        return None


def _task(row: TaskRow) -> dict[str, Any]:
    shown = mapping.task_json(row)
    execution = row.execution
    names = (
        "taskType", "taskId", "referenceTaskName", "retryCount", "taskDefName", "retriedTaskId",
        "workflowType", "reasonForIncompletion", "status", "correlationId", "updateTime",
    )  # fmt: skip
    return {
        **{name: shown[name] for name in names if name in shown},
        "workflowId": str(execution.pk),
        "input": shown["inputData"],
        "output": shown["outputData"],
        "priority": execution.priority,
        "variables": execution.variables,
        "tasks": [shown],
        "createdBy": execution.started_by,
        "createTime": shown["scheduledTime"],
    }
