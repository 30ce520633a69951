"""TERMINATE: ends the run with a status, a reason and an output (definitions.md §5.11)."""

from typing import Any

from orchestrator.engine.definition.graph import Node
from orchestrator.engine.snapshot import StepRun
from orchestrator.engine.states import ErrorClass, ForwardResult, StepState
from orchestrator.engine.steps import base
from orchestrator.engine.work import Stop, Work

_STATUSES = {"COMPLETED", "FAILED", "TERMINATED"}


def begin(work: Work, node: Node, run: StepRun, inputs: dict[str, Any]) -> None:
    """Ask for the stop of the run."""
    run = base.begin_in_engine(work, run, inputs, StepState.SCHEDULED)
    status = inputs.get("terminationStatus")
    if status not in _STATUSES:
        reason = f"terminationStatus {status!r} is not one of COMPLETED, FAILED, TERMINATED"
        base.fail(work, node, run, reason, error_class=ErrorClass.FAILED_TERMINAL)
        return
    output = inputs.get("workflowOutput")
    shown = output if isinstance(output, dict) or output is None else {"output": output}
    base.complete(work, run, shown or {})
    reason = str(
        inputs.get("terminationReason") or f"Workflow is {status} by TERMINATE task: {run.id}"
    )
    outcome = ForwardResult(status)
    failure = {
        "stepId": run.id,
        "taskId": run.attempt_id,
        "taskReferenceName": run.reference,
        "errorClass": ErrorClass.FAILED_TERMINAL.value,
        "message": reason,
        "reason": reason,
    }
    if work.stop is None:
        work.stop = Stop(
            trigger="TERMINATE", outcome=outcome, failure=failure, reason=reason, output=shown
        )
