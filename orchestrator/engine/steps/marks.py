"""What a settled step means for the direction of its run: savepoints and pivots (§11)."""

from datetime import datetime, timedelta
from typing import Any

from orchestrator.engine.definition.graph import Node
from orchestrator.engine.definition.model import EffectClass
from orchestrator.engine.snapshot import StepRun
from orchestrator.engine.states import Direction, StepState
from orchestrator.engine.work import Work

LONGEST_DELAY = 900
"""Seconds between two tries of a step that must succeed."""
ALARM_AFTER = timedelta(hours=1)


def settled(work: Work, run: StepRun, state: StepState) -> dict[str, Any]:
    """Note a savepoint passed and a pivot decided; returns columns to write with the state."""
    if not work.is_saga or run.direction is not Direction.FORWARD:
        return {}
    if is_doubted(work, run) and state is not StepState.UNKNOWN:
        work.frontier.pop("pivot_doubt")
        work.frontier["pivot_known"] = True
    node = work.node(run)
    if node is None or state is not StepState.COMPLETED:
        return {}
    if node.effect is EffectClass.PIVOT:
        work.frontier["pivot"] = run.id
    if not node.step.savepoint:
        return {}
    work.frontier["savepoints"] = int(work.frontier.get("savepoints", 0)) + 1
    return {"variables": work.execution.variables}


def doubt_pivot(work: Work, node: Node, run: StepRun) -> None:
    """Hold both directions while nobody knows whether a pivot took effect (invariant 24)."""
    if node.effect is EffectClass.PIVOT and run.direction is Direction.FORWARD:
        work.frontier["pivot_doubt"] = run.id


def is_doubted(work: Work, run: StepRun) -> bool:
    """Tell whether a step run is the pivot in doubt."""
    return bool(work.frontier.get("pivot_doubt") == run.id)


def is_barred(work: Work, run: StepRun) -> bool:
    """Tell whether a pivot in doubt forbids this dispatch: all but its probe and its own retry."""
    doubted = work.frontier.get("pivot_doubt")
    if doubted is None or run.direction in (Direction.PROBE, Direction.CONFIRM):
        return False
    return bool(run.id != doubted)


def must_succeed(work: Work, node: Node) -> bool:
    """Tell whether a step is tried until it succeeds: retriable, past a completed pivot (§11)."""
    return node.effect is EffectClass.RETRIABLE and "pivot" in work.frontier


def tell_long_retry(work: Work, run: StepRun, next_at: datetime) -> None:
    """Raise the alarm, once, about a step that will have been tried for an hour (§11)."""
    node = work.node(run)
    if node is None or not must_succeed(work, node):
        return
    began = run.started_at or run.scheduled_at
    if began < run.first_scheduled_at + ALARM_AFTER <= next_at:
        work.tell("step.retrying_long", run, attempt=run.attempt, reason=run.reason[:500])
