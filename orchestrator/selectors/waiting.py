"""Why an execution does not move, in one sentence."""

from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.engine.states import EntryState, ExecutionState, StepState
from orchestrator.models import Execution

# The most telling first: what waits for people, then what waits for services, then for time.
_ENTRY_SENTENCES: Mapping[str, str] = {
    EntryState.LATE_EFFECT: "“{name}” took effect after its undo; settle it by hand.",
    EntryState.COMPENSATION_FAILED: "The undo of “{name}” failed for good; settle it by hand.",
    EntryState.MANUAL: "“{name}” must be undone by hand.",
    EntryState.AWAITING_APPROVAL: "The undo of “{name}” waits for an approval.",
    EntryState.RETRY_WAIT: "The undo of “{name}” waits for its next try.",
    EntryState.DELAYED: "The undo of “{name}” waits for its time.",
    EntryState.RUNNING: "“{name}” is being undone.",
}
_STEP_SENTENCES: Mapping[str, str] = {
    StepState.UNKNOWN: "Nobody can say yet whether “{name}” took effect.",
    StepState.WAITING: "“{name}” waits to be finished.",
    StepState.DISPATCHED: "“{name}” is being worked on.",
    StepState.RETRY_WAIT: "“{name}” waits for its next try.",
    StepState.SCHEDULED: "“{name}” waits for a worker.",
}
_WAITING_SENTENCES: Mapping[str, str] = {
    "HUMAN": "“{name}” waits for a person.",
    "WAIT": "“{name}” waits for its time or a signal.",
    "SUB_WORKFLOW": "“{name}” waits for its sub-workflow.",
}
_STATE_SENTENCES: Mapping[ExecutionState, str] = {
    ExecutionState.CREATED: "The run is about to start.",
    ExecutionState.RUNNING: "The run goes on.",
    ExecutionState.STOPPING: "The run stops; steps in flight are settling.",
    ExecutionState.PLANNING: "The undo plan waits for somebody to confirm it.",
    ExecutionState.COMPENSATING: "Steps are being undone.",
    ExecutionState.NEEDS_ATTENTION: "The run needs a person: look at its steps and its ledger.",
}
_UNDOING = frozenset({ExecutionState.COMPENSATING, ExecutionState.NEEDS_ATTENTION})
_STEPPING = frozenset({ExecutionState.RUNNING, ExecutionState.NEEDS_ATTENTION})


def sentence(
    *,
    execution: Execution,
    steps: Sequence[Mapping[str, object]],
    entries: Sequence[Mapping[str, object]],
) -> str:
    """Return what the steps and undos in motion tell about what the run waits for.

    Empty when the execution has ended.
    """
    state = ExecutionState(execution.state)
    if state.is_terminal:
        return ""
    if execution.paused:
        return "The run is paused until somebody resumes it."
    told = _most_telling(entries, _ENTRY_SENTENCES) if state in _UNDOING else ""
    if not told and state in _STEPPING:
        told = _most_telling(steps, _STEP_SENTENCES)
    return told or _of_direction(execution.frontier) or _STATE_SENTENCES[state]


def _of_direction(frontier: Mapping[str, Any]) -> str:
    """Return what a savepoint retry or a completed pivot makes the run wait for (§11)."""
    part, stop = frontier.get("part") or {}, frontier.get("stop") or {}
    if part.get("waited"):
        return f"The run goes back to its savepoint at {part['waited']}."
    if stop.get("dead_end"):
        return (
            "A pivot has completed, so what came before it is not undone by itself. Retry the run, "
            "undo it with a second person, or cancel it without undo."
        )
    return ""


def _most_telling(rows: Sequence[Mapping[str, object]], sentences: Mapping[str, str]) -> str:
    """Return the sentence about the row whose state comes first in the table; empty for none."""
    for state, text in sentences.items():
        row = next((row for row in rows if row["state"] == state), None)
        if row is not None:
            kind = _WAITING_SENTENCES.get(str(row.get("type"))) if state == "WAITING" else None
            return (kind or text).format(name=row["taskReferenceName"])
    return ""
