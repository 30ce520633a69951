"""What becomes of an attempt: taken, extended, ended, lost, and whether another one follows.

The four outcomes and their consequences are saga-semantics §2.2 and §3; a plain definition follows
conductor/definitions.md §7.
"""

from datetime import datetime
from typing import assert_never

from orchestrator.engine import retry
from orchestrator.engine.commands import ChangeAttempt, RecordLate
from orchestrator.engine.definition.graph import ENGINE_TYPES, Node
from orchestrator.engine.definition.model import EffectClass, TaskPolicy, TimeoutPolicy
from orchestrator.engine.forward import due, unknown
from orchestrator.engine.outcomes import Failed, Outcome, Succeeded, Unknown, Waiting
from orchestrator.engine.snapshot import AttemptEnded, Claimed, Extended, StepRun
from orchestrator.engine.states import (
    AttemptState,
    Direction,
    EntryState,
    ErrorClass,
    ExecutionState,
    ForwardResult,
    StepState,
)
from orchestrator.engine.steps import base, marks, script, sub_workflow, wait, watch
from orchestrator.engine.steps import entry as ledger
from orchestrator.engine.work import Stop, Work

OPEN = (StepState.DISPATCHED, StepState.WAITING)


# ---- taking ----------------------------------------------------------------------------------


def claim(work: Work, item: Claimed) -> None:
    """Hand an attempt to a worker, if it is still there to be taken (reliability.md §2.1)."""
    run = work.run(item.step_run_id)
    if run is None:
        return
    if not is_claimable(work, run):
        work.refused.append(run.id)
        return
    node = work.node(run)
    if node is not None:
        take(work, node, run, item.worker)


def is_claimable(work: Work, run: StepRun) -> bool:
    """Tell whether a dispatch may commit now (saga-semantics §12, `fence`).

    The execution's row is locked while this is asked and a stop writes its step runs under the same
    lock, so the state read here is the state at the present fence.
    """
    state = work.execution.state
    if run.state not in (StepState.SCHEDULED, StepState.RETRY_WAIT) and not is_handed_back(run):
        return False
    if run.type in ENGINE_TYPES or (run.due_at is not None and run.due_at > work.now):
        return False
    if marks.is_barred(work, run):
        return False
    if run.direction is Direction.FORWARD:
        # A plain run may still hand out what was scheduled before the pause (api.md §14).
        return state is ExecutionState.RUNNING and not (work.execution.paused and work.is_saga)
    return not work.execution.paused


def take(work: Work, node: Node, run: StepRun, worker: str) -> None:
    """Move a step run to DISPATCHED with a lease."""
    policy = base.task_policy(work, node, run)
    # A step that was handed back goes on with the attempt it had; every other attempt begins now.
    goes_on = run.state is StepState.WAITING and run.started_at is not None
    columns = {} if goes_on else {"started_at": work.now}
    run = work.change(run, state=StepState.DISPATCHED, wake_at=None, rings=0, **columns)
    run = work.change(run, due_at=lease_end(work, policy, run))
    if run.direction is Direction.FORWARD and base.has_timer(work, node, run):
        work.forget("STEP", run.id)
    changes = {
        "state": AttemptState.DISPATCHED,
        "started_at": work.now,
        "worker": worker,
        "poll_count": 1,
        "callback_after": 0,
    }
    work.do(ChangeAttempt(attempt_id=run.attempt_id, changes=changes))
    work.tell("step.dispatched", run, attempt=run.attempt, worker=worker)
    work.claimed.append(run)
    if run.direction is Direction.COMPENSATION:
        entry = work.run(run.compensates or "")
        if entry is not None and entry.entry_state is not EntryState.RUNNING:
            entry = ledger.begin_running(work, entry)
            work.tell("entry.running", entry)


def lease_end(work: Work, policy: TaskPolicy, run: StepRun) -> datetime | None:
    """Return when this attempt will be looked at again: its lease, or the first of its timeouts."""
    if run.direction is not Direction.FORWARD:
        return work.later(attached_deadline(work, run) + base.LEASE_GRACE)
    if run.queue:
        return work.later(base.deadline_seconds(policy, run) + base.LEASE_GRACE)
    if work.execution.paused:
        # Paused time does not count for timeouts; the end of the pause sets them.
        return None
    moments = [limit.at for limit in watch.limits(work, policy, run) if limit.at > work.now]
    return min(moments, default=None)


def attached_deadline(work: Work, run: StepRun) -> float:
    """Return how long one attempt of an undo, probe or confirm may take, in seconds (§9)."""
    entry = work.run(run.compensates or "")
    owner = work.node(entry) if entry else None
    compensation = owner.step.compensation if owner else None
    return compensation.retry.attempt_timeout_seconds if compensation else base.DEFAULT_DEADLINE


def extend(work: Work, item: Extended) -> None:
    """Renew the lease of an attempt whose worker is still at work."""
    run = work.run(item.step_run_id)
    if run is None:
        return
    if run.attempt_id != item.attempt_id or run.state is not StepState.DISPATCHED:
        work.refused.append(run.id)
        return
    node = work.node(run)
    if node is not None:
        policy = base.task_policy(work, node, run)
        run = work.change(run)
        work.change(run, due_at=lease_end(work, policy, run))


# ---- ending ----------------------------------------------------------------------------------


def is_current(work: Work, run: StepRun, item: AttemptEnded) -> bool:
    """Tell whether a result still counts (saga-semantics §12, `lease`)."""
    if run.attempt_id != item.attempt_id:
        return False
    if run.state in (StepState.SCHEDULED, StepState.RETRY_WAIT):
        # An update of a task that nobody holds ends it all the same (conductor/api.md §4.3).
        return item.signal and work.in_state(ExecutionState.RUNNING)
    if run.state not in OPEN:
        return False
    return not work.execution.state.is_terminal


def is_handed_back(run: StepRun) -> bool:
    """Tell whether a worker gave the step back, to be polled again when it is due."""
    return (
        run.state is StepState.WAITING
        and run.due_at is not None
        and run.type not in {"WAIT", "HUMAN"}
    )


def end(work: Work, item: AttemptEnded) -> None:
    """Take the result of a forward attempt."""
    run = work.run(item.step_run_id)
    if run is None:
        return
    node = work.node(run)
    if node is None:
        return
    if not is_current(work, run, item):
        record_late(work, run, item)
        return
    if run.state in (StepState.SCHEDULED, StepState.RETRY_WAIT):
        run = work.change(run, state=StepState.DISPATCHED, wake_at=None)
    if base.has_timer(work, node, run):
        work.forget("STEP", run.id)
    if item.cancelled:
        cancel(work, node, run)
        return
    settle_attempt(work, node, run, item.outcome)


def record_late(work: Work, run: StepRun, item: AttemptEnded) -> None:
    """Keep a result that no longer counts; a late success may change the ledger (§12)."""
    work.refused.append(run.id)
    outcome = item.outcome
    result = {"outcome": type(outcome).__name__, "output": outcome.output, "worker": item.worker}
    work.do(RecordLate(attempt_id=item.attempt_id, step_run_id=run.id, result=result))
    work.tell("step.late_result", run, outcome=type(outcome).__name__)
    node = work.node(run) if run.direction is Direction.FORWARD else None
    if node is not None and isinstance(outcome, Succeeded):
        unknown.take_late_success(work, run, outcome)
    elif node is not None and isinstance(outcome, Failed) and not item.cancelled:
        unknown.take_late_failure(work, node, run, outcome)


def cancel(work: Work, node: Node, run: StepRun) -> None:
    """Take a worker's word that it did nothing (CANCELED, definitions.md §7.3).

    It speaks of this attempt only: what an earlier one may have done, or has done in part, stays.
    """
    reason = run.reason or "cancelled by the worker"
    if work.is_saga and run.doubt:
        unknown.doubt(work, node, work.change(run, reason=reason), may_retry=False)
    elif run.partial or node.step.optional:
        base.fail(work, node, run, reason)
    else:
        base.settle(work, run, StepState.CANCELLED, reason=reason)


def settle_attempt(work: Work, node: Node, run: StepRun, outcome: Outcome) -> None:
    """Decide what an outcome means for its step run."""
    match outcome:
        case Succeeded(output=output):
            base.complete(work, run, output, reason="", lost=0)
        case Waiting():
            hand_back(work, node, run, outcome)
        case Failed():
            _failed(work, node, run, outcome)
        case Unknown():
            _unknown(work, node, run, outcome)
        case _:
            assert_never(outcome)


def hand_back(work: Work, node: Node, run: StepRun, outcome: Waiting) -> None:
    """Let the work go on elsewhere, or hand the step out again after a while (§4.3)."""
    output = {} if outcome.output is None else {"output": outcome.output}
    if outcome.callback_seconds is None or run.queue or run.type in {"WAIT", "HUMAN"}:
        run = work.change(run, state=StepState.WAITING, due_at=None, wake_at=None, **output)
        work.do(ChangeAttempt(attempt_id=run.attempt_id, changes={"state": AttemptState.WAITING}))
        work.tell("step.waiting", run)
        watch.watch(work, base.task_policy(work, node, run), run)
        return
    due_at = work.later(outcome.callback_seconds)
    run = work.change(run, state=StepState.WAITING, due_at=due_at, wake_at=None, **output)
    changes = {
        "state": AttemptState.SCHEDULED,
        "worker": "",
        "callback_after": int(outcome.callback_seconds),
    }
    work.do(ChangeAttempt(attempt_id=run.attempt_id, changes=changes))
    work.tell("step.waiting", run, callback=outcome.callback_seconds)
    watch.watch(work, base.task_policy(work, node, run), run)
    work.fresh.append(run)


def _failed(work: Work, node: Node, run: StepRun, outcome: Failed) -> None:
    error = ErrorClass.FAILED_TERMINAL if outcome.terminal else ErrorClass.FAILED
    if outcome.timed_out:
        error = ErrorClass.TIMED_OUT
    partial = outcome.partial and node.effect is not EffectClass.NONE
    may_retry = not outcome.terminal and not partial and base.may_try_again(work, node, run)
    columns = {"reason": outcome.reason, "error_class": error.value}
    if outcome.output is not None:
        columns["output"] = outcome.output  # type: ignore[assignment]  # JSON beside text columns
    if may_retry:
        delay = base.forward_retry_delay(work, node, run, outcome.retry_after)
        run = base.try_again(work, run, delay, state=StepState.RETRY_WAIT, **columns)
        base.refresh_task_id(work, node, run)
        return
    run = work.change(run, **columns)
    if run.doubt and work.is_saga and not partial:
        # One attempt failed, but an earlier one may have taken effect: the step is unknown.
        unknown.doubt(work, node, run, may_retry=False)
        return
    base.fail(
        work, node, run, outcome.reason, error_class=error, output=outcome.output, partial=partial
    )


def _unknown(work: Work, node: Node, run: StepRun, outcome: Unknown) -> None:
    if not work.is_saga or node.effect is EffectClass.NONE:
        # Nothing to doubt: no effect, or a definition without a ledger (saga-semantics §2.2).
        failed = Failed(reason=outcome.reason, output=outcome.output, timed_out=outcome.timed_out)
        _failed(work, node, run, failed)
        return
    error = ErrorClass.TIMED_OUT if outcome.timed_out else ErrorClass.UNKNOWN
    run = work.change(run, doubt=True, reason=outcome.reason, error_class=error.value)
    unknown.doubt(work, node, run)


# ---- running out of time ---------------------------------------------------------------------


def lose(work: Work, node: Node, run: StepRun) -> None:
    """Take a lease that ran out: nobody can say what happened (reliability.md §2.6)."""
    reason = "the worker went away without reporting"
    repeatable = not work.is_saga or node.effect is EffectClass.NONE
    if repeatable and run.lost < retry.FREE_TRIES and work.goes_forward(run):
        base.try_again(
            work,
            run,
            0,
            state=StepState.RETRY_WAIT,
            lost=run.lost + 1,
            reason=reason,
            error_class=ErrorClass.UNKNOWN.value,
        )
        return
    settle_attempt(work, node, run, Unknown(reason=reason, timed_out=True))


def time_out(
    work: Work, node: Node, run: StepRun, what: str, timeout_policy: TimeoutPolicy
) -> None:
    """Take a timeout of a step that a polling worker holds, or that nobody took (§7.2)."""
    reason = f"{what} of {run.reference} has passed"
    was_taken = run.state in OPEN
    if run.type == "SUB_WORKFLOW" and timeout_policy is TimeoutPolicy.RETRY:
        # The step fails when its child has ended (saga-semantics §3); the report finds the reason.
        sub_workflow.stop_child(work, run, reason, undo=True)
        work.change(run, reason=reason, error_class=ErrorClass.TIMED_OUT.value)
    elif timeout_policy is TimeoutPolicy.TIME_OUT_WF:
        _time_out_run(work, node, run, reason, was_taken=was_taken)
    elif was_taken:
        settle_attempt(work, node, run, Unknown(reason=reason, timed_out=True))
    else:
        settle_attempt(work, node, run, Failed(reason=reason, timed_out=True))


def _time_out_run(work: Work, node: Node, run: StepRun, reason: str, *, was_taken: bool) -> None:
    """End the run with the step; not even `optional` helps (§7.2, TIME_OUT_WF)."""
    may_have_happened = was_taken and work.is_saga and node.effect is not EffectClass.NONE
    run = work.change(run, reason=reason, error_class=ErrorClass.TIMED_OUT.value)
    if run.type == "SUB_WORKFLOW":
        pass  # Stopped with the run; it is settled when its child has ended.
    elif may_have_happened or (work.is_saga and run.doubt):
        run = work.change(run, doubt=True)
        unknown.doubt(work, node, run, may_retry=False)
    else:
        base.fail(work, node, run, reason, error_class=ErrorClass.TIMED_OUT, excusable=False)
    if work.stop is None and work.in_state(ExecutionState.RUNNING):
        failure = due.failure_of(work.runs[run.id], ForwardResult.TIMED_OUT)
        work.stop = Stop(
            trigger="TIMEOUT", outcome=ForwardResult.TIMED_OUT, failure=failure, reason=reason
        )


def restart(work: Work, node: Node, run: StepRun) -> None:
    """Begin the next attempt of a step that the engine does itself and whose retry is due."""
    if run.type == "SUB_WORKFLOW":
        sub_workflow.start_again(work, node, run)
    elif run.type in watch.SCRIPT_TYPES:
        script.begin_again(work, node, run)
    else:
        wait.begin_again(work, node, run)
