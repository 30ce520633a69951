"""Steps that leave the engine: worker steps, HTTP and every type that it does not do itself."""

from typing import Any

from orchestrator.engine.definition.graph import Node
from orchestrator.engine.snapshot import StepRun
from orchestrator.engine.states import ErrorClass, StepState
from orchestrator.engine.steps import base
from orchestrator.engine.work import Work


def begin(work: Work, node: Node, run: StepRun, inputs: dict[str, Any]) -> None:
    """Make the step claimable."""
    base.schedule(work, node, run, inputs)


def begin_dynamic(work: Work, node: Node, run: StepRun, inputs: dict[str, Any]) -> None:
    """Make the worker task claimable whose name is in the data (definitions.md §5.20)."""
    name = inputs.get(node.step.dynamic_name_param)
    if isinstance(name, str) and name:
        base.schedule(work, node, run, inputs, name=name)
        return
    run = base.begin_in_engine(work, run, inputs, StepState.SCHEDULED)
    reason = f"DYNAMIC: the input {node.step.dynamic_name_param!r} does not name a task"
    base.fail(work, node, run, reason, error_class=ErrorClass.FAILED_TERMINAL)
