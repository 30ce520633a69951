"""E10 and W6: the workflows that this one starts."""

from collections.abc import Mapping

from orchestrator.engine.canonical import JSONValue
from orchestrator.engine.definition.model import Definition, Step
from orchestrator.engine.definition.problems import pointer
from orchestrator.engine.definition.validation.facts import ChildFacts, ChildKey
from orchestrator.engine.definition.validation.findings import Findings
from orchestrator.engine.definition.visits import Visit, every_visit, forward_visits

CONDITIONS = ("SWITCH", "DECISION")


def needed_children(definition: Definition) -> frozenset[ChildKey]:
    """Return the workflows about which the rules want facts."""
    keys = {child_key(visit.step) for visit in every_visit(definition.tasks)}
    keys |= {started_key(visit.step) for visit in every_visit(definition.tasks)}
    return frozenset(key for key in keys if key is not None)


def unconditional_children(definition: Definition) -> frozenset[str]:
    """Return the names of the workflows that every run of this one starts and waits for."""
    return frozenset(
        key[0]
        for visit in forward_visits(definition.tasks)
        if is_unconditional(visit) and (key := child_key(visit.step)) is not None
    )


def is_unconditional(visit: Visit) -> bool:
    """Tell whether a step runs in every run: the first round of a loop always does."""
    return not any(
        step.type in CONDITIONS or (step.type == "DO_WHILE" and step.items is not None)
        for step in visit.around
    )


def child_key(step: Step) -> ChildKey | None:
    """Return the workflow a SUB_WORKFLOW step names; None when it is not known beforehand."""
    called = step.sub_workflow
    if step.type != "SUB_WORKFLOW" or called is None or called.definition is not None:
        return None
    if not called.name or "${" in called.name or not isinstance(called.version, int | None):
        return None
    return called.name, called.version


def started_key(step: Step) -> ChildKey | None:
    """Return the workflow that a START_WORKFLOW step names."""
    request = step.inputs.get("startWorkflow") if step.type == "START_WORKFLOW" else None
    if not isinstance(request, Mapping):
        return None
    name = request.get("name")
    if not isinstance(name, str) or not name or "${" in name:
        return None
    return name, started_version(request.get("version"))


def started_version(version: JSONValue) -> int | None:
    """Return the version a start asks for; 0 and none mean the latest."""
    is_number = isinstance(version, int) and not isinstance(version, bool)
    return version or None if isinstance(version, int) and is_number else None


def check_children(findings: Findings) -> None:
    """E10: every child can be found, and none leads back here whatever happens."""
    for visit in every_visit(findings.definition.tasks):
        key = child_key(visit.step)
        if key is None:
            continue
        child = findings.facts.children.get(key, ChildFacts(exists=False))
        if is_endless(findings.definition, visit, key, child):
            message = (
                f'"{visit.step.reference}" starts "{key[0]}", which leads back to '
                f'"{findings.definition.name}" without any condition and would never end.'
            )
        elif not child.exists and not is_itself(findings.definition, key):
            version = "" if key[1] is None else f" version {key[1]}"
            message = f'There is no workflow "{key[0]}"{version} to start.'
        else:
            continue
        path = pointer(visit.step.path, "subWorkflowParam")
        findings.error("E10", path, message, visit.step)


def is_endless(definition: Definition, visit: Visit, key: ChildKey, child: ChildFacts) -> bool:
    """Tell whether a child starts this workflow again in every run."""
    if visit.role != "forward" or not is_unconditional(visit):
        return False
    return key[0] == definition.name or definition.name in child.contains


def is_itself(definition: Definition, key: ChildKey) -> bool:
    """Tell whether a key means this very definition, which need not be stored yet."""
    return key[0] == definition.name and key[1] in (None, definition.version)


def warn_children(findings: Findings) -> None:
    """W6: what is started and forgotten is never undone with this run."""
    for step in findings.steps:
        key = started_key(step)
        child = findings.facts.children.get(key) if key is not None else None
        if key is None or child is None or not child.has_effects:
            continue
        message = (
            f'"{step.reference}" starts "{key[0]}" and forgets it; what that does is not undone '
            "with this run."
        )
        findings.warn("W6", pointer(step.path, "inputParameters"), message, step)
