"""Invariants of saga-semantics §15 over random definitions, accidents and people.

The checks of `checks` hold after every decision of every run played here (invariants 2, 3, 5, 7, 8,
10, 11, 12, 15, 16, 20, 21, 22 and 27 among them); the tests below look at what is left.
"""

from __future__ import annotations

import os
from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.engine import order
from orchestrator.engine.canonical import JSONValue, digest
from orchestrator.engine.compensation import plan
from orchestrator.engine.definition.model import UndoPolicy
from orchestrator.engine.outcomes import Succeeded
from orchestrator.engine.snapshot import AttemptEnded, Cancelled
from orchestrator.engine.states import (
    AttemptState,
    Direction,
    EntryState,
    ExecutionState,
    StepState,
)
from tests.unit.engine import structure
from tests.unit.engine.definitions import Document, saga, undone
from tests.unit.engine.driver import Run, World
from tests.unit.engine.player import Player, play
from tests.unit.engine.shapes import definitions

SOAK = os.environ.get("HYPOTHESIS_PROFILE") == "soak"
settings.register_profile(
    "engine",
    max_examples=3000 if SOAK else 25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=not SOAK,
)
random_runs = settings(settings.get_profile("engine"))
Shape = tuple[Document, list[Document]]
SEEDS = st.integers(0, 2**32)
STEPS = st.integers(0, 150)
SETTLED_BY = (EntryState.COMPENSATED, EntryState.SKIPPED, EntryState.VOID)


def a_world(shape: Shape) -> World:
    world = World()
    document, children = shape
    for definition in children:
        world.register(definition)
    world.start(document)
    return world


def played(shape: Shape, seed: int, steps: int) -> tuple[World, Player]:
    world = a_world(shape)
    return world, play(world, seed, steps)


def halfway(shape: Shape, seed: int, steps: int) -> tuple[World, Player]:
    """Play some steps and stop in the middle."""
    world = a_world(shape)
    player = Player(world, Random(seed))  # noqa: S311 - a game, not a secret
    for _ in range(steps):
        player.step()
    return world, player


def root(world: World) -> Run:
    return next(run for run in world.all.values() if run.execution.parent_id is None)


@random_runs
@given(definitions(), SEEDS, STEPS)
def test_invariant_01_an_entry_is_written_with_the_step_run(shape: Shape, seed: int, steps: int):
    world, _ = halfway(shape, seed, steps)

    for run in world.all.values():
        for step in run.runs.values():
            if step.direction is Direction.FORWARD and run.node(step).has_undo:
                assert step.entry_state is not None


@random_runs
@given(definitions(), SEEDS, STEPS)
def test_invariant_04_void_only_if_every_attempt_is_known(shape: Shape, seed: int, steps: int):
    world, player = played(shape, seed, steps)

    for run in world.all.values():
        for step in run.runs.values():
            doubtful = [
                attempt
                for attempt in run.attempts.values()
                if attempt["run"] == step.id and attempt["state"] is AttemptState.UNKNOWN
            ]
            is_void = step.entry_state is EntryState.VOID and step.child_id is None
            assert not (is_void and doubtful) or step.id in player.services.by_person


@random_runs
@given(definitions(), SEEDS, STEPS)
def test_invariant_06_each_round_has_an_entry_of_its_own(shape: Shape, seed: int, steps: int):
    world, _ = played(shape, seed, steps)

    for run in world.all.values():
        entries = [step.position for step in run.runs.values() if step.entry_state is not None]
        assert len(entries) == len(set(entries))


@random_runs
@given(definitions(), SEEDS, STEPS)
def test_invariant_07_what_enables_what_is_acyclic(shape: Shape, seed: int, steps: int):
    world, _ = halfway(shape, seed, steps)

    for run in world.all.values():
        forward = {
            step.id: step for step in run.runs.values() if step.direction is Direction.FORWARD
        }
        edges = [(step.id, cause) for step in forward.values() for cause in step.caused_by]
        assert order.is_acyclic(forward, edges)


@random_runs
@given(definitions(), SEEDS, STEPS)
def test_invariant_08_stored_edges_say_what_the_shape_says(shape: Shape, seed: int, steps: int):
    world, _ = halfway(shape, seed, steps)

    for run in world.all.values():
        forward = {
            step.id: step for step in run.runs.values() if step.direction is Direction.FORWARD
        }
        found = structure.places(run.tasks)
        entries = [step for step in forward.values() if step.entry_state is not None]
        for step in entries:
            later = order.successors(forward, [step.id])
            by_edges = {other.position for other in entries if other.id in later}
            positions = [other.position for other in entries]
            by_shape = set(structure.all_before(found, step.position, positions))
            assert by_edges == by_shape, step.position


@random_runs
@given(definitions(), SEEDS, STEPS)
def test_invariant_09_order_of_settling_extends_the_order_of_enabling(
    shape: Shape, seed: int, steps: int
):
    world, _ = halfway(shape, seed, steps)

    for run in world.all.values():
        found = structure.places(run.tasks)
        settled = {
            step.position: step.settle_seq
            for step in run.runs.values()
            if step.settle_seq is not None
            and step.entry_state in (EntryState.ARMED, EntryState.UNCERTAIN)
        }
        for position, number in settled.items():
            for later in structure.all_before(found, position, list(settled)):
                assert number < settled[later]


@random_runs
@given(definitions(), SEEDS, STEPS)
def test_invariant_13_clocks_do_not_matter(shape: Shape, seed: int, steps: int):
    world, _ = halfway(shape, seed, steps)
    run = root(world)
    made = plan.make(run.runs, run.node)

    for step in run.runs.values():
        step.scheduled_at = step.first_scheduled_at = world.now
        step.started_at = step.ended_at = None

    assert plan.make(run.runs, run.node) == made


@random_runs
@given(definitions(), SEEDS, STEPS)
def test_invariant_14_the_preview_is_the_plan(shape: Shape, seed: int, steps: int):
    world, _ = halfway(shape, seed, steps)
    run = root(world)
    is_quiet = not run.execution.frontier.get("active")
    if run.state is not ExecutionState.RUNNING or not is_quiet or run.notices:
        return
    preview = plan.make(run.runs, run.node)

    run.feed(Cancelled(compensate=True, actor="op", reason=""))

    if run.plans:
        assert run.plans[0].command.hash == preview.hash


@random_runs
@given(definitions(), SEEDS, STEPS)
def test_invariant_17_compensated_leaves_nothing_behind(shape: Shape, seed: int, steps: int):
    world, player = played(shape, seed, steps)

    for run in world.all.values():
        if run.state is not ExecutionState.COMPENSATED:
            continue
        for step in run.runs.values():
            if step.entry_state is not None and step.child_id is None:
                assert not player.services.left(step), step.position


@random_runs
@given(definitions(), SEEDS, STEPS)
def test_invariant_18_leftovers_are_the_entries_not_undone(shape: Shape, seed: int, steps: int):
    world, player = played(shape, seed, steps)

    for run in world.all.values():
        for step in run.runs.values():
            is_gone = step.entry_state in (EntryState.COMPENSATED, EntryState.VOID)
            if is_gone and step.child_id is None:
                assert not player.services.left(step), step.position


@random_runs
@given(definitions(), SEEDS, STEPS)
def test_invariant_28_a_child_is_settled_before_its_parents_entry(
    shape: Shape, seed: int, steps: int
):
    world, _ = halfway(shape, seed, steps)

    for run in world.all.values():
        for step in run.runs.values():
            if step.child_id is None or step.entry_state not in SETTLED_BY:
                continue
            inner = world.all[step.child_id]
            is_own = run.node(step).has_undo and step.state is StepState.COMPLETED
            assert is_own or "undo" not in inner.execution.frontier
            assert is_own or step.state is not StepState.COMPLETED or inner.state.is_terminal


@random_runs
@given(definitions(), SEEDS, STEPS)
def test_invariant_29_nothing_that_needs_people_goes_without_them(
    shape: Shape, seed: int, steps: int
):
    world, player = played(shape, seed, steps)

    for run in world.all.values():
        for undo in run.runs.values():
            if undo.direction is not Direction.COMPENSATION or undo.started_at is None:
                continue
            entry = run.runs[str(undo.compensates)]
            compensation = run.node(entry).step.compensation
            assert compensation is not None
            if compensation.policy is UndoPolicy.APPROVAL:
                asked = [
                    request.id for request in run.approvals.values() if request.entry_id == entry.id
                ]
                assert player.approved & set(asked), entry.position


@random_runs
@given(definitions(), SEEDS, STEPS)
def test_invariant_36_undo_counts_its_own_attempts(shape: Shape, seed: int, steps: int):
    world, _ = halfway(shape, seed, steps)

    for run in world.all.values():
        for step in run.runs.values():
            compensation = run.node(step).step.compensation
            if step.entry_state is not None and compensation is not None:
                assert step.undo_attempts <= compensation.retry.maximum_attempts


@random_runs
@given(definitions(), SEEDS, STEPS)
def test_invariant_44_messages_that_come_twice_change_nothing(shape: Shape, seed: int, steps: int):
    _, player = played(shape, seed, steps)

    for run, item in player.reports:
        before = digest([_told(run), run.state])
        run.feed(item)
        assert digest([_told(run), run.state]) == before


def _told(run: Run) -> list[JSONValue]:
    return [
        [step.id, step.state, step.entry_state, step.attempt, step.output]
        for step in sorted(run.runs.values(), key=lambda step: step.seq)
    ]


@random_runs
@given(definitions(), SEEDS, STEPS)
def test_the_frontier_is_as_wide_as_the_run_and_no_longer(shape: Shape, seed: int, steps: int):
    world, _ = played(shape, seed, steps)

    for run in world.all.values():
        frontier = run.execution.frontier
        assert not frontier.get("asks")
        assert not frontier.get("doubts")
        assert "undo" not in frontier
        assert "pending" not in frontier


def test_a_report_for_a_settled_step_is_kept_as_late():
    world, _ = played((_one_step(), []), 1, 0)
    run = root(world)
    step = run.step("a")

    run.feed(AttemptEnded(step_run_id=step.id, attempt_id=step.attempt_id, outcome=Succeeded()))

    assert [late.attempt_id for late in run.late] == [step.attempt_id]


def _one_step() -> Document:
    return saga(undone("a"))
