"""E4 and E11: what the undo reads must be something that the forward step has."""

from collections.abc import Iterator, Mapping

from orchestrator.engine.canonical import JSONValue
from orchestrator.engine.definition.model import Step
from orchestrator.engine.definition.problems import pointer
from orchestrator.engine.definition.registration import texts_with_pointers
from orchestrator.engine.definition.validation.facts import ChildFacts
from orchestrator.engine.definition.validation.findings import Findings, place
from orchestrator.engine.definition.validation.schemas import lacks
from orchestrator.engine.definition.visits import attached_visits
from orchestrator.engine.expressions.mapping import Read, reads_of_text

ALWAYS_THERE = "subWorkflowId"
"""The one output key of every sub-workflow step."""


def check_mappings(findings: Findings) -> None:
    """Apply the rules about what undos, probes and confirms read."""
    for step in findings.steps:
        check_schemas(findings, step)
        if step.compensation is not None and step.sub_workflow is not None:
            check_black_box(findings, step)


def check_schemas(findings: Findings, step: Step) -> None:
    """E4: a path that the schema of the forward input or output does not have."""
    schemas = schemas_of(findings, step)
    if not schemas:
        return
    for path, read in (*attached_reads(step), *moment_reads(step)):
        schema = schemas.get(read[1]) if len(read) > 1 else None
        if read[0] == step.reference and schema is not None and lacks(schema, read[2:]):
            message = (
                f"The undo reads `{'.'.join(read)}`, which the {read[1]} schema of "
                f'"{step.reference}" does not have.'
            )
            findings.error("E4", path, message, step)


def schemas_of(findings: Findings, step: Step) -> dict[str, Mapping[str, JSONValue]]:
    """Return the declared schemas of a step's input and output."""
    policy = findings.policy(step)
    child = child_of(findings, step)
    given = {
        "input": policy.input_schema if policy is not None else None,
        "output": policy.output_schema if policy is not None else None,
    }
    if given["output"] is None and child is not None:
        given["output"] = child.output_schema
    return {name: schema for name, schema in given.items() if schema is not None}


def attached_reads(step: Step) -> Iterator[tuple[str, Read]]:
    """Give what the undo, probe and confirm of a step read, with the place of each expression."""
    for visit in attached_visits(step):
        path = pointer(visit.step.path, "inputParameters")
        for where, text in texts_with_pointers(visit.step.inputs, path):
            for read in sorted(reads_of_text(text)):
                yield where, read


def moment_reads(step: Step) -> Iterator[tuple[str, Read]]:
    """Give what the moments of an undo read."""
    undo = step.compensation
    if undo is None:
        return
    for key, moment in (("notBefore", undo.not_before), ("notAfter", undo.not_after)):
        if moment is not None:
            path = place(step, "compensation", key, "at")
            for where, text in texts_with_pointers(moment.at, path):
                for read in sorted(reads_of_text(text)):
                    yield where, read


def child_of(findings: Findings, step: Step) -> ChildFacts | None:
    """Return what is known about the child of a sub-workflow step."""
    called = step.sub_workflow
    if called is None or not isinstance(called.version, int | None):
        return None
    if isinstance(called.definition, Mapping):
        schema = called.definition.get("outputSchema")
        data = schema.get("data") if isinstance(schema, Mapping) else None
        return ChildFacts(
            has_output_schema=isinstance(schema, Mapping),
            output_schema=data if isinstance(data, Mapping) else None,
        )
    return findings.facts.children.get((called.name, called.version))


def check_black_box(findings: Findings, step: Step) -> None:
    """E11: the undo of a child reads its output, and nobody has said what that looks like."""
    child = child_of(findings, step)
    if child is None or not child.exists or child.has_output_schema:
        return
    for path, read in attached_reads(step):
        if read[:2] == (step.reference, "output") and read[2:] != (ALWAYS_THERE,):
            message = (
                f'The undo of "{step.reference}" reads the output of the child, whose definition '
                "has no `outputSchema`."
            )
            findings.error("E11", path, message, step)
