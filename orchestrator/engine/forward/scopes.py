"""Parts of a run: what came after a step run, and what stands in an explicit `saga` block (§11).

All of it is read from the step runs and their `caused_by` edges; they must be loaded as a whole.
"""

from collections.abc import Collection, Iterator, Mapping

from orchestrator.engine import order
from orchestrator.engine.definition.graph import Node
from orchestrator.engine.snapshot import StepRun
from orchestrator.engine.states import Direction
from orchestrator.engine.work import Work


def present(work: Work) -> dict[str, StepRun]:
    """Return the forward step runs that count: those that no savepoint retry has cut off."""
    return {
        run.id: run
        for run in work.runs.values()
        if run.direction is Direction.FORWARD and run.cut_epoch is None
    }


def after(work: Work, ids: Collection[str]) -> frozenset[str]:
    """Return the step runs that came after any of these, these left out (saga-semantics §4.1)."""
    return order.successors(present(work), ids)


def causes(runs: Mapping[str, StepRun], run_id: str) -> frozenset[str]:
    """Return everything that came before a step run."""
    found: set[str] = set()
    pending = list(runs[run_id].caused_by)
    while pending:
        key = pending.pop()
        if key in runs and key not in found:
            found.add(key)
            pending.extend(runs[key].caused_by)
    return frozenset(found)


def by_position(work: Work) -> dict[str, StepRun]:
    """Return the step runs that count, by position."""
    return {run.position: run for run in present(work).values()}


def containers(
    work: Work, run: StepRun, places: Mapping[str, StepRun]
) -> Iterator[tuple[StepRun, Node]]:
    """Give the forks, switches and loops around a step run, innermost first.

    A JOIN stands in the block of its fork (product.md §3, `saga` on a task).
    """
    node, graph = work.node(run), work.graph_of(run.defined_by)
    if node is None or graph is None:
        return
    defined_by, rounds = run.defined_by, node.rounds(run.position)
    name = node.fork or node.parent
    while name is not None:
        if name not in graph.nodes and defined_by is not None:
            defined_by = work.runs[defined_by].defined_by
            outer = work.graph_of(defined_by)
            if outer is None:
                return
            graph = outer
        container = graph.nodes[name]
        rounds = rounds[: len(container.loops)]
        found = places.get(container.position(rounds))
        if found is not None:
            yield found, container
        name = container.parent


def blocks(
    work: Work, run: StepRun, places: Mapping[str, StepRun]
) -> Iterator[tuple[StepRun, Node]]:
    """Give the explicit `saga` blocks around a step run, innermost first."""
    for container, node in containers(work, run, places):
        if node.step.saga is not None:
            yield container, node


def members(work: Work, block_id: str) -> frozenset[str]:
    """Return the step runs of a block: its container and all that stands in it."""
    places = by_position(work)
    inside = {
        run.id
        for run in present(work).values()
        if any(container.id == block_id for container, _ in containers(work, run, places))
    }
    return frozenset({block_id, *inside})
