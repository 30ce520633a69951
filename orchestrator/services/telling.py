"""What a transition says to the log and to the counters: facts with ids, never payloads."""

import logging
from collections.abc import Iterable

from orchestrator import metrics
from orchestrator.engine.commands import Decision
from orchestrator.engine.events import Event

logger = logging.getLogger("orchestrator.executions")

_ALARMS = frozenset({"plan.deadline_passed", "entry.confirm_failed"})
"""What somebody should look at though the run itself waits for nobody (saga-semantics §10)."""
_TROUBLE = frozenset(
    {
        "execution.needs_attention",
        "step.failed",
        "step.unknown",
        "step.retry_wait",
        "step.late_result",
        "entry.compensation_failed",
        "entry.retry_wait",
        "entry.late_effect",
        *_ALARMS,
    }
)


def tell(decisions: Iterable[Decision]) -> None:
    """Count and log what was decided."""
    for decision in decisions:
        for event in decision.events:
            _log(decision, event)
            if event.type.startswith("execution."):
                metrics.TRANSITIONS.labels(kind=event.type).inc()
            elif event.type in _ALARMS:
                metrics.ALARMS.labels(kind=event.type).inc()
            elif event.type == "step.late_result":
                metrics.LATE_RESULTS.inc()
        execution = decision.execution
        if "state" in decision.changed and execution.state.is_terminal:
            metrics.EXECUTIONS_ENDED.labels(
                workflow=execution.workflow_name, state=execution.state.value
            ).inc()


def _log(decision: Decision, event: Event) -> None:
    """Write one line: trouble as a warning, the run's own states as news, steps for debugging."""
    if event.type in _TROUBLE:
        level = logging.WARNING
    elif event.type.startswith("execution."):
        level = logging.INFO
    else:
        level = logging.DEBUG
    if not logger.isEnabledFor(level):
        return
    execution = decision.execution
    fields: dict[str, object] = {
        "execution_id": execution.id,
        "workflow": execution.workflow_name,
    }
    if event.step_run_id is not None:
        fields |= {
            "step_run_id": event.step_run_id,
            "reference": event.reference,
            "attempt": event.data.get("attempt"),
            "direction": event.data.get("direction"),
        }
    logger.log(level, event.type.replace(".", "_"), extra=fields)
