"""COMPENSATE: undoes a step and what came after it, goes back to a savepoint, or undoes its scope.

Trigger T3 of saga-semantics §5; the inputs are `step`, `savepoint` or neither (product.md §3).
"""

from typing import Any

from orchestrator.engine.definition.graph import Node
from orchestrator.engine.snapshot import StepRun
from orchestrator.engine.states import ErrorClass, ForwardResult, StepState
from orchestrator.engine.steps import base
from orchestrator.engine.work import Stop, Work


def begin(work: Work, node: Node, run: StepRun, inputs: dict[str, Any]) -> None:
    """Ask for the undo; the step waits only where the run goes on after it."""
    target = next((name for name in ("step", "savepoint") if inputs.get(name)), "")
    reason = str(inputs.get("reason") or f"{node.reference} asked for compensation")
    if work.stop is not None:
        # Something in this very decision stops the run already, this step with it.
        base.begin_in_engine(work, run, inputs, StepState.WAITING)
        return
    if target == "step":
        run = base.begin_in_engine(work, run, inputs, StepState.WAITING)
    else:
        run = base.begin_in_engine(work, run, inputs, StepState.SCHEDULED)
        base.complete(work, run, {"reason": reason})
        # What comes after it is decided by the undo, not by the step's end.
        work.settled.pop()
    work.stop = Stop(
        trigger="COMPENSATE",
        outcome=ForwardResult.FAILED,
        failure={
            "stepId": run.id,
            "taskId": run.attempt_id,
            "taskReferenceName": run.reference,
            "errorClass": ErrorClass.FAILED.value,
            "message": reason,
            "reason": reason,
        },
        reason=reason,
        target=target,
    )
