"""The branches of a dynamic fork, which come as data, compiled beside their definition."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from orchestrator.engine.canonical import JSONValue
from orchestrator.engine.definition import document
from orchestrator.engine.definition.graph import Graph, compile_branches

if TYPE_CHECKING:
    from orchestrator.engine.definition.model import Step


def branches_of(outer: Graph, reference: str, documents: Sequence[JSONValue]) -> Graph:
    """Compile the branches of the fork of this reference; broken ones are left out.

    Whoever enters the fork finds what is missing and stops the run for it.
    """
    node = outer.nodes[reference]
    branches: list[tuple[Step, ...]] = []
    for index, raw in enumerate(documents):
        step, problems = document.parse_task(raw, f"/{index}")
        if step is not None and not any(problem.severity == "error" for problem in problems):
            branches.append((step,))
    return compile_branches(outer.definition, node, branches, node.next or "")
