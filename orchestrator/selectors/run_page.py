"""What the page of one run needs beside the run itself: its outline, rights, and attempts."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from uuid import UUID

from orchestrator.access import policy
from orchestrator.access.permissions import Permission
from orchestrator.access.policy import Answer
from orchestrator.engine.definition import document as documents
from orchestrator.models import Attempt, AttemptLog, StepRun, WorkflowVersion
from orchestrator.selectors import executions
from orchestrator.selectors.outline import Line, outline
from orchestrator.selectors.times import iso

if TYPE_CHECKING:
    from django.contrib.auth.models import User

STEERING = (
    Permission.START_EXECUTION,
    Permission.CONTROL_EXECUTION,
    Permission.CANCEL_EXECUTION,
    Permission.COMPENSATE_EXECUTION,
    Permission.SETTLE_COMPENSATION,
    Permission.BREAK_GLASS,
)
ATTEMPTS_SHOWN = 50
LOG_LINES_SHOWN = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPage:
    """One run as its page shows it."""

    detail: Mapping[str, Any]
    lines: tuple[Line, ...]
    can: Mapping[str, Answer]


def run_page(*, actor: "User | None", execution_id: UUID | str) -> RunPage:
    """Return a run with the outline of its definition and what the actor may do to it.

    Raises:
        NotFound: There is no such run to be seen.
    """
    execution = executions.find_execution(actor=actor, execution_id=execution_id)
    held = policy.permissions_of(actor, execution.workflow)
    can = {
        permission.value: Answer(allowed=True, reason="")
        if permission in held
        else policy.can(actor, permission, execution.workflow)
        for permission in STEERING
    }
    return RunPage(
        detail=executions.execution_detail(actor=actor, execution_id=execution.pk),
        lines=lines_of_version(execution.version_id),
        can=can,
    )


@lru_cache(maxsize=256)
def lines_of_version(version_id: int) -> tuple[Line, ...]:
    """Return the outline of a version's definition. Versions never change, so it is kept."""
    stored = WorkflowVersion.objects.values_list("document", flat=True).get(pk=version_id)
    definition = documents.parse(stored, inline=True).definition
    return outline(definition) if definition is not None else ()


def attempts_of(
    *, actor: "User | None", execution_id: UUID | str, step_id: UUID | str
) -> list[dict[str, Any]]:
    """Return the attempts of a step run, the last ones first.

    Raises:
        NotFound: There is no such run to be seen.
    """
    execution = executions.find_execution(actor=actor, execution_id=execution_id)
    step = StepRun.objects.filter(execution=execution, pk=step_id).first()
    if step is None:
        return []
    rows = Attempt.objects.filter(step_run=step).order_by("-number", "-id")[:ATTEMPTS_SHOWN]
    return [
        {
            "id": str(row.pk),
            "number": row.number,
            "state": row.state,
            "reason": row.reason,
            "worker": row.worker,
            "scheduledAt": iso(row.scheduled_at),
            "startedAt": iso(row.started_at),
            "endedAt": iso(row.ended_at),
        }
        for row in rows
    ]


def logs_of(
    *, actor: "User | None", execution_id: UUID | str, step_id: UUID | str
) -> list[dict[str, Any]]:
    """Return the last lines that workers logged about a step run, oldest first."""
    execution = executions.find_execution(actor=actor, execution_id=execution_id)
    attempts = Attempt.objects.filter(step_run__execution=execution, step_run__pk=step_id)
    rows = AttemptLog.objects.filter(attempt_id__in=attempts.values("pk"))
    found = list(rows.order_by("-id")[:LOG_LINES_SHOWN])
    return [{"at": iso(row.at), "line": row.line} for row in reversed(found)]
