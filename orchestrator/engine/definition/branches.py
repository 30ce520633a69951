"""The branches of a dynamic fork, which come as data, compiled beside their definition."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from orchestrator.engine.canonical import JSONValue, digest
from orchestrator.engine.definition import document
from orchestrator.engine.definition.graph import Graph, compile_branches, inner_steps
from orchestrator.engine.definition.model import EffectClass

if TYPE_CHECKING:
    from orchestrator.engine.definition.model import Problem, Step

_WITHOUT_UNDO = frozenset({EffectClass.PIVOT, EffectClass.IRREVERSIBLE})


def branches_of(outer: Graph, reference: str, documents: Sequence[JSONValue]) -> Graph:
    """Compile the branches of the fork of this reference.

    What is wrong with the first broken one stands in `broken`: whoever enters the fork stops the
    run for it before anything is scheduled (saga-semantics §3).
    """
    node = outer.nodes[reference]
    branches: list[tuple[Step, ...]] = []
    attached: dict[str, str] = {}
    broken = ""
    for index, raw in enumerate(documents):
        step, problems = document.parse_task(raw, f"/{index}")
        why = _error(problems) or _undo_problem(outer, step, attached)
        if step is None or why:
            name = raw.get("taskReferenceName") if isinstance(raw, Mapping) else index
            broken = broken or f"The forked task {name} of {reference} is not valid: {why}"
        else:
            branches.append((step,))
    if not broken:
        forward = {step.reference for branch in branches for step in inner_steps(branch)}
        shared = sorted(forward & attached.keys())
        broken = f"{reference}: duplicate task reference name {shared[0]}" if shared else ""
    return compile_branches(outer.definition, node, branches, node.next or "", broken=broken)


def _error(problems: Iterable["Problem"]) -> str:
    return next((found.message for found in problems if found.severity == "error"), "")


def _undo_problem(outer: Graph, step: "Step | None", attached: dict[str, str]) -> str:
    """Return what is wrong with the undos, probes and confirms of one branch; collects them.

    Branches that were made alike may share an undo that says the same in each.
    """
    for inner in inner_steps((step,)) if step is not None else ():
        if inner.effect in _WITHOUT_UNDO and inner.compensation is not None:
            return f"E3: {inner.reference} is {inner.effect}, so it has no undo"
        own: set[str] = set()
        for task in _attached(inner):
            content = digest(dict(task.document))
            is_taken = task.reference in own or task.reference in outer.nodes
            if is_taken or attached.setdefault(task.reference, content) != content:
                return f"duplicate task reference name {task.reference}"
            own.add(task.reference)
    return ""


def _attached(step: "Step") -> "Iterable[Step]":
    if step.compensation is not None:
        yield from step.compensation.tasks
        yield from step.compensation.alternate
    if step.probe is not None:
        yield step.probe
    yield from step.confirm
