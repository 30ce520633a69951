"""SET_VARIABLE and NOOP: steps that need nothing but their input."""

import json
from typing import Any

from orchestrator.engine.definition.graph import Node
from orchestrator.engine.events import Event
from orchestrator.engine.snapshot import StepRun
from orchestrator.engine.states import ErrorClass, StepState
from orchestrator.engine.steps import base
from orchestrator.engine.work import Work

MAX_VARIABLES = 256 * 1024
"""Bytes of all run variables together (definitions.md §8.6)."""


def begin_set_variable(work: Work, node: Node, run: StepRun, inputs: dict[str, Any]) -> None:
    """Make every input a run variable; too much of it fails the step for good."""
    run = base.begin_in_engine(work, run, inputs, StepState.SCHEDULED)
    variables = {**work.execution.variables, **inputs}
    size = len(json.dumps(variables, ensure_ascii=False).encode())
    if size > MAX_VARIABLES:
        reason = f"The variables take {size} bytes; the limit is {MAX_VARIABLES} bytes"
        base.fail(work, node, run, reason, error_class=ErrorClass.FAILED_TERMINAL)
        return
    work.set(variables=variables)
    work.record(
        Event(
            type="variables.changed",
            reference=run.reference,
            step_run_id=run.id,
            data={"values": inputs},
        )
    )
    base.complete(work, run)


def begin_noop(work: Work, _node: Node, run: StepRun, inputs: dict[str, Any]) -> None:
    """Complete at once."""
    run = base.begin_in_engine(work, run, inputs, StepState.SCHEDULED)
    base.complete(work, run)
