"""One string with `${…}` in it, compiled: which parts are text and which are read.

Braces are paired in one pass, so that a text full of unclosed `${` costs no more than any other.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from orchestrator.engine.expressions.limits import MAX_DEPTH
from orchestrator.engine.expressions.paths import parse_path
from orchestrator.engine.expressions.syntax import Key, Path

SECRETS = "workflow.secrets."


@dataclass(frozen=True, slots=True)
class Lookup:
    """A path known beforehand; None reads null."""

    path: Path | None


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret: stays the text it is until the task is handed out."""

    text: str
    name: str


@dataclass(frozen=True, slots=True)
class Nested:
    """An expression with expressions inside: its path is known once those are."""

    inner: "Template"


Part: TypeAlias = str | Lookup | Secret | Nested


@dataclass(frozen=True, slots=True)
class Template:
    """The parts of one string, in order."""

    parts: tuple[Part, ...]
    is_whole: bool
    """The string is one expression and nothing else, so its value keeps its type."""


@lru_cache(maxsize=8192)
def compile_template(text: str) -> Template:
    """Compile a string; one without expressions comes back as a single text part."""
    return compile_at_depth(text, 0)


def compile_at_depth(text: str, depth: int) -> Template:
    """Compile a string that stands inside `depth` others."""
    parts: list[Part] = []
    position = 0
    for start, end in expressions_of(text):
        if start > position:
            parts.append(unescaped(text[position:start]))
        parts.append(compile_expression(text[start + 2 : end], depth))
        position = end + 1
    if position < len(text) or not parts:
        parts.append(unescaped(text[position:]))
    is_whole = len(parts) == 1 and not isinstance(parts[0], str) and position == len(text)
    return Template(parts=tuple(parts), is_whole=is_whole)


def compile_expression(inner: str, depth: int) -> Part:
    """Compile what stands between `${` and its `}`."""
    if not inner.strip():
        return ""
    if depth >= MAX_DEPTH:
        return Lookup(None)
    if "${" in inner:
        return Nested(compile_at_depth(inner, depth + 1))
    if inner.startswith(SECRETS):
        return Secret(text=f"${{{inner}}}", name=inner[len(SECRETS) :])
    return Lookup(public_path(inner))


def public_path(inner: str) -> Path | None:
    """Parse a path, unless it would read secrets by another spelling or a computed name."""
    path = parse_path(inner)
    if path is not None and path.tokens[:2] == (Key("workflow"), Key("secrets")):
        return None
    return path


def unescaped(text: str) -> str:
    """Turn `$${`, the way to write a literal `${`, into what it means."""
    return text.replace("$${", "${") if "$${" in text else text


def expressions_of(text: str) -> list[tuple[int, int]]:
    """Return start and closing brace of each outermost `${…}` that is closed and not escaped."""
    opened: list[int] = []
    pairs: list[tuple[int, int]] = []
    for position, character in enumerate(text):
        if character == "{":
            opened.append(position)
        elif character == "}" and opened:
            start = opened.pop()
            if is_expression(text, start):
                while pairs and pairs[-1][0] > start:
                    pairs.pop()
                pairs.append((start - 1, position))
    return pairs


def is_expression(text: str, brace: int) -> bool:
    """Tell whether the brace belongs to a `${` that is not written as `$${`."""
    if brace == 0 or text[brace - 1] != "$":
        return False
    return brace == 1 or text[brace - 2] != "$"
