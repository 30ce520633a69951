"""What an undo step receives: as the definition maps it, or as an operator amended it (§8, §9).

What was amended stands beside the original in the entry's `undo_input`: `{"input", "original"}`. It
concerns the first step of the undo: the body of an HTTP request, the input of any other task.
"""

from typing import Any

from orchestrator.engine import roots
from orchestrator.engine.definition.graph import Node
from orchestrator.engine.snapshot import StepRun
from orchestrator.engine.steps import base
from orchestrator.engine.work import Work


def mapped(work: Work, node: Node, entry: StepRun, values: dict[str, Any]) -> dict[str, Any]:
    """Return the input of an undo, probe or confirm step.

    Raises:
        ExpressionTooLarge: The input is.
    """
    inputs = base.inputs_of(work, node, values)
    given = amended(entry)
    if given is None or not _is_first(work, node, entry):
        return inputs
    return with_body(inputs, given) if node.step.type == "HTTP" else given


def amended(entry: StepRun) -> dict[str, Any] | None:
    """Return what an operator gave in the place of what is mapped; None = nothing."""
    found = (entry.undo_input or {}).get("input")
    return found if isinstance(found, dict) else None


def _is_first(work: Work, node: Node, entry: StepRun) -> bool:
    owner = work.node(entry)
    compensation = owner.step.compensation if owner else None
    if compensation is None:
        return False
    return roots.undo_tasks(work, compensation, entry)[0].reference == node.reference


def original(work: Work, owner: Node, entry: StepRun) -> dict[str, Any] | None:
    """Return what the definition maps for the first step of an undo; None = must be loaded.

    Raises:
        ExpressionTooLarge: The input is.
    """
    compensation = owner.step.compensation
    graph = work.graph_of(entry.defined_by)
    if graph is None or compensation is None:
        return None
    node = graph.nodes[roots.undo_tasks(work, compensation, entry)[0].reference]
    values = roots.undo_roots(work, node.roots, owner, entry, None)
    if values is None:
        return None
    return sent_of(node.step.type, base.inputs_of(work, node, values))


def sent_of(task_type: str, inputs: dict[str, Any]) -> dict[str, Any]:
    """Return the meaningful part of an undo's input: an HTTP call's body, else all of it."""
    if task_type != "HTTP":
        return inputs
    body = _request(inputs).get("body")
    return body if isinstance(body, dict) else {"body": body}


def _request(inputs: dict[str, Any]) -> dict[str, Any]:
    request = inputs.get("http_request")
    return request if isinstance(request, dict) else inputs


def with_body(inputs: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Put an amended body into an HTTP call; what is no object is shown as `{"body": …}`."""
    request = _request(inputs)
    is_wrapped = not isinstance(request.get("body"), dict) and set(given) == {"body"}
    changed = {**request, "body": given["body"] if is_wrapped else given}
    return {**inputs, "http_request": changed} if request is not inputs else changed


def lacks_output(owner: Node, entry: StepRun) -> bool:
    """Tell whether the undo would be called with holes: nobody knows the output it reads (§8)."""
    return owner.undo_reads_output and entry.output is None and amended(entry) is None
