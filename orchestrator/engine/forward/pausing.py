"""A pause: nothing new is dispatched in either direction (saga-semantics §2.1, §10.6).

Timers of business times go on and only queue what they lead to. The clocks of attempts stand still:
nobody looks at their timeouts until the end of the pause, which sets them again.
"""

from datetime import timedelta

from orchestrator.engine.forward import attempts, resuming, stopping
from orchestrator.engine.snapshot import PauseSet, StepRun
from orchestrator.engine.states import Direction, StepState
from orchestrator.engine.steps import base, pauses, watch
from orchestrator.engine.work import Work


def pause(work: Work, item: PauseSet) -> None:
    """Set or lift the flag; what waits for a worker is not rung for while it is set."""
    if work.execution.paused is item.paused or not work.all_in_motion():
        return
    stopping.pause(work, paused=item.paused, actor=item.actor)
    unsettled = work.unsettled()
    if item.paused:
        pauses.begin(work)
        for run in unsettled:
            _stop_clock(work, run)
        return
    # The clocks are set by all pauses that a step run has known, this one too.
    pauses.end(work, unsettled)
    resuming.ring_again(work)
    for run in unsettled:
        _set_clock(work, work.runs[run.id])


def _stop_clock(work: Work, run: StepRun) -> None:
    if run.state in (StepState.SCHEDULED, StepState.RETRY_WAIT) and run.queue:
        work.change(run, wake_at=None, rings=0)
    elif _is_held_by_poller(run) and run.due_at is not None:
        work.look_at(run, None)


def _set_clock(work: Work, run: StepRun) -> None:
    node = work.node(run)
    if node is None:
        return
    policy = base.task_policy(work, node, run)
    if not _is_held_by_poller(run):
        if run.state is not StepState.DISPATCHED:
            watch.resume(work, policy, run)
    elif run.direction is Direction.FORWARD:
        limits = watch.limits(work, policy, run)
        work.look_at(run, min((limit.at for limit in limits), default=None))
    else:
        seconds = attempts.attached_deadline(work, run) + base.LEASE_GRACE
        heard = run.updated_at
        work.look_at(run, heard + timedelta(seconds=seconds) + pauses.since(work, heard))


def _is_held_by_poller(run: StepRun) -> bool:
    """Tell whether a worker outside has it: its lease is a timeout. Ours die with their process."""
    return run.state is StepState.DISPATCHED and not run.queue
