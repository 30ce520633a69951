"""Whether a JSON Schema can have a value at a path; only what it declares counts."""

from collections.abc import Mapping, Sequence

from orchestrator.engine.canonical import JSONValue

MOST_REFERENCES = 20
OPEN = ("allOf", "anyOf", "oneOf", "if", "patternProperties", "$dynamicRef")
"""Keywords under which more may be declared than `properties` says."""


def lacks(schema: Mapping[str, JSONValue], names: Sequence[str]) -> bool:
    """Tell whether the schema rules out, or does not know, a value at this path.

    Where `properties` are declared, others are taken for misspellings unless
    `additionalProperties` allows them in so many words.
    """
    current: JSONValue = schema
    for name in names:
        current = resolved(current, schema)
        if current is False:
            return True
        if not isinstance(current, Mapping) or any(key in current for key in OPEN):
            return False
        properties = current.get("properties")
        if isinstance(properties, Mapping) and name in properties:
            current = properties[name]
            continue
        if not may_be_object(current.get("type")):
            return True
        additional = current.get("additionalProperties")
        if additional is None:
            return isinstance(properties, Mapping) and bool(properties)
        current = additional
    return resolved(current, schema) is False


def may_be_object(declared: JSONValue) -> bool:
    """Tell whether a value of this type can have properties."""
    if isinstance(declared, str):
        return declared == "object"
    return not isinstance(declared, list) or "object" in declared


def resolved(current: JSONValue, root: Mapping[str, JSONValue]) -> JSONValue:
    """Follow references inside the same schema; true where they lead nowhere."""
    for _ in range(MOST_REFERENCES):
        target = current.get("$ref") if isinstance(current, Mapping) else None
        if not isinstance(target, str):
            return current
        if not target.startswith("#"):
            return True
        current = root
        for part in target[1:].split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            if not isinstance(current, Mapping) or name not in current:
                return True
            current = current[name]
    return True
