"""The simulator: a definition with mock outcomes, failed at each step and at each pair (§14).

`simulate` is a generator that asks for what it cannot know (`knowledge`); whoever runs it calls
nothing else and stores what it likes. First the run is played as it should go, through as many
branches as it takes to come to every step; then from the moment before a step is handed out it is
played again with that step going wrong.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.engine.simulation import choosing, judging, paths, playing, telling
from orchestrator.engine.simulation.knowledge import Knowledge, Play, Version
from orchestrator.engine.simulation.paths import Path
from orchestrator.engine.simulation.setup import Budget, Limits, Scene, Trouble
from orchestrator.engine.simulation.world import Point, World

Row = dict[str, Any]
DEFAULT_LIMITS = Limits()


@dataclass(slots=True, kw_only=True)
class Tour:
    """A play in which nothing goes wrong, with the moments to come back to."""

    path: Path
    world: World
    moments: dict[int, World] = field(default_factory=dict)
    """The world as it was at the beginning of each round."""
    points: Sequence[Point] = ()
    """Step runs that are failed on this way."""

    def before(self, *points: Point) -> World:
        """Return the world before the first of these step runs was handed out."""
        rounds = [self.world.first_rounds[choosing.place(point)] for point in points]
        return self.moments[min(rounds)]


@dataclass(slots=True, kw_only=True)
class Simulation:
    """One simulation under way."""

    version: Version
    scene: Scene
    knowledge: Knowledge
    budget: Budget
    tours: list[Tour] = field(default_factory=list)
    not_reached: list[str] = field(default_factory=list)
    cut: list[str] = field(default_factory=list)

    def note(self, sentence: str) -> None:
        """Say that something was left out."""
        if sentence not in self.cut:
            self.cut.append(sentence)


def simulate(
    version: Version,
    scene: Scene,
    *,
    queues: Mapping[tuple[str, str], str],
    limits: Limits = DEFAULT_LIMITS,
) -> Play[Row]:
    """Play everything that the limits allow, and tell what came of it."""
    knowledge = Knowledge(queues=queues)
    knowledge.versions[version.child.version_id] = version
    work = Simulation(
        version=version, scene=scene, knowledge=knowledge, budget=Budget(limits=limits)
    )
    yield from _tour_all(work)
    _choose(work)
    scenarios = yield from _single(work)
    scenarios += yield from _pairs(work)
    if work.budget.is_spent:
        work.note("The simulation took too much work and was ended before all was played.")
    return {
        "scenarios": scenarios,
        "path": _told_path(work.tours[0]),
        "workflows": sorted(
            {run.execution.workflow_name for tour in work.tours for run in tour.world.all.values()}
        ),
        "notReached": work.not_reached,
        "references": sorted(_references(work)),
        "weakPoints": judging.weak_points(scenarios),
        "summary": judging.summary(scenarios),
        "cut": work.cut,
    }


def _references(work: Simulation) -> set[str]:
    """Return the names of all steps, undos, probes and confirms of what was played."""
    runs = [run for tour in work.tours for run in tour.world.all.values()]
    graphs = [graph for run in runs for graph in (run.graph, *run.dynamic.values())]
    return {reference for graph in graphs for reference in graph.nodes}


# ---- without trouble -------------------------------------------------------------------------


def _tour_all(work: Simulation) -> Play[None]:
    """Play the way that the input takes, then others until every step was come to."""
    yield from _tour(work, Path())
    tried: set[tuple[int, str]] = set()
    while True:
        reached = {step for tour in work.tours for step in paths.reached_in(tour.world)}
        missing = [
            step
            for step in dict.fromkeys(
                step for tour in work.tours for step in paths.unreached(tour.world, reached)
            )
            if step not in tried
        ]
        if not missing or work.budget.is_spent:
            break
        tried.add(missing[0])
        path = paths.towards(work.tours[0].world, missing[0], Path())
        if path is None:
            continue
        if len(work.tours) >= work.budget.limits.paths:
            limit = work.budget.limits.paths
            work.note(f"At most {limit} ways through the branches are played.")
            break
        yield from _tour(work, path)
    work.not_reached = list(
        dict.fromkeys(
            step[1] for tour in work.tours for step in paths.unreached(tour.world, reached)
        )
    )


def _tour(work: Simulation, path: Path) -> Play[None]:
    world = World(
        scene=work.scene,
        knowledge=work.knowledge,
        budget=work.budget,
        forced=path.graphs,
        now=work.scene.starts_at,
    )
    world.start(work.version)
    tour = Tour(path=path, world=world)

    def keep(present: World) -> None:
        tour.moments[present.round + 1] = present.copy()

    yield from playing.play(world, keep)
    for sentence in sorted(world.cut):
        work.note(sentence)
    work.tours.append(tour)


def _told_path(tour: Tour) -> Row:
    """Return what the run comes to when nothing goes wrong."""
    root = tour.world.root
    failure = root.execution.failure or {}
    return {
        "finalState": root.state.value,
        "steps": [point.reference for point in tour.world.points.values() if not point.within],
        "seconds": round((tour.world.now - tour.world.scene.starts_at).total_seconds(), 3),
        "failureAt": failure.get("taskReferenceName"),
        "reason": failure.get("message"),
    }


# ---- with trouble ----------------------------------------------------------------------------


def _choose(work: Simulation) -> None:
    """Give every way the step runs that are failed on it: those that no earlier way came to."""
    known: set[tuple[str, str]] = set()
    for tour in work.tours:
        points = [
            point
            for point in tour.world.points.values()
            if (point.workflow, point.reference) not in known
        ]
        known |= {(point.workflow, point.reference) for point in points}
        tour.points, left_out = choosing.chosen_points(points, work.budget.limits)
        if left_out:
            work.note(f"{left_out} more rounds or steps are like those that were failed.")


def _single(work: Simulation) -> Play[list[Row]]:
    """Fail every step run by itself: failed and unknown first, then in flight."""
    found: list[Row] = []
    places = sorted(
        ((point, tour) for tour in work.tours for point in tour.points),
        key=lambda pair: pair[0].order,
    )
    for troubles in ((Trouble.FAILED, Trouble.UNKNOWN), (Trouble.IN_FLIGHT,)):
        for point, tour in places:
            for trouble in troubles:
                if work.budget.is_spent:
                    return found
                world = yield from _play(tour, (point,), (trouble,))
                found.append(_told(tour, world, point, trouble, also=None))
    return found


def _pairs(work: Simulation) -> Play[list[Row]]:
    """Fail step runs two at a time."""
    found: list[Row] = []
    left_out = 0
    for number, (tour, pair) in enumerate(_all_pairs(work)):
        if number >= work.budget.limits.pairs or work.budget.is_spent:
            left_out += 1
            continue
        for troubles in pair.troubles:
            world = yield from _play(tour, (pair.first, pair.second), troubles)
            found.append(_told_pair(tour, world, pair, troubles))
    if left_out:
        work.note(f"{left_out} pairs of steps were not failed together.")
    return found


def _all_pairs(work: Simulation) -> Iterator[tuple[Tour, choosing.Pair]]:
    for tour in work.tours:
        for pair in choosing.pairs(tour.world, tour.points):
            yield tour, pair


def _play(tour: Tour, points: Sequence[Point], troubles: Sequence[Trouble]) -> Play[World]:
    faults = tuple(map(choosing.fault, points, troubles))
    world = tour.before(*points).copy(
        faults=faults,
        is_stopped_by_hand=all(fault.trouble is Trouble.IN_FLIGHT for fault in faults),
        decisions=0,
        cut=frozenset(),
        # What a COMPENSATE node has undone on the way belongs to the way.
        plans=(),
        asked=(),
    )
    for run in world.all.values():
        run.events = ()
    yield from playing.play(world)
    return world


def _told_pair(
    tour: Tour, world: World, pair: choosing.Pair, troubles: tuple[Trouble, Trouble]
) -> Row:
    """Tell a pair; what is in flight cannot stop a run, so the other one is where it fails."""
    sides = [(pair.first, troubles[0]), (pair.second, troubles[1])]
    if troubles[0] is Trouble.IN_FLIGHT:
        sides.reverse()
    (point, trouble), (other, others) = sides
    also = {**_place(other), "taskReferenceName": other.reference, "outcome": others.value}
    return _told(tour, world, point, trouble, also=also)


def _told(tour: Tour, world: World, point: Point, trouble: Trouble, *, also: Row | None) -> Row:
    return {
        "failureAt": point.reference,
        **_place(point),
        "outcome": trouble.value,
        "also": also,
        "branches": dict(tour.path.branches),
        **telling.ending(world),
        "cut": sorted(world.cut),
    }


def _place(point: Point) -> Row:
    return {
        "iteration": point.iteration,
        "position": point.position,
        "workflowName": point.workflow,
        "within": list(point.within),
    }
