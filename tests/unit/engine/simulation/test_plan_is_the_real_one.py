"""What the simulator shows for a single failure is what a run with the same outcomes plans."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, Phase, given, settings

from orchestrator.engine.outcomes import Failed, Succeeded
from orchestrator.engine.snapshot import (
    AttemptEnded,
    Cancelled,
    Claimed,
    EntryActed,
    StepSettled,
    VerdictReached,
)
from orchestrator.engine.states import EntryState, ExecutionState, StepState
from tests.unit.engine.definitions import Document, dynamic, fork, loop, saga, switch, undone
from tests.unit.engine.driver import World
from tests.unit.engine.shapes import definitions
from tests.unit.engine.simulation.carried_out import simulated

if TYPE_CHECKING:
    from orchestrator.engine.snapshot import StepRun
    from tests.unit.engine.driver import Run

ROUNDS = 200


def play(definition: Document, children: list[Document], failing: str) -> Run:
    """Run a definition where one step of it always fails, all calls taking equally long."""
    world = World()
    for child in children:
        world.register(child)
    root = world.start(definition)
    for _ in range(ROUNDS):
        world.settle()
        if root.plans or root.state.is_terminal:
            return root
        before = _progress(world)
        _one_round(world, root, failing)
        world.settle()
        if _progress(world) == before:
            _ask_somebody(world)
        if _progress(world) == before:
            world.pass_time(1)
    raise AssertionError("the run never ends")


def _progress(world: World) -> int:
    return sum(len(run.events) for run in world.all.values())


def _one_round(world: World, root: Run, failing: str) -> None:
    for run in list(world.all.values()):
        if run.state is ExecutionState.RUNNING or "undo" in run.execution.frontier:
            for step in run.claimable():
                run.feed(Claimed(step_run_id=step.id, worker="w"))
    held = [
        (run, step)
        for run in world.all.values()
        for step in sorted(run.runs.values(), key=lambda step: step.seq)
        if step.state is StepState.DISPATCHED or _waits_for_signal(run, step)
    ]
    for run, step in held:
        if run.runs[step.id].attempt_id != step.attempt_id or run.notices:
            continue
        if run.runs[step.id].state is not step.state:
            continue
        is_failing = run is root and step.position == failing
        outcome = Failed(reason="no") if is_failing else Succeeded()
        is_signal = step.state is StepState.WAITING
        run.feed(
            AttemptEnded(
                step_run_id=step.id,
                attempt_id=step.attempt_id,
                outcome=outcome,
                signal=is_signal,
            )
        )


def _waits_for_signal(run: Run, step: StepRun) -> bool:
    is_waiting = step.state is StepState.WAITING and step.type == "HUMAN"
    return is_waiting and run.state is ExecutionState.RUNNING


def _ask_somebody(world: World) -> None:
    """Let people agree, do by hand what is theirs, and say that what is unknown happened."""
    for run in world.all.values():
        for entry in run.runs.values():
            if entry.entry_state is EntryState.MANUAL:
                act = EntryActed(entry_id=entry.id, action="RESOLVE", actor="ann", reason="done")
                run.feed(act)
                return
            if entry.entry_state is EntryState.AWAITING_APPROVAL and entry.approval_id:
                agreed = VerdictReached(
                    entry_id=entry.id,
                    approval_id=entry.approval_id,
                    verdict="APPROVED",
                    actor="ann",
                )
                run.feed(agreed)
                return
        if run.state is not ExecutionState.NEEDS_ATTENTION or "undo" in run.execution.frontier:
            continue
        for key in list(run.execution.frontier.get("questions", ())):
            if run.runs[key].state is StepState.UNKNOWN:
                settled = StepSettled(step_run_id=key, applied=True, actor="ann", reason="")
                run.feed(settled)
                return
        if run.graph.definition.saga.on_failure == "ASK":
            run.feed(Cancelled(compensate=True, actor="ann", reason="undo it"))
            return


def planned(run: Run) -> list[tuple[str, int]]:
    """Return the plan of a run, in order of undo."""
    if not run.plans:
        return []
    entries = run.plans[0].command.entries
    return [(entry["taskReferenceName"], entry["iteration"]) for entry in entries]


def shown(row: dict[str, Any]) -> list[tuple[str, int]]:
    """Return the plan of the root that the simulator shows."""
    return [
        (entry["taskReferenceName"], entry["iteration"])
        for entry in row["entries"]
        if not entry["within"]
    ]


def check(definition: Document, children: list[Document]) -> int:
    """Compare every single failure of the root; return how many there were."""
    count = 0
    for row in simulated(definition, *children)["scenarios"]:
        is_of_root = not row["within"] and row["also"] is None and not row["branches"]
        if row["outcome"] == "FAILED" and is_of_root:
            count += 1
            real = play(definition, children, row["position"])
            assert shown(row) == planned(real), row["failureAt"]
            left = [run.entry_state for run in real.runs.values() if run.entry_state]
            assert EntryState.TENTATIVE not in left
    return count


def test_plan_of_every_shape_is_the_real_one():
    definition = saga(
        undone("a"),
        fork("f", [undone("b1"), undone("b2")], [undone("c1")]),
        loop("l", [1, 2], undone("x"), undone("y")),
        switch("s", "x", {"x": [undone("t")]}),
        dynamic("d", [undone("p"), undone("q")]),
        undone("z"),
    )

    assert check(definition, []) == 12


@settings(
    max_examples=15,
    deadline=None,
    # A smaller seed is no smaller definition, and shrinking one takes minutes.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
@given(definitions())
def test_plan_of_any_definition_is_the_real_one(drawn: tuple[Document, list[Document]]):
    check(*drawn)
