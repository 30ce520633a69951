"""How a run ends: its output, and that its parent hears of it."""

from typing import Any

from orchestrator.engine import roots
from orchestrator.engine.commands import SendNotice
from orchestrator.engine.expressions import mapping
from orchestrator.engine.expressions.limits import ExpressionTooLarge
from orchestrator.engine.states import EntryState, ExecutionState, ForwardResult
from orchestrator.engine.work import Stop, Work

LIVE = tuple(
    state for state in EntryState if state not in (EntryState.VOID, EntryState.COMPENSATED)
)
"""Entries that still stand for an effect (conductor/api.md §14)."""


def output_of(work: Work) -> dict[str, Any] | None:
    """Evaluate the run's output; None while something must be loaded (definitions.md §6)."""
    template = work.graph.definition.output_parameters
    if template:
        values = roots.forward_roots(work, mapping.roots(dict(template)))
        if values is None:
            return None
        try:
            resolved = mapping.resolve(dict(template), values)
        except ExpressionTooLarge as error:
            return {"error": str(error)}
        return resolved if isinstance(resolved, dict) else {}
    last = work.frontier.get("last")
    if last is None:
        return {}
    run = work.run(last)
    return (run.output or {}) if run else None


def complete(work: Work) -> None:
    """End a run whose forward work is done; permissive failures count now (§7.3)."""
    failures = work.frontier.get("permissive", [])
    if failures:
        reasons = ". ".join(
            f"Task {attempt} failed with status: FAILED and reason: '{reason}'"
            for attempt, reason, *_ in failures
        )
        run = work.run(failures[-1][2])
        if run is None:
            return
        failure = {
            "stepId": run.id,
            "taskId": run.attempt_id,
            "taskReferenceName": run.reference,
            "errorClass": run.error_class or "FAILED",
            "message": run.reason,
            "reason": reasons,
        }
        was_cancelled = all(state == "CANCELLED" for *_, state in failures)
        outcome = ForwardResult.TERMINATED if was_cancelled else ForwardResult.FAILED
        work.stop = Stop(trigger="FAILURE", outcome=outcome, failure=failure, reason=run.reason)
        return
    output = output_of(work)
    if output is None:
        return
    work.set(output=output, outcome=ForwardResult.COMPLETED)
    if work.graph.definition.timeout_seconds:
        work.forget("RUN")
    work.move(ExecutionState.COMPLETED)
    tell_parent(work)


def end_of_undo(work: Work) -> ExecutionState:
    """Return how a run ends after undo (invariants 15 and 18)."""
    return (
        ExecutionState.PARTIALLY_COMPENSATED
        if work.entries_in(LIVE)
        else ExecutionState.COMPENSATED
    )


def tell_parent(work: Work) -> None:
    """Tell the parent that this child has come to an end, forward or back."""
    execution = work.execution
    if execution.parent_id is None or execution.parent_step_id is None:
        return
    failure = execution.failure or {}
    work.do(
        SendNotice(
            execution_id=execution.parent_id,
            kind="CHILD",
            data={
                "step_run_id": execution.parent_step_id,
                "child_id": execution.id,
                "state": execution.state.value,
                "outcome": execution.outcome.value if execution.outcome else None,
                "output": execution.output,
                "reason": failure.get("reason") or "",
                "live": work.entries_in(LIVE),
            },
        )
    )
