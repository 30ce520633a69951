"""Ways through a definition: the one its input takes, and others that reach the rest of its steps.

A step behind a branch that the input does not take is reached by forcing the switches around it, so
that every step can be failed once.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from orchestrator.engine.definition.graph import Graph, Node, inner_steps, is_outside
from orchestrator.engine.definition.model import Step
from orchestrator.engine.simulation.world import World

SWITCHES = ("SWITCH", "DECISION")
DEFAULT_CASE = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """One way through: which branch each forced switch takes."""

    graphs: Mapping[int, Graph] = field(default_factory=dict)
    """Changed graphs by `version_id`."""
    branches: Mapping[str, str] = field(default_factory=dict)
    """Switch → case, for people."""


def outside_steps(graph: Graph) -> list[Step]:
    """Return the steps that can go wrong, in document order."""
    return [step for step in inner_steps(graph.definition.tasks) if is_outside(step.type)]


def unreached(world: World, reached: Iterable[tuple[int, str]]) -> list[tuple[int, str]]:
    """Return (version id, reference) of the outside steps that no play has come to yet."""
    known = set(reached)
    versions = {run.version.child.version_id: run.version for run in world.all.values()}
    return [
        (version_id, step.reference)
        for version_id, version in versions.items()
        for step in outside_steps(version.graph)
        if (version_id, step.reference) not in known
    ]


def reached_in(world: World) -> set[tuple[int, str]]:
    """Return (version id, reference) of the steps that a play has come to."""
    return {
        (run.version.child.version_id, step.reference)
        for run in world.all.values()
        for step in run.forward().values()
    }


def towards(world: World, target: tuple[int, str], base: Path) -> Path | None:
    """Return the way that leads to a step, or None when no switch stands before it."""
    version_id, reference = target
    graph = base.graphs.get(version_id, world.knowledge.versions[version_id].graph)
    forced: dict[str, str] = {}
    nodes = dict(graph.nodes)
    inner = reference
    while (parent := graph.nodes[inner].parent) is not None:
        node = graph.nodes[parent]
        if node.step.type in SWITCHES:
            case = _case_of(node.step, inner)
            forced[parent] = case
            nodes[parent] = _forced(node, case)
        inner = parent
    if not forced:
        return None
    return Path(
        graphs={**base.graphs, version_id: replace(graph, nodes=nodes)},
        branches={**base.branches, **forced},
    )


def _case_of(switch: Step, reference: str) -> str:
    for case, steps in switch.cases.items():
        if any(step.reference == reference for step in steps):
            return case
    return DEFAULT_CASE


def _forced(node: Node, case: str) -> Node:
    """Return a switch that takes one branch whatever its condition says."""
    step = node.step
    taken = step.default_case if case == DEFAULT_CASE else step.cases[case]
    # DECISION falls back to the default only where a case is missing, so none may be left.
    return replace(node, step=replace(step, cases={}, default_case=taken))
