"""WAIT and HUMAN: steps that end by a timer, a signal or a person (definitions.md §5.13, §5.14)."""

from datetime import datetime
from typing import Any

from orchestrator.engine.commands import ChangeAttempt
from orchestrator.engine.definition.durations import MalformedTime, parse_until, parse_wait_duration
from orchestrator.engine.definition.graph import Node
from orchestrator.engine.snapshot import StepRun
from orchestrator.engine.states import AttemptState, ErrorClass, StepState
from orchestrator.engine.steps import base, watch
from orchestrator.engine.work import Work


def begin(work: Work, node: Node, run: StepRun, inputs: dict[str, Any]) -> None:
    """Wait until the moment that the input names, or for an update."""
    try:
        due_at = _due_at(work, inputs)
    except MalformedTime as error:
        run = base.begin_in_engine(work, run, inputs, StepState.SCHEDULED)
        base.fail(work, node, run, str(error), error_class=ErrorClass.FAILED_TERMINAL)
        return
    if due_at is not None and due_at <= work.now:
        run = base.begin_in_engine(work, run, inputs, StepState.SCHEDULED)
        base.complete(work, run)
        return
    run.due_at = due_at
    run = base.begin_in_engine(work, run, inputs, StepState.WAITING)
    _watch(work, node, run)


def begin_human(work: Work, node: Node, run: StepRun, inputs: dict[str, Any]) -> None:
    """Wait for an update."""
    run = base.begin_in_engine(work, run, inputs, StepState.WAITING)
    _watch(work, node, run)


def begin_again(work: Work, node: Node, run: StepRun) -> None:
    """Begin the next attempt after a timeout: a WAIT waits from the start (B2.27)."""
    due_at = _due_at(work, run.input) if run.type == "WAIT" else None
    run = work.change(
        run, state=StepState.WAITING, due_at=due_at, wake_at=None, started_at=work.now
    )
    work.do(ChangeAttempt(attempt_id=run.attempt_id, changes={"state": AttemptState.WAITING}))
    work.tell("step.waiting", run)
    _watch(work, node, run)


def _watch(work: Work, node: Node, run: StepRun) -> None:
    """Set the timer of the wait itself, or of its timeout where that comes first."""
    watch.watch(work, base.task_policy(work, node), run, also=run.due_at)


def _due_at(work: Work, inputs: dict[str, Any]) -> datetime | None:
    duration, until = inputs.get("duration"), inputs.get("until")
    if duration not in (None, "") and until not in (None, ""):
        raise MalformedTime(str(until), "possible beside a duration")
    if duration not in (None, ""):
        return work.now + parse_wait_duration(str(duration))
    if until not in (None, ""):
        return parse_until(str(until))
    return None
