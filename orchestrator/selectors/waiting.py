"""Why an execution does not move, in one sentence."""

from collections.abc import Mapping, Sequence

from orchestrator.engine.states import ExecutionState, StepState
from orchestrator.models import Execution

_STEP_SENTENCES: Mapping[str, str] = {
    StepState.SCHEDULED: "“{name}” waits for a worker.",
    StepState.DISPATCHED: "“{name}” is being worked on.",
    StepState.RETRY_WAIT: "“{name}” waits for its next try.",
    StepState.UNKNOWN: "Nobody can say yet whether “{name}” took effect.",
}
_WAITING_SENTENCES: Mapping[str, str] = {
    "HUMAN": "“{name}” waits for a person.",
    "WAIT": "“{name}” waits for its time or a signal.",
    "SUB_WORKFLOW": "“{name}” waits for its sub-workflow.",
}
_URGENCY = (
    StepState.UNKNOWN,
    StepState.WAITING,
    StepState.DISPATCHED,
    StepState.RETRY_WAIT,
    StepState.SCHEDULED,
)


def sentence(*, execution: Execution, steps: Sequence[Mapping[str, object]]) -> str:
    """Return what the engine said it waits for, else what its steps in motion tell.

    Empty when the execution has ended.
    """
    state = ExecutionState(execution.state)
    if state.is_terminal:
        return ""
    if execution.paused:
        return "The run is paused until somebody resumes it."
    if execution.waiting_on:
        return execution.waiting_on
    moving = [step for step in steps if step["state"] in _URGENCY]
    if state is ExecutionState.RUNNING and moving:
        return _about(min(moving, key=lambda step: _URGENCY.index(StepState(str(step["state"])))))
    return _STATE_SENTENCES[state]


def _about(step: Mapping[str, object]) -> str:
    state = StepState(str(step["state"]))
    if state is StepState.WAITING:
        text = _WAITING_SENTENCES.get(str(step["type"]), "“{name}” waits to be finished.")
    else:
        text = _STEP_SENTENCES[state]
    return text.format(name=step["taskReferenceName"])


_STATE_SENTENCES: Mapping[ExecutionState, str] = {
    ExecutionState.CREATED: "The run is about to start.",
    ExecutionState.RUNNING: "The run goes on.",
    ExecutionState.STOPPING: "The run stops; steps in flight are settling.",
    ExecutionState.PLANNING: "The undo plan waits for confirmation.",
    ExecutionState.COMPENSATING: "Steps are being undone.",
    ExecutionState.NEEDS_ATTENTION: "The run needs a person: look at its ledger.",
}
