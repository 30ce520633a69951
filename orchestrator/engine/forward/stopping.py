"""Forward work ends before its time: what is in flight settles before any plan is made.

saga-semantics §3 (STOPPING). A plain definition stops in one transition: everything in flight is
cancelled at once (product.md §3).
"""

from orchestrator.engine.commands import ChangeAttempt
from orchestrator.engine.definition.graph import Node
from orchestrator.engine.events import Event
from orchestrator.engine.forward import attempts, due, finish, unknown
from orchestrator.engine.outcomes import Unknown
from orchestrator.engine.snapshot import StepRun
from orchestrator.engine.states import (
    AttemptState,
    Direction,
    EntryState,
    ErrorClass,
    ExecutionState,
    ForwardResult,
    StepState,
)
from orchestrator.engine.steps import base, sub_workflow, watch
from orchestrator.engine.work import Stop, Work

UNDOABLE = (EntryState.ARMED, EntryState.UNCERTAIN)
_ENGINE_WAITS = watch.SCRIPT_TYPES | {"WAIT", "HUMAN", "JOIN", "DO_WHILE", "COMPENSATE"}


def asked_for(trigger: str, reason: str, *, undo: bool, actor: str) -> Stop:
    """Return the stop that somebody, or an event, asks for: no step has failed."""
    failure = {
        "stepId": None,
        "taskReferenceName": None,
        "errorClass": None,
        "message": reason,
        "reason": reason,
    }
    return Stop(
        trigger=trigger,
        outcome=ForwardResult.TERMINATED,
        failure=failure,
        undo=undo,
        actor=actor,
        reason=reason,
    )


def begin(work: Work, stop: Stop) -> None:
    """Stop forward work; the first reason counts, later ones change nothing."""
    if not work.all_in_motion():
        return
    output = stop.output if stop.trigger == "TERMINATE" and stop.output is not None else None
    if output is None:
        output = finish.output_of(work)
    if work.needs:
        return
    failed = stop.outcome is not ForwardResult.COMPLETED
    work.set(outcome=stop.outcome, failure=stop.failure if failed else None, output=output)
    if not failed:
        work.frontier["ended_because"] = stop.reason
    if work.graph.definition.timeout_seconds:
        work.forget("RUN")
    # Kept for an operator's retry, which takes the same joins and loops up again.
    work.frontier["stopped"] = {
        name: work.frontier.pop(name)
        for name in ("joins", "loops", "forks", "permissive", "again", "unfollowed")
        if name in work.frontier
    }
    work.frontier.pop("asks", None)
    _take_held(work)
    put_aside(work)
    if work.is_saga:
        _stop_saga(work, stop)
    else:
        _stop_plain(work, stop)


def _take_held(work: Work) -> None:
    """Stop with what was held while a pivot was in doubt."""
    for key in work.frontier.pop("held", []):
        run = work.run(key)
        if run is not None:
            work.settled.append(run)


def put_aside(work: Work) -> None:
    """Keep in mind what has succeeded and is not followed any more, for an operator's retry."""
    stopped = work.frontier.get("stopped")
    while work.settled:
        run = work.settled.popleft()
        run = work.runs.get(run.id, run)
        node = work.node(run)
        if stopped is None or node is None or run.type in {"TERMINATE", "COMPENSATE"}:
            continue
        if run.state.is_successful or due.is_excused(node, run):
            stopped.setdefault("unfollowed", []).append(run.id)


def _stop_plain(work: Work, stop: Stop) -> None:
    for run in work.unsettled():
        if run.child_id is not None and run.state is StepState.WAITING:
            sub_workflow.stop_child(work, run, stop.reason, undo=True)
        run = base.settle(work, run, StepState.CANCELLED, reason=run.reason)
        work.forget("STEP", run.id)
    put_aside(work)
    work.move(ExecutionState(stop.outcome.value), **_why(stop))
    finish.tell_parent(work)


def _why(stop: Stop) -> dict[str, object]:
    return {"trigger": stop.trigger, "reason": stop.reason, "by": stop.actor}


def _stop_saga(work: Work, stop: Stop) -> None:
    work.frontier["stop"] = {
        "trigger": stop.trigger,
        "undo": stop.undo,
        "by": stop.actor,
        "reason": stop.reason,
    }
    if stop.steps:
        work.frontier["stop"]["steps"] = list(stop.steps)
    if stop.override:
        work.frontier["stop"]["override"] = True
    work.move(ExecutionState.STOPPING, **_why(stop))
    for run in work.unsettled():
        node = work.node(run)
        if node is not None:
            settle_in_flight(work, node, run, stop)
    put_aside(work)
    if work.active or work.frontier.get("doubts"):
        seconds = work.graph.definition.saga.quiesce_timeout_seconds
        work.frontier["quiesce"] = True
        work.wake_at("QUIESCE", work.later(seconds))


def settle_in_flight(work: Work, node: Node, run: StepRun, stop: Stop) -> None:
    """Stop one step run, or begin to wait for its answer (saga-semantics §3, STOPPING)."""
    if run.direction is not Direction.FORWARD:
        return
    if run.state is StepState.SCHEDULED:
        _cancel_scheduled(work, node, run)
    elif run.state is StepState.RETRY_WAIT:
        _end_retries(work, node, run)
    elif run.state is StepState.WAITING and run.type == "SUB_WORKFLOW":
        sub_workflow.stop_child(work, run, stop.reason, undo=_children_undo(work))
    elif run.state is StepState.WAITING and run.type in _ENGINE_WAITS:
        base.settle(work, run, StepState.CANCELLED)
        work.forget("STEP", run.id)
    elif node.step.on_stop == "ABANDON":
        abandon(work, node, run, "abandoned when the run stopped")


def _children_undo(work: Work) -> bool:
    """Tell whether running children are stopped with undo: unless what is done is to stay."""
    completed = work.execution.outcome is ForwardResult.COMPLETED
    return completed or wants_undo(work) is True


def _cancel_scheduled(work: Work, node: Node, run: StepRun) -> None:
    """Stop what nobody has taken; begun again by an operator, it is what it was before."""
    _forget_timer(work, node, run)
    if run.doubt:
        run = work.change(run, state=StepState.RETRY_WAIT)
        unknown.doubt(work, node, run, may_retry=False)
    elif run.partial:
        base.fail(work, node, run, run.reason or "applied in part before the run was tried again")
    else:
        base.settle(work, run, StepState.CANCELLED)


def _end_retries(work: Work, node: Node, run: StepRun) -> None:
    """Let a step that waited for its next attempt become what its attempts say."""
    _forget_timer(work, node, run)
    waiting = run.attempt_id
    if run.doubt:
        unknown.doubt(work, node, run, may_retry=False)
    else:
        base.fail(work, node, run, run.reason, error_class=_class_of(run))
    # The attempt that was waiting never began.
    work.do(ChangeAttempt(attempt_id=waiting, changes={"state": AttemptState.CANCELLED}))


def _forget_timer(work: Work, node: Node, run: StepRun) -> None:
    if base.has_timer(work, node, run):
        work.forget("STEP", run.id)


def _class_of(run: StepRun) -> ErrorClass:
    known = {error.value for error in ErrorClass}
    return ErrorClass(run.error_class) if run.error_class in known else ErrorClass.FAILED


def abandon(work: Work, node: Node, run: StepRun, reason: str) -> None:
    """Stop waiting for an answer: the outcome is unknown (or a failure, where nothing can be)."""
    attempts.settle_attempt(work, node, run, Unknown(reason=reason, timed_out=True))


def quiesce_over(work: Work) -> None:
    """Give up on what has not answered within `quiesceTimeoutSeconds`.

    A probe that nobody has answered does not know; one that begins only now gets the same time.
    """
    if not work.in_state(ExecutionState.STOPPING) or not work.all_in_motion():
        return
    reason = "no answer before the run had to be settled"
    waits = (work.frontier.get("part") or {}).get("waits")
    for run in work.unsettled():
        node = work.node(run)
        is_outside = waits is not None and (run.compensates or run.id) not in waits
        if is_outside:
            continue
        waits_for_child = run.type == "SUB_WORKFLOW" and run.state is StepState.WAITING
        if node is None or waits_for_child:
            continue
        if run.direction is Direction.PROBE:
            base.settle(work, run, StepState.FAILED, reason=reason, error_class="FAILED")
        elif run.direction is Direction.FORWARD:
            abandon(work, node, run, reason)
    put_aside(work)
    if work.frontier.get("doubts"):
        seconds = work.graph.definition.saga.quiesce_timeout_seconds
        work.wake_at("QUIESCE", work.later(seconds))
    else:
        work.frontier.pop("quiesce", None)


def is_quiet(work: Work) -> bool:
    """Tell whether every forward step run has settled, so that a plan can be complete."""
    return work.active == 0 and not work.frontier.get("doubts")


def wants_undo(work: Work) -> bool | None:
    """Tell whether the stop leads to an undo; None = `onFailure: ASK`, a person says."""
    stop = work.frontier.get("stop") or {}
    is_open = "wanted" in stop or stop.get("dead_end")
    if work.execution.outcome is ForwardResult.COMPLETED and not is_open:
        return False
    if stop.get("undo") is not None:
        return bool(stop["undo"])
    on_failure = work.graph.definition.saga.on_failure
    if on_failure == "ASK":
        return None
    return on_failure != "NONE"


def forget_quiesce(work: Work) -> None:
    """Clear the timer of the stop, if one was set."""
    if work.frontier.pop("quiesce", False):
        work.forget("QUIESCE")


def end_without_undo(work: Work) -> None:
    """End a stopped run with nothing more to undo, as its outcome says.

    Where something was undone after a pivot the ledger says how it ends.
    """
    outcome = work.execution.outcome or ForwardResult.FAILED
    stop = work.frontier.pop("stop", {})
    forget_quiesce(work)
    was_undone = stop.get("dead_end") and work.entries_in((EntryState.COMPENSATED,))
    work.move(finish.end_of_undo(work) if was_undone else ExecutionState(outcome.value))
    finish.tell_parent(work)


def pause(work: Work, *, paused: bool, actor: str) -> None:
    """Set or lift the flag beside the state; in both directions nothing new is dispatched."""
    if work.execution.paused is paused:
        return
    work.set(paused=paused)
    kind = "execution.paused" if paused else "execution.resumed"
    work.record(Event(type=kind, data={"by": actor}))
