"""New executions: a start from outside, or a child of a SUB_WORKFLOW step."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from orchestrator.engine.commands import StartChild
from orchestrator.engine.states import ExecutionState
from orchestrator.models import Execution, Workflow, WorkflowVersion
from orchestrator.store import definitions, statements
from orchestrator.store.load import Loaded
from orchestrator.store.statements import table_of


def create(loaded: Loaded, command: StartChild, *, now: datetime) -> None:
    """Insert a child execution; it takes its first decision in a transition of its own."""
    version = (
        WorkflowVersion.objects.select_related("workflow")
        .only("id", "number", "lock", "workflow__id", "workflow__name")
        .get(pk=command.version_id)
    )
    parent = loaded.view
    row = new_row(
        execution_id=command.id,
        version=version,
        workflow=version.workflow,
        input=command.input,
        now=now,
        correlation_id=parent.correlation_id,
        priority=command.priority,
        domains=command.domains,
        started_by=parent.started_by,
        started_by_id=None,
    )
    row |= {
        "root_id": parent.root_id,
        "parent_id": parent.id,
        "parent_step_id": command.step_run_id,
        "version_number": command.number or version.number or 0,
    }
    statements.insert(table_of(Execution), [row], ignore_conflicts=True)


def policies_for(version: WorkflowVersion) -> dict[str, Any]:
    """Return the TaskDefs registered now that a run of this version keeps, by task name."""
    return definitions.registered_policies(definitions.graph_of_version(version.pk).task_names)


def new_row(  # noqa: PLR0913 - a row has that many columns
    *,
    execution_id: str,
    version: WorkflowVersion,
    workflow: Workflow,
    input: Mapping[str, Any],  # noqa: A002 - the column's name
    now: datetime,
    correlation_id: str,
    priority: int,
    domains: Mapping[str, str],
    started_by: str,
    started_by_id: int | None,
    policies: Mapping[str, Any] | None = None,
    idempotency_key: str = "",
) -> dict[str, Any]:
    """Return the row of an execution that has just been accepted.

    `policies` are those of `policies_for`, where the caller has them already.
    """
    graph = definitions.graph_of_version(version.pk)
    template = graph.definition.input_template
    # Conductor fills the template only into a start that has some input (definitions.md §1).
    given = {**template, **input} if template and input else dict(input)
    return {
        "id": execution_id,
        "root_id": execution_id,
        "parent_id": None,
        "parent_step_id": None,
        "workflow_id": workflow.pk,
        "workflow_name": graph.definition.name,
        "version_id": version.pk,
        "version_number": version.number or graph.definition.version,
        "is_saga": graph.is_saga,
        "state": ExecutionState.CREATED,
        "outcome": None,
        "failure": None,
        "paused": False,
        "epoch": 1,
        "fence": 0,
        "revision": 0,
        "head": 0,
        "correlation_id": correlation_id,
        "idempotency_key": idempotency_key,
        "priority": priority,
        "input": given,
        "output": None,
        "variables": {},
        "frontier": {},
        "lock": version.lock if graph.is_saga else {},
        "task_policies": policies_for(version) if policies is None else dict(policies),
        "domains": dict(domains),
        "started_by": started_by,
        "started_by_id": started_by_id,
        "created_at": now,
        "started_at": None,
        "ended_at": None,
        "updated_at": now,
        "wake_at": now,
    }
