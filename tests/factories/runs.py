"""Rows of workflows and runs in every state, for tests of what people see."""

import itertools
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from django.utils import timezone

from orchestrator.models import (
    Attempt,
    CompensationPlan,
    Execution,
    ExecutionEvent,
    StepRun,
    Workflow,
    WorkflowVersion,
)

_MADE = itertools.cycle(range(1 << 16))
DEFINITIONS = Path(__file__).parents[2] / "orchestrator" / "demo" / "definitions"


def run_id(moment: datetime | None = None) -> UUID:
    """Return an id whose order is that of time, as the ids of runs are."""
    milliseconds = int((moment or timezone.now()).timestamp() * 1000)
    # Runs made within one millisecond keep their order.
    return UUID(int=(milliseconds << 80) | (next(_MADE) << 64) | (uuid4().int & ((1 << 64) - 1)))


def a_workflow(
    name: str = "order_fulfilment", *, samples: list[Any] | None = None
) -> WorkflowVersion:
    """Publish a demo definition as version 1 of a workflow."""
    document = json.loads((DEFINITIONS / f"{name}.json").read_text())
    workflow = Workflow.objects.create(
        name=name, description=document.get("description", ""), samples=samples or []
    )
    return WorkflowVersion.objects.create(
        workflow=workflow,
        number=1,
        document=document,
        checksum="a1" * 32,
        kind="SAGA",
        note="First version",
        has_undo=True,
    )


def a_run(version: WorkflowVersion, **fields: Any) -> Execution:
    """Make a run of a version; by default one that runs."""
    now = timezone.now()
    moment = fields.pop("at", now)
    defaults: dict[str, Any] = {
        "id": run_id(moment),
        "workflow": version.workflow,
        "workflow_name": version.workflow.name,
        "version": version,
        "version_number": version.number or 0,
        "is_saga": True,
        "state": "RUNNING",
        "correlation_id": "order-1001",
        "input": {"orderId": "order-1001", "amount": 420},
        "started_by": "operator",
        "created_at": moment,
        "started_at": moment,
        "updated_at": moment,
    }
    values = defaults | fields
    values.setdefault("root_id", values["id"])
    return Execution.objects.create(**values)


def a_step(run: Execution, name: str, *, seq: int, **fields: Any) -> StepRun:
    """Make a step run with one attempt of the same result."""
    start = run.created_at + timedelta(milliseconds=700 * seq)
    attempt_id = uuid4()
    defaults: dict[str, Any] = {
        "id": uuid4(),
        "execution": run,
        "reference": name,
        "position": name,
        "direction": "FORWARD",
        "type": "HTTP",
        "name": name,
        "seq": seq,
        "state": "COMPLETED",
        "attempt_id": attempt_id,
        "input": {"http_request": {"method": "POST", "body": {"orderId": run.correlation_id}}},
        "output": {"response": {"statusCode": 200, "body": {"id": f"{name}-1"}}},
        "scheduled_at": start,
        "first_scheduled_at": start,
        "started_at": start + timedelta(milliseconds=120),
        "updated_at": start,
        "ended_at": start + timedelta(milliseconds=600),
    }
    step = StepRun.objects.create(**(defaults | fields))
    results = {"COMPLETED": "SUCCEEDED", "WAITING": "WAITING", "DISPATCHED": "DISPATCHED"}
    Attempt.objects.create(
        id=attempt_id,
        step_run=step,
        execution_id=run.id,
        number=step.attempt,
        state=results.get(step.state, "FAILED"),
        reason=step.reason,
        worker="serve",
        scheduled_at=step.scheduled_at,
        started_at=step.started_at,
        ended_at=step.ended_at,
    )
    return step


def an_event(run: Execution, seq: int, event: str, **fields: Any) -> ExecutionEvent:
    """Make one event of the journal."""
    at = run.created_at + timedelta(milliseconds=300 * seq)
    return ExecutionEvent.objects.create(execution_id=run.id, seq=seq, at=at, type=event, **fields)


def a_plan(run: Execution, entries: list[StepRun], **fields: Any) -> CompensationPlan:
    """Make an undo plan over step runs, the first one undone first."""
    values: dict[str, Any] = {
        "id": uuid4(),
        "execution": run,
        "number": 1,
        "hash": "9c1e04ab" * 8,
        "trigger": "STEP_FAILED",
        "entries": [_entry(step) for step in entries],
        "edges": [],
        "created_at": run.created_at + timedelta(seconds=4),
    }
    return CompensationPlan.objects.create(**(values | fields))


def an_undone_order(version: WorkflowVersion, **fields: Any) -> Execution:
    """Make a run that failed at its third step; one undo is done, the other asks for approval."""
    run = a_run(
        version,
        **{
            "state": "COMPENSATING",
            "outcome": "FAILED",
            "failure": {"taskReferenceName": "ship", "message": "The courier refused the order."},
        }
        | fields,
    )
    reserve = a_step(
        run, "reserve_inventory", seq=1, reference="reserve", entry_state="PLANNED",
        policy="AUTOMATIC", undo_waits=1,
    )  # fmt: skip
    charge = a_step(
        run, "charge_payment", seq=2, reference="charge", entry_state="AWAITING_APPROVAL",
        policy="APPROVAL_IF", amount={"value": 1500, "currency": "EUR"}, approval_id=uuid4(),
    )  # fmt: skip
    a_step(
        run, "create_shipment", seq=3, reference="ship", state="FAILED", output=None,
        reason="The courier refused the order.", attempt=3, entry_state="VOID", policy="AUTOMATIC",
    )  # fmt: skip
    a_plan(run, [charge, reserve])
    an_event(run, 1, "execution.started")
    an_event(run, 2, "step.completed", reference="reserve", step_run_id=reserve.id)
    an_event(run, 3, "execution.failed", data={"reason": "The courier refused the order."})
    return run


def _entry(step: StepRun) -> Mapping[str, Any]:
    return {
        "id": str(step.id),
        "taskReferenceName": step.reference,
        "iteration": step.iteration,
        "policy": step.policy,
        "amount": step.amount,
    }
