"""Which step runs are failed, alone and in pairs (saga-semantics §14)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from orchestrator.engine import order
from orchestrator.engine.simulation.memory import Run
from orchestrator.engine.simulation.setup import Fault, Limits, Trouble
from orchestrator.engine.simulation.world import Point, World

Place = tuple[tuple[str, ...], str]
TOGETHER = (
    (Trouble.FAILED, Trouble.FAILED),
    (Trouble.FAILED, Trouble.UNKNOWN),
    (Trouble.FAILED, Trouble.IN_FLIGHT),
    (Trouble.UNKNOWN, Trouble.FAILED),
    (Trouble.UNKNOWN, Trouble.UNKNOWN),
    (Trouble.UNKNOWN, Trouble.IN_FLIGHT),
    (Trouble.IN_FLIGHT, Trouble.FAILED),
    (Trouble.IN_FLIGHT, Trouble.UNKNOWN),
)
"""Of two steps that can be in motion together."""
IN_TURN = (
    (Trouble.FAILED, Trouble.FAILED),
    (Trouble.FAILED, Trouble.UNKNOWN),
    (Trouble.UNKNOWN, Trouble.FAILED),
    (Trouble.UNKNOWN, Trouble.UNKNOWN),
)
"""Of two steps that come after each other, where the run goes on when the first one fails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two step runs that may go wrong in one run."""

    first: Point
    second: Point
    troubles: Sequence[tuple[Trouble, Trouble]]


def fault(point: Point, trouble: Trouble) -> Fault:
    """Let a step run go wrong."""
    return Fault(within=point.within, position=point.position, trouble=trouble)


def place(point: Point) -> Place:
    """Return where a step run is."""
    return point.within, point.position


def chosen_points(points: Sequence[Point], limits: Limits) -> tuple[list[Point], int]:
    """Return the step runs to fail, in order of the definition, and how many were left out."""
    by_step: dict[tuple[object, ...], list[Point]] = {}
    for point in sorted(points, key=lambda point: point.order):
        key = (point.workflow, point.reference, tuple(index for index, _ in point.order))
        by_step.setdefault(key, []).append(point)
    kept = [point for runs in by_step.values() for point in _some(runs, limits.rounds_per_step)]
    kept.sort(key=lambda point: point.order)
    return kept[: limits.points], len(points) - min(len(kept), limits.points)


def _some(runs: list[Point], limit: int) -> list[Point]:
    """Return the first runs of a step, and its last one."""
    return runs if len(runs) <= limit else [*runs[: limit - 1], runs[-1]]


def pairs(world: World, points: Sequence[Point]) -> Iterator[Pair]:
    """Give the pairs that can go wrong in one run, in order of the definition."""
    later = Later(world)
    for first, second in combinations(points, 2):
        if later.are_together(first, second):
            yield Pair(first=first, second=second, troubles=TOGETHER)
            continue
        before, after = (second, first) if later.comes_after(second, first) else (first, second)
        if goes_on_after(world, before):
            yield Pair(first=before, second=after, troubles=IN_TURN)


def goes_on_after(world: World, point: Point) -> bool:
    """Tell whether the run goes on when this step has failed for good."""
    run, key = run_at(world, point.within), point.position
    step_run = next(step for step in run.forward().values() if step.position == key)
    step = run.node(step_run).step
    return step.optional or step.permissive


def run_at(world: World, within: tuple[str, ...]) -> Run:
    """Return the execution at a place."""
    return next(run for run in reversed(world.all.values()) if run.within == within)


class Later:
    """What came after what, read from the edges of a play that went well."""

    def __init__(self, world: World) -> None:
        self._runs = {run.within: run for run in world.all.values()}
        self._after: dict[Place, frozenset[str]] = {}

    def are_together(self, one: Point, other: Point) -> bool:
        """Tell whether two step runs can be in motion at the same time."""
        return not self.comes_after(one, other) and not self.comes_after(other, one)

    def comes_after(self, one: Point, other: Point) -> bool:
        """Tell whether the other step run came after the first one."""
        level, (first, second) = self._side_by_side(one, other)
        if first == second:
            # One of them is the step that the other one runs inside of.
            return len(one.within) < len(other.within)
        runs = {step.position: step.id for step in self._runs[level].forward().values()}
        return runs[second] in self._successors(level, first, runs[first])

    def _side_by_side(self, one: Point, other: Point) -> tuple[tuple[str, ...], tuple[str, str]]:
        """Return the execution that both are in, and which steps of it lead to them."""
        ways = (*one.within, one.position), (*other.within, other.position)
        shared = 0
        while ways[0][shared : shared + 1] == ways[1][shared : shared + 1] and shared < min(
            len(one.within), len(other.within)
        ):
            shared += 1
        return ways[0][:shared], (ways[0][shared], ways[1][shared])

    def _successors(self, level: tuple[str, ...], position: str, run_id: str) -> frozenset[str]:
        key = (level, position)
        if key not in self._after:
            self._after[key] = order.successors(self._runs[level].forward(), (run_id,))
        return self._after[key]
