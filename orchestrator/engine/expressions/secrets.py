"""Secrets enter an input at the last moment, and only where its template asks for them.

A resolved input holds data from outside beside the literal `${workflow.secrets.X}` of the author.
Whoever starts a run could send that very text; replacing it wherever it stands would hand him the
secret. So template and input are walked side by side.
"""

from collections.abc import Mapping

from orchestrator.engine.canonical import JSONValue
from orchestrator.engine.expressions.templates import Secret, compile_template


def fill_secrets(resolved: JSONValue, template: JSONValue, values: Mapping[str, str]) -> JSONValue:
    """Return the input with the secrets that its template names; unknown ones stay as they are."""
    if isinstance(template, str) and isinstance(resolved, str):
        return filled(resolved, template, values) if "${" in template else resolved
    if isinstance(template, dict) and isinstance(resolved, dict):
        return {
            key: fill_secrets(item, template.get(key), values) for key, item in resolved.items()
        }
    if isinstance(template, list) and isinstance(resolved, list):
        pairs = zip(resolved, template, strict=False)
        rest = resolved[len(template) :]
        return [*(fill_secrets(item, source, values) for item, source in pairs), *rest]
    return resolved


def filled(text: str, template: str, values: Mapping[str, str]) -> str:
    """Replace in one string what its own template names."""
    for part in compile_template(template).parts:
        if isinstance(part, Secret) and part.name in values:
            text = text.replace(part.text, values[part.name])
    return text
