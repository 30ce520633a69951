"""E5: extra order edges (`after`) that contradict the order of undo."""

from orchestrator.engine.definition.model import Step
from orchestrator.engine.definition.saga_keys import after_pointer
from orchestrator.engine.definition.validation.findings import Findings
from orchestrator.engine.definition.validation.flow import Flow, components


def check_order(findings: Findings, flow: Flow) -> None:
    """E5: find every name in `after` that closes a circle.

    An edge means "its undo waits for that of the other". Control flow gives such edges from each
    step to all that come after it; they lead past steps whose undo nobody waits for.
    """
    wishes = [
        (step, index, name)
        for step in findings.steps
        if step.compensation is not None
        for index, name in enumerate(step.compensation.after)
    ]
    if not wishes:
        return
    entries = {step.reference: step for step in findings.steps if has_entry(step)}
    nodes = {reference: len(flow.following) + n for n, reference in enumerate(entries)}
    following = [list(targets) for targets in flow.following] + [[] for _ in nodes]
    for reference, step in entries.items():
        following[nodes[reference]].append(flow.after(step))
        if step.compensation is None or not step.compensation.independent:
            following[flow.before(step)].append(nodes[reference])
    edges = [(step, index, name) for step, index, name in wishes if name in nodes]
    for step, _, name in edges:
        following[nodes[step.reference]].append(nodes[name])
    circles = components(following)
    for step, index, name in edges:
        if circles[nodes[step.reference]] == circles[nodes[name]]:
            message = (
                f'The undo of "{step.reference}" cannot wait for that of "{name}", which itself '
                "has to wait for it."
            )
            findings.error("E5", after_pointer(step, index), message, step)


def has_entry(step: Step) -> bool:
    """Tell whether a step can have an entry of its own in the ledger."""
    return step.compensation is not None or step.type == "SUB_WORKFLOW"
