"""What steps answer in a simulation: the mock, a value of the declared schema, or nothing."""

from collections.abc import Mapping
from typing import Any

from orchestrator.engine.canonical import JSONValue
from orchestrator.engine.definition.model import TaskPolicy
from orchestrator.engine.definition.validation.schemas import resolved
from orchestrator.engine.simulation.setup import Scene
from orchestrator.engine.snapshot import StepRun

DEEPEST = 8
_OF_TYPE: Mapping[str, JSONValue] = {
    "string": "",
    "integer": 0,
    "number": 0,
    "boolean": False,
    "array": [],
    "null": None,
}
_SAID = ("const", "default")
_OUTPUT_OF: Mapping[str, Mapping[str, JSONValue]] = {
    "HTTP": {"response": {"statusCode": 200, "reasonPhrase": "OK", "headers": {}, "body": {}}}
}


def output_of(scene: Scene, run: StepRun, policy: TaskPolicy) -> dict[str, Any]:
    """Return what a step run answers when it succeeds."""
    mock = scene.mocks.get(run.reference)
    if isinstance(mock, Mapping):
        return dict(mock)
    if mock:
        # A loop that goes round more often than there are mocks gets the last one again.
        return dict(mock[min(max(run.iteration, 1), len(mock)) - 1])
    # People fill in the form that the step shows them.
    schema = run.input.get("formSchema") if run.type == "HUMAN" else policy.output_schema
    if isinstance(schema, Mapping):
        sample = sample_of(schema)
        return sample if isinstance(sample, dict) else {}
    return dict(_OUTPUT_OF.get(run.type, {}))


def sample_of(schema: Mapping[str, JSONValue]) -> JSONValue:
    """Return a plain value that a schema describes, taken from its own examples where it can be."""
    return _sample(dict(schema), schema, 0)


def _sample(part: JSONValue, root: Mapping[str, JSONValue], depth: int) -> JSONValue:
    part = resolved(part, root)
    if not isinstance(part, Mapping) or depth > DEEPEST:
        return None
    for key in _SAID:
        if key in part:
            said: JSONValue = part[key]
            return said
    for key in ("examples", "enum"):
        values = part.get(key)
        if isinstance(values, list) and values:
            first: JSONValue = values[0]
            return first
    return _of_type(part, root, depth)


def _of_type(part: Mapping[str, JSONValue], root: Mapping[str, JSONValue], depth: int) -> JSONValue:
    declared = part.get("type")
    kind = declared[0] if isinstance(declared, list) and declared else declared
    properties = part.get("properties")
    if isinstance(properties, Mapping):
        return {name: _sample(inner, root, depth + 1) for name, inner in properties.items()}
    if kind == "object":
        return {}
    least = part.get("minItems")
    if kind == "array" and isinstance(least, int) and least > 0:
        return [_sample(part.get("items"), root, depth + 1)]
    lowest = part.get("minimum")
    if kind in ("integer", "number") and isinstance(lowest, int | float):
        return lowest
    return _OF_TYPE.get(kind) if isinstance(kind, str) else None
