"""The engine's rows as the model's view; the only place that knows the columns of both."""

from orchestrator.engine import keys
from orchestrator.engine.states import Direction
from tests.model.paths import Place, places
from tests.model.trees import Node, Workflow
from tests.model.view import SeenEntry, SeenPlan, SeenRun, SeenStep
from tests.unit.engine.driver import Run

Positions = dict[str, tuple[Place, Node]]


def positions(workflow: Workflow) -> Positions:
    """Every activation of a definition by the engine's name for it: `ref@round.round`."""
    found = {}
    for place, node in places(workflow):
        rounds = ".".join(map(str, place.rounds))
        found[f"{place.ref}@{rounds}" if rounds else place.ref] = (place, node)
    return found


def see(run: Run, known: Positions) -> SeenRun:
    """Look at one run."""
    execution = run.execution
    forward = [
        step
        for step in run.runs.values()
        if step.direction is Direction.FORWARD and step.position in known
    ]
    active = [plan.command for plan in run.plans if plan.state == "ACTIVE"]
    return SeenRun(
        state=execution.state.value,
        outcome=execution.outcome.value if execution.outcome else None,
        failure=execution.failure,
        epoch=execution.epoch,
        fence=execution.fence,
        paused=execution.paused,
        steps={
            step.id: SeenStep(
                id=step.id,
                place=known[step.position][0],
                epoch=step.epoch,
                state=step.state.value,
                key=keys.forward_key(execution.id, step.position, step.epoch),
            )
            for step in forward
        },
        entries={
            step.id: SeenEntry(
                id=step.id,
                of=step.id,
                place=known[step.position][0],
                state=step.entry_state.value,
                round=step.round,
                attempts=step.undo_attempts,
                snapshot=(step.input, step.output, step.variables),
                policy=step.policy or "",
                follows_child=step.type == "SUB_WORKFLOW",
                gave_up=step.undo_next == (),
            )
            for step in forward
            if step.entry_state is not None
        },
        plan=SeenPlan(
            id=active[0].id,
            trigger=active[0].trigger,
            entries=frozenset(entry["id"] for entry in active[0].entries),
            edges=frozenset(active[0].edges),
            hash=active[0].hash,
        )
        if active
        else None,
        plans=len(run.plans),
    )
