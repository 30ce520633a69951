"""Playing a world to its end: workers, people and the clock take turns.

Workers go first, in rounds: everything that can be handed out is, then each call ends in the order
of scheduling, as if all took equally long. People answer when no call is under way, and the clock
jumps to the next thing due only when nobody has anything to do: so the time told is the least.
"""

from collections.abc import Callable
from datetime import datetime

from orchestrator.engine.outcomes import Failed, Outcome, Succeeded, Unknown
from orchestrator.engine.simulation import outputs, people
from orchestrator.engine.simulation.knowledge import Play
from orchestrator.engine.simulation.memory import Run
from orchestrator.engine.simulation.setup import Fault, Trouble
from orchestrator.engine.simulation.world import World
from orchestrator.engine.snapshot import AttemptEnded, Claimed, StepDue, StepRun, TimerDue
from orchestrator.engine.states import Direction, EntryState, ExecutionState, StepState

OnRound = Callable[[World], None]
_WAITS = frozenset({"WAIT", "HUMAN"})
_BEING_TIMED = frozenset({EntryState.DELAYED, EntryState.RETRY_WAIT})


def ignore(_world: World) -> None:
    """Look at no round."""


def play(world: World, on_round: OnRound = ignore) -> Play[None]:
    """Go on until the run has ended, or nothing can move it."""
    while not world.is_spent and not world.endless:
        if (yield from _settle(world)):
            continue
        if world.root.state.is_terminal and not world.root.claimable(world.now):
            return
        on_round(world)
        world.round += 1
        if (yield from _work(world)):
            continue
        if not world.is_released and _is_held(world):
            world.is_released = True
            continue
        if (yield from people.answer(world)):
            continue
        if not (yield from _pass_time(world)):
            return


def _settle(world: World) -> Play[bool]:
    """Take first decisions and deliver notices."""
    waiting = [
        run
        for run in world.all.values()
        if run.notices or run.state is ExecutionState.CREATED or run.execution.wake_at is not None
    ]
    for run in waiting:
        yield from world.feed(run)
    return bool(waiting)


# ---- workers ---------------------------------------------------------------------------------


def _work(world: World) -> Play[bool]:
    """Hand out what can be, then let every call end."""
    before = world.changes
    for run in list(world.all.values()):
        for step in run.claimable(world.now):
            if step.direction is Direction.FORWARD:
                world.note_point(run, step)
            yield from world.feed(run, Claimed(step_run_id=step.id, worker="simulation"))
    held = [
        (run, step)
        for run in world.all.values()
        for step in run.in_state(StepState.DISPATCHED, StepState.WAITING)
    ]
    for run, step in held:
        if run.runs[step.id] is step and not run.notices:
            yield from _end(world, run, step)
    return world.changes != before


def _end(world: World, run: Run, step: StepRun) -> Play[None]:
    """Let one call come to its outcome, unless it stays in flight."""
    if step.state is StepState.WAITING and not _is_ended_by_signal(run, step):
        return
    outcome = _outcome(world, run, step)
    if outcome is not None:
        yield from world.feed(
            run,
            AttemptEnded(
                step_run_id=step.id,
                attempt_id=step.attempt_id,
                outcome=outcome,
                signal=step.state is StepState.WAITING,
            ),
        )


def _is_ended_by_signal(run: Run, step: StepRun) -> bool:
    is_going = run.state is ExecutionState.RUNNING or step.direction is not Direction.FORWARD
    return step.type in _WAITS and step.due_at is None and is_going


def _outcome(world: World, run: Run, step: StepRun) -> Outcome | None:
    fault = _fault(world, run, step)
    if fault is None:
        return Succeeded(
            output=outputs.output_of(world.scene, step, run.policy(step, world.knowledge))
        )
    if fault.trouble is Trouble.IN_FLIGHT or _waits_for_others(world, fault):
        return None
    if step.attempt > world.budget.limits.attempts:
        world.endless = (*world.endless, world.points[run.within, step.position])
        return None
    world.troubled_at = world.troubled_at or world.now
    if fault.trouble is Trouble.UNKNOWN:
        return Unknown(reason="simulated: no answer")
    return Failed(reason="simulated failure")


def _fault(world: World, run: Run, step: StepRun) -> Fault | None:
    if step.direction is not Direction.FORWARD:
        return None
    if step.epoch > 1 and not world.scene.failures_persist:
        return None
    place = (run.within, step.position)
    return next((each for each in world.faults if (each.within, each.position) == place), None)


def _waits_for_others(world: World, fault: Fault) -> bool:
    """Hold a step that goes wrong together with another until that one is in motion too."""
    others = [each for each in world.faults if each is not fault]
    return not world.is_released and any(
        (each.within, each.position) not in world.points for each in others
    )


def _is_held(world: World) -> bool:
    return any(
        fault.trouble is not Trouble.IN_FLIGHT and _waits_for_others(world, fault)
        for fault in world.faults
    )


# ---- the clock -------------------------------------------------------------------------------


def _pass_time(world: World) -> Play[bool]:
    """Jump to the next moment at which something is due; False when nothing will ever be."""
    if not any(_is_waiting_for_time(run) for run in world.all.values()):
        return False
    moments = [moment for run in world.all.values() for moment in _due(world, run)]
    if not moments:
        return False
    before = (world.now, world.changes)
    world.now = max(world.now, min(moments))
    for run in list(world.all.values()):
        for (purpose, subject), due_at in sorted(run.timers.items()):
            if due_at <= world.now and (purpose, subject) in run.timers:
                run.timers.pop((purpose, subject))
                yield from world.feed(run, TimerDue(purpose=purpose, subject=subject))
        for step in _leases(world, run):
            if step.due_at is not None and step.due_at <= world.now:
                yield from world.feed(run, StepDue(step_run_id=step.id))
    return (world.now, world.changes) != before


def _is_waiting_for_time(run: Run) -> bool:
    """Tell whether the clock may still move a run: not where only people can."""
    if run.state is ExecutionState.NEEDS_ATTENTION:
        return any(step.entry_state in _BEING_TIMED for step in run.runs.values())
    return not run.state.is_terminal


def _due(world: World, run: Run) -> list[datetime]:
    found = list(run.timers.values())
    waiting = (*run.waiting_for_worker(), *_leases(world, run))
    return found + [step.due_at for step in waiting if step.due_at is not None]


def _leases(world: World, run: Run) -> list[StepRun]:
    """Return held step runs whose lease may run out: what is in flight renews it."""
    return [step for step in run.in_state(StepState.DISPATCHED) if _fault(world, run, step) is None]
