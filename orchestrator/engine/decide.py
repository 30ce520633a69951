"""`decide`: what an execution does next, given what it is and what has happened to it.

The same code runs in production, in the simulator, in previews and in tests. It is pure: whatever
it lacks it asks for, whatever it wants done it answers with.
"""

from collections.abc import Collection, Iterable
from typing import assert_never

from orchestrator.engine import progress
from orchestrator.engine.commands import Decision
from orchestrator.engine.compensation import (
    acts,
    confirming_plan,
    deadline,
    requests,
    results,
    sealing,
    triggers,
    undo,
)
from orchestrator.engine.definition.graph import Graph
from orchestrator.engine.events import Event
from orchestrator.engine.forward import (
    again,
    attempts,
    due,
    part,
    pausing,
    stopping,
    timeouts,
    unknown,
)
from orchestrator.engine.occurrences import Triggered
from orchestrator.engine.snapshot import (
    AttemptEnded,
    Cancelled,
    ChildReported,
    Claimed,
    EntryActed,
    Extended,
    Input,
    ParentSpoke,
    PauseSet,
    PlanConfirmed,
    PlanRejected,
    RetryRequested,
    Snapshot,
    StepDue,
    StepSettled,
    TimerDue,
    UndoRequested,
    VariablesSet,
    VerdictReached,
)
from orchestrator.engine.states import (
    Direction,
    EntryState,
    ExecutionState,
)
from orchestrator.engine.steps import watch
from orchestrator.engine.work import Work


def decide(
    graph: Graph,
    snapshot: Snapshot,
    inputs: Iterable[Input] = (),
    *,
    claim: Collection[str] = (),
    claim_limit: int = 0,
    worker: str = "",
) -> Decision:
    """Take every decision that is due.

    Args:
        graph: The compiled definition of the execution's version.
        snapshot: What is known, at one moment.
        inputs: What has happened since, in order.
        claim: Queues whose new step runs the caller takes at once ("keep going").
        claim_limit: How many of them at the most.
        worker: Who takes them.

    Deciding again on a stored decision, without new inputs, gives nothing.
    """
    work = Work(graph, snapshot)
    _restore_pending(work)
    if work.in_state(ExecutionState.CREATED):
        _start(work)
    for item in inputs:
        _take(work, item)
    progress.go_on(work)
    triggers.arm_again(work)
    _watch_late_effects(work)
    _keep_going(work, claim, claim_limit, worker)
    return work.decision()


def _restore_pending(work: Work) -> None:
    for run_id in work.frontier.pop("pending", []):
        run = work.run(run_id)
        if run is not None:
            work.settled.append(run)


def _start(work: Work) -> None:
    definition = work.graph.definition
    variables = {**definition.variables, **work.execution.variables}
    work.set(started_at=work.now, variables=variables)
    work.set(state=ExecutionState.RUNNING)
    data = {"version": work.execution.version_number}
    work.record(Event(type="execution.started", data=data))
    if definition.timeout_seconds > 0:
        work.wake_at("RUN", work.later(definition.timeout_seconds))
    triggers.arm(work)
    due.start(work)


# ---- what has happened -----------------------------------------------------------------------


def _take(work: Work, item: Input) -> None:  # noqa: C901, PLR0912 - one line per kind of input
    match item:
        case AttemptEnded():
            _attempt_ended(work, item)
        case Claimed():
            _claimed(work, item)
        case Extended():
            attempts.extend(work, item)
        case StepDue(step_run_id=run_id):
            _step_due(work, run_id)
        case TimerDue(purpose=purpose, subject=subject):
            _timer_due(work, purpose, subject)
        case ChildReported():
            results.child_reported(work, item)
        case ParentSpoke():
            requests.parent_spoke(work, item)
        case Cancelled():
            requests.cancelled(work, item)
        case UndoRequested():
            requests.undo_requested(work, item)
        case Triggered():
            triggers.happened(work, item)
        case PlanConfirmed():
            confirming_plan.confirmed(work, item)
        case PlanRejected():
            confirming_plan.rejected(work, item)
        case PauseSet():
            pausing.pause(work, item)
        case RetryRequested():
            again.retry(work, item)
        case EntryActed():
            acts.acted(work, item)
        case VerdictReached():
            results.verdict(work, item)
        case StepSettled():
            unknown.settled_by_person(work, item)
        case VariablesSet(values=values, actor=actor):
            work.set(variables={**work.execution.variables, **values})
            data = {"values": values, "by": actor}
            work.record(Event(type="variables.changed", data=data))
        case _:
            assert_never(item)


def _claimed(work: Work, item: Claimed) -> None:
    run = work.run(item.step_run_id)
    if run is None:
        return
    is_undo = run.direction is Direction.COMPENSATION and attempts.is_claimable(work, run)
    if is_undo and not undo.still_approved(work, run):
        work.refused.append(run.id)
        return
    attempts.claim(work, item)


def _attempt_ended(work: Work, item: AttemptEnded) -> None:
    run = work.run(item.step_run_id)
    if run is None:
        return
    if run.direction is Direction.FORWARD:
        attempts.end(work, item)
    else:
        results.end(work, run, item)


def _step_due(work: Work, run_id: str) -> None:
    run = work.run(run_id)
    node = work.node(run) if run else None
    if run is None or node is None:
        return
    if run.direction is Direction.FORWARD:
        if not work.execution.state.is_terminal:
            timeouts.step_due(work, node, run)
    elif run.type in watch.STARTED_BY_TIMER:
        timeouts.step_due(work, node, run)
        results.restarted(work, run)
    else:
        results.lose(work, run)


def _timer_due(work: Work, purpose: str, subject: str) -> None:
    work.forget(purpose, subject)
    match purpose:
        case "STEP":
            _step_due(work, subject)
        case "RUN":
            timeouts.run_due(work)
        case "QUIESCE":
            stopping.quiesce_over(work)
        case "SAVEPOINT":
            part.delay_over(work)
        case "ENTRY" | "NOT_AFTER":
            results.entry_due(work, subject, purpose)
        case "WINDOW":
            sealing.window_due(work, subject)
        case "TRIGGER":
            triggers.due(work, subject)
        case "DEADLINE":
            deadline.passed(work)
        case _:
            work.record(Event(type="timer.unknown", data={"purpose": purpose}))


# ---- afterwards ------------------------------------------------------------------------------


def _watch_late_effects(work: Work) -> None:
    """Call a person to an ended run in which an effect has turned up late (saga-semantics §2.1)."""
    if work.execution.state.is_terminal and work.entries_in((EntryState.LATE_EFFECT,)):
        work.frontier["late"] = work.execution.state.value
        work.move(ExecutionState.NEEDS_ATTENTION, reason="an effect turned up after its undo")


def _keep_going(work: Work, queues: Collection[str], limit: int, worker: str) -> None:
    """Hand new step runs of these queues to the caller, without a way through the broker."""
    if work.needs or not queues:
        return
    for run in list(work.fresh):
        if len(work.claimed) >= limit:
            return
        current = work.runs[run.id]
        if current.queue in queues and attempts.is_claimable(work, current):
            node = work.node(current)
            if node is not None:
                attempts.take(work, node, current, worker)
