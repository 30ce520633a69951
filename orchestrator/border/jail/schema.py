"""JSON Schema validation. Runs inside the jail only: patterns and references can explode."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from jsonschema.validators import validator_for
from referencing import Registry
from referencing.exceptions import Unresolvable

from orchestrator.border.jail.refusals import ScriptFailed, ScriptRefused
from orchestrator.border.positions import escape

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

_MOST_PROBLEMS = 100
_LONGEST_MESSAGE = 300
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")


def evaluate(schema_text: str, data: str) -> str:
    """Validate the data, both as text, and return a JSON list of problems."""
    validator = _validator(_parse(schema_text))
    problems: list[dict[str, str]] = []
    try:
        for error in validator.iter_errors(json.loads(data)):
            pointer = "".join(f"/{escape(str(token))}" for token in error.absolute_path)
            problems.append({"pointer": pointer, "message": error.message[:_LONGEST_MESSAGE]})
            if len(problems) == _MOST_PROBLEMS:
                break
    except Unresolvable as error:
        raise ScriptFailed(f"The schema refers to something it lacks: {error.ref}") from error
    except RecursionError as error:
        raise ScriptFailed("The schema refers to itself without end.") from error
    return json.dumps(problems)


def _parse(schema_text: str) -> Any:
    try:
        schema = json.loads(schema_text)
    except (ValueError, RecursionError) as error:
        raise ScriptFailed(f"The schema is not JSON: {error}") from error
    if not isinstance(schema, dict | bool):
        raise ScriptFailed("A schema is an object, true or false.")
    _refuse_outside_references(schema)
    return schema


def _validator(schema: Any) -> Validator:
    kind = validator_for(schema, default=Draft202012Validator)
    try:
        kind.check_schema(schema)
    except SchemaError as error:
        raise ScriptFailed(f"The schema is wrong: {error.message[:_LONGEST_MESSAGE]}") from error
    # Without a registry of its own the library fetches what a reference names.
    validator: Validator = kind(schema, registry=Registry())
    return validator


def _refuse_outside_references(schema: Any) -> None:
    waiting = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            for name in _REFERENCES:
                target = node.get(name)
                if isinstance(target, str) and not target.startswith("#"):
                    raise ScriptRefused(
                        f"A schema may refer to its own parts only, not {target!r}."
                    )
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
