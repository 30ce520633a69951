"""The scripts of a definition whose syntax is checked at registration.

Those that Conductor checks (SWITCH and DECISION) and ours. A broken script in INLINE, LAMBDA or a
loop condition is an outcome of its step, as with Conductor.
"""

from collections.abc import Iterator
from typing import NamedTuple

from orchestrator.engine.definition.model import Definition, Script, Step
from orchestrator.engine.definition.problems import pointer
from orchestrator.engine.definition.saga_keys import saga_pointer
from orchestrator.engine.definition.visits import every_visit


class ScriptPlace(NamedTuple):
    """One script and where it stands."""

    path: str
    reference: str
    evaluator: str
    expression: str


def scripts_of(definition: Definition) -> list[ScriptPlace]:
    """Return every script to check, in document order."""
    found = list(scripts_of_saga(definition))
    for visit in every_visit(definition.tasks):
        found += scripts_of_step(visit.step)
    return found


def scripts_of_saga(definition: Definition) -> Iterator[ScriptPlace]:
    """Give the scripts of the `saga` object."""
    confirm = definition.saga.confirm_plan
    if isinstance(confirm, Script):
        yield place_of(confirm, pointer(definition.saga_path, "confirmPlan"), "")
    for index, trigger in enumerate(definition.saga.triggers):
        condition = trigger.get("condition")
        if isinstance(condition, str) and condition:
            path = pointer(definition.saga_path, "triggers", index, "condition")
            yield ScriptPlace(path, "", "javascript", condition)


def scripts_of_step(step: Step) -> Iterator[ScriptPlace]:
    """Give the scripts of one step."""
    if step.type == "SWITCH" and step.evaluator == "javascript":
        path = pointer(step.path, "expression")
        yield ScriptPlace(path, step.reference, "javascript", step.expression)
    if step.type == "DECISION" and step.expression:
        path = pointer(step.path, "caseExpression")
        yield ScriptPlace(path, step.reference, "javascript", step.expression)
    if step.compensation is not None and step.compensation.approval_if is not None:
        path = pointer(saga_pointer(step, "compensation"), "approvalIf")
        yield place_of(step.compensation.approval_if, path, step.reference)


def place_of(script: Script, path: str, reference: str) -> ScriptPlace:
    """Return a script with its place."""
    return ScriptPlace(pointer(path, "expression"), reference, script.evaluator, script.expression)
