"""Control flow as a graph of places, for rules that ask what can come after what.

Each step has a place before it and one after it; edges lead from places to places. The graph has a
few edges per step, so that a question about thousands of steps is one walk over it.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from orchestrator.engine.definition.model import Step
from orchestrator.engine.definition.visits import inner_sequences


@dataclass(slots=True)
class Flow:
    """Places are numbers: `2 * n` before the n-th step, `2 * n + 1` after it."""

    steps: list[Step] = field(default_factory=list)
    following: list[list[int]] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)
    """The n of each reference."""
    back_edges: list[tuple[int, int]] = field(default_factory=list)
    """From the end of a loop's body to its start: the next round."""

    def before(self, step: Step) -> int:
        """Return the place before a step."""
        return 2 * self.numbers[step.reference]

    def after(self, step: Step) -> int:
        """Return the place after a step."""
        return self.before(step) + 1

    def link(self, source: int, target: int) -> None:
        """Add an edge."""
        self.following[source].append(target)

    def reached(
        self, starts: Iterable[int], *, stops: Callable[[Step], bool] | None = None
    ) -> set[int]:
        """Return the places that can come after any of the starts, next rounds included.

        A step that `stops` is reached itself, but not walked through.
        """
        following: dict[int, list[int]] = {}
        for source, target in self.back_edges:
            following.setdefault(source, []).append(target)
        waiting = list(starts)
        seen: set[int] = set()
        while waiting:
            current = waiting.pop()
            if current in seen:
                continue
            seen.add(current)
            if stops is not None and current % 2 == 0 and stops(self.steps[current // 2]):
                continue
            waiting.extend(self.following[current])
            waiting.extend(following.get(current, ()))
        return seen

    def reversed(self) -> "Flow":
        """Return the same flow backwards: what comes after becomes what comes before."""
        turned = Flow(steps=self.steps, numbers=self.numbers)
        turned.following = [[] for _ in self.following]
        for source, targets in enumerate(self.following):
            for target in targets:
                turned.following[target].append(source)
        turned.back_edges = [(target, source) for source, target in self.back_edges]
        return turned


def build(tasks: Sequence[Step]) -> Flow:
    """Build the graph of a definition; references must be unique to be found again."""
    flow = Flow()
    add_sequence(flow, tasks)
    return flow


def add_sequence(flow: Flow, steps: Sequence[Step]) -> tuple[int, int] | None:
    """Add steps that follow each other; return the first and the last place."""
    ends = [add_step(flow, step) for step in steps]
    for (_, last), (first, _) in pairwise(ends):
        flow.link(last, first)
    return (ends[0][0], ends[-1][1]) if ends else None


def add_step(flow: Flow, step: Step) -> tuple[int, int]:
    """Add a step with everything inside it."""
    number = len(flow.steps)
    flow.steps.append(step)
    flow.numbers.setdefault(step.reference, number)
    before, after = 2 * number, 2 * number + 1
    flow.following += [[], []]
    flow.link(before, after)
    for inner in inner_sequences(step):
        ends = add_sequence(flow, inner)
        if ends is None:
            continue
        flow.link(before, ends[0])
        flow.link(ends[1], after)
        if inner is step.body:
            flow.back_edges.append((ends[1], ends[0]))
    return before, after


def components(following: Sequence[Sequence[int]]) -> list[int]:
    """Number the strongly connected parts of a graph: places on one cycle get one number.

    Kosaraju's algorithm: walk once to find an order, and once backwards in that order.
    """
    preceding: list[list[int]] = [[] for _ in following]
    for source, targets in enumerate(following):
        for target in targets:
            preceding[target].append(source)
    found = [-1] * len(following)
    for number, root in enumerate(reversed(finishing_order(following))):
        waiting = [root] if found[root] < 0 else []
        while waiting:
            node = waiting.pop()
            if found[node] < 0:
                found[node] = number
                waiting.extend(preceding[node])
    return found


def finishing_order(following: Sequence[Sequence[int]]) -> list[int]:
    """Return the nodes in the order in which a depth-first walk is done with them."""
    done: list[int] = []
    seen = [False] * len(following)
    for root in range(len(following)):
        work = [(root, False)]
        while work:
            node, is_left = work.pop()
            if is_left:
                done.append(node)
            elif not seen[node]:
                seen[node] = True
                work.append((node, True))
                work.extend((target, False) for target in following[node] if not seen[target])
    return done
