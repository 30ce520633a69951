"""What people say in a simulation: yes to what waits for them, and "it happened" to every doubt.

Each answer is kept as `Asked`, so that the result names who is asked what. "It happened" is the
harder case: what did not happen is the scenario in which the step failed.
"""

from orchestrator.engine.forward import stopping
from orchestrator.engine.simulation import outputs
from orchestrator.engine.simulation.knowledge import Play
from orchestrator.engine.simulation.memory import Run
from orchestrator.engine.simulation.setup import Trouble
from orchestrator.engine.simulation.world import Asked, World
from orchestrator.engine.snapshot import (
    Cancelled,
    EntryActed,
    Input,
    PlanConfirmed,
    StepRun,
    StepSettled,
    VerdictReached,
)
from orchestrator.engine.states import EntryState, ExecutionState, StepState
from orchestrator.engine.work import Work

SOMEBODY = "somebody"


def answer(world: World) -> Play[bool]:
    """Let people answer the next thing they are asked; False when nobody is asked anything."""
    for run in list(world.all.values()):
        found = (
            _verdict(run)
            or _plan(run)
            or _question(world, run)
            or _manual(run)
            or _direction(world, run)
        )
        if found is not None:
            asked, item = found
            world.asked = (*world.asked, asked)
            yield from world.feed(run, item)
            return True
    return (yield from _stop_by_hand(world))


def _verdict(run: Run) -> tuple[Asked, Input] | None:
    for entry in _entries(run, EntryState.AWAITING_APPROVAL):
        request = run.approvals.pop(entry.approval_id or "", None)
        if request is not None:
            item = VerdictReached(
                entry_id=entry.id, approval_id=request.id, verdict="APPROVED", actor=SOMEBODY
            )
            return _asked(run, entry, "APPROVAL", "approved", request.approval), item
    return None


def _plan(run: Run) -> tuple[Asked, Input] | None:
    """Start a plan that waits for somebody to do so (`confirmPlan`)."""
    if run.state is not ExecutionState.PLANNING or "confirm" not in run.execution.frontier:
        return None
    waiting = run.execution.frontier["confirm"]
    item = PlanConfirmed(hash=waiting["hash"], actor=SOMEBODY, reason="start it")
    return Asked(kind="PLAN", within=run.within, assumed="started"), item


def _question(world: World, run: Run) -> tuple[Asked, Input] | None:
    if run.state is not ExecutionState.NEEDS_ATTENTION:
        return None
    for key in run.execution.frontier.get("questions", ()):
        step = run.runs[key]
        if step.state is StepState.UNKNOWN:
            output = outputs.output_of(world.scene, step, run.policy(step, world.knowledge))
            item = StepSettled(
                step_run_id=step.id, applied=True, actor=SOMEBODY, reason="", output=output
            )
            return _asked(run, step, "OUTCOME", "it happened"), item
    return None


def _manual(run: Run) -> tuple[Asked, Input] | None:
    for entry in _entries(run, EntryState.MANUAL):
        item = EntryActed(entry_id=entry.id, action="RESOLVE", actor=SOMEBODY, reason="by hand")
        return _asked(run, entry, "MANUAL", "done by hand"), item
    return None


def _direction(world: World, run: Run) -> tuple[Asked, Input] | None:
    """Answer `onFailure: ASK` with undo."""
    if run.state is not ExecutionState.NEEDS_ATTENTION or "undo" in run.execution.frontier:
        return None
    if "stop" not in run.execution.frontier:
        return None
    work = Work(run.graph, run.snapshot(world.now, world.knowledge))
    if stopping.wants_undo(work) is not None or run.execution.frontier.get("questions"):
        return None
    item = Cancelled(compensate=True, actor=SOMEBODY, reason="undo it")
    return Asked(kind="DIRECTION", within=run.within, assumed="undo"), item


def _stop_by_hand(world: World) -> Play[bool]:
    """Cancel the run with undo while a step is in flight (saga-semantics §5, T4)."""
    held = [fault for fault in world.faults if fault.trouble is Trouble.IN_FLIGHT]
    is_due = world.is_stopped_by_hand and world.root.state is ExecutionState.RUNNING
    if not is_due or not any((fault.within, fault.position) in world.points for fault in held):
        return False
    world.is_stopped_by_hand = False
    world.troubled_at = world.now
    if "pivot" in world.root.execution.frontier:
        # Past a pivot only a person with a right of their own may do that (saga-semantics §11).
        world.asked = (*world.asked, Asked(kind="OVERRIDE", within=(), assumed="not stopped"))
        return True
    item = Cancelled(compensate=True, actor=SOMEBODY, reason="stopped by hand")
    yield from world.feed(world.root, item)
    return True


def _entries(run: Run, state: EntryState) -> list[StepRun]:
    found = [step for step in run.runs.values() if step.entry_state is state]
    return sorted(found, key=lambda step: step.seq)


def _asked(
    run: Run, step: StepRun, kind: str, assumed: str, approval: dict[str, object] | None = None
) -> Asked:
    return Asked(
        kind=kind,
        within=run.within,
        reference=step.reference,
        iteration=step.iteration,
        assumed=assumed,
        approval=approval or {},
    )
