"""Inputs and outputs from templates: earlier results, variables and the execution's own input.

The table of conductor/definitions.md §6 is followed to the letter. Values only: keys of maps are
never substituted, and what an expression finds is never searched for expressions again.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache

from orchestrator.engine.canonical import JSONValue
from orchestrator.engine.expressions import walk
from orchestrator.engine.expressions.limits import (
    MAX_BUILT,
    MAX_DEPTH,
    MAX_RESULT,
    ExpressionTooLarge,
)
from orchestrator.engine.expressions.paths import parse_path
from orchestrator.engine.expressions.rendering import embedded, size_of
from orchestrator.engine.expressions.syntax import Key, Path
from orchestrator.engine.expressions.templates import (
    Lookup,
    Nested,
    Part,
    Secret,
    Template,
    compile_template,
    public_path,
)

ANY_ROOT = "*"
"""Stands for the name of a root that is only known when the template is resolved."""

Read = tuple[str, ...]


def resolve(template: JSONValue, roots: Mapping[str, JSONValue]) -> JSONValue:
    """Return the template with every `${…}` replaced by what it finds in the roots.

    A root that is not given reads null. `${workflow.secrets.X}` stays as it is. A template without
    expressions comes back as the same object.

    Raises:
        ExpressionTooLarge: the result passes a bound of `limits`.
    """
    return Resolution(roots).value(template, 0)


def roots(template: JSONValue) -> frozenset[str]:
    """Return the names of the roots that the template reads; `*` when one is not known yet."""
    return frozenset(read[0] for read in reads(template))


def reads(template: JSONValue) -> frozenset[Read]:
    """Return the leading literal keys of every path the template reads.

    `${charge.output.items[0].id}` gives `("charge", "output", "items")`; a path that begins with
    something computed gives `("*",)`.
    """
    return frozenset(read for text in strings(template) for read in reads_of_text(text))


def strings(template: JSONValue) -> Iterator[str]:
    """Give every string of a template that may hold expressions, without recursion."""
    waiting = [template]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            if "${" in value:
                yield value
        elif isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


@lru_cache(maxsize=8192)
def reads_of_text(text: str) -> frozenset[Read]:
    """Return the leading literal keys of every path in one string."""
    return frozenset(reads_of_template(compile_template(text)))


def reads_of_template(template: Template) -> Iterator[Read]:
    """Give the reads of a compiled string."""
    for part in template.parts:
        match part:
            case Lookup(path=Path() as path):
                yield leading_keys(path)
            case Secret(name=name):
                yield ("workflow", "secrets", name)
            case Nested(inner=inner):
                yield from reads_of_template(inner)
                yield leading_literal(inner)
            case _:
                continue


def leading_keys(path: Path) -> Read:
    """Return the names a path begins with."""
    names: list[str] = []
    for token in path.tokens:
        if not isinstance(token, Key):
            break
        names.append(token.name)
    return tuple(names) or (ANY_ROOT,)


def leading_literal(template: Template) -> Read:
    """Return the names that stand before the first computed part of an expression."""
    first = template.parts[0]
    literal, dot, _ = first.rpartition(".") if isinstance(first, str) else ("", "", "")
    path = parse_path(literal) if dot else None
    return leading_keys(path) if path is not None else (ANY_ROOT,)


def secrets(template: JSONValue) -> frozenset[str]:
    """Return the names of the secrets that the template itself asks for."""
    return frozenset(
        read[2] for read in reads(template) if read[:2] == ("workflow", "secrets") and len(read) > 2
    )


class Resolution:
    """One call of `resolve`: its roots, and how much it has drawn in so far."""

    def __init__(self, given: Mapping[str, JSONValue]) -> None:
        self._roots = given
        self._size = 0

    def value(self, template: JSONValue, depth: int) -> JSONValue:
        """Resolve a template; the same object when there is nothing to replace."""
        if isinstance(template, str):
            return (
                self._text(compile_template(template), template) if "${" in template else template
            )
        if not isinstance(template, dict | list):
            return template
        if depth >= MAX_DEPTH:
            raise ExpressionTooLarge("its template is nested too deeply", MAX_DEPTH)
        if isinstance(template, dict):
            resolved = {key: self.value(item, depth + 1) for key, item in template.items()}
            is_same = all(resolved[key] is item for key, item in template.items())
            return template if is_same else resolved
        items = [self.value(item, depth + 1) for item in template]
        return template if all(map(same, items, template)) else items

    def _text(self, template: Template, original: str) -> JSONValue:
        parts = template.parts
        if template.is_whole:
            return self._counted(self._part(parts[0]))
        if len(parts) == 1 and isinstance(parts[0], str):
            return original if parts[0] == original else parts[0]
        return self._joined(template)

    def _joined(self, template: Template) -> str:
        texts: list[str] = []
        size = 0
        for part in template.parts:
            text = self._embedded(part)
            size += len(text)
            if size > MAX_BUILT:
                raise ExpressionTooLarge(f"it makes a text of {size} characters", MAX_BUILT)
            texts.append(text)
        self._count(size)
        return "".join(texts)

    def _embedded(self, part: Part) -> str:
        match part:
            case str():
                return part
            case Secret(text=text):
                return text
            case _:
                path = self._path(part)
        if path is None:
            return "null"
        found = walk.read(path, self._roots)
        return embedded(found, is_match_list=not path.is_definite)

    def _part(self, part: Part) -> JSONValue:
        match part:
            case str():
                return part
            case Secret(text=text):
                return text
            case _:
                path = self._path(part)
        if path is None:
            return None
        found = walk.read(path, self._roots)
        if path.direct is None and size_of(found) > MAX_BUILT:
            raise ExpressionTooLarge(f"it makes a value of {size_of(found)} characters", MAX_BUILT)
        return found

    def _path(self, part: Lookup | Nested) -> Path | None:
        if isinstance(part, Lookup):
            return part.path
        return public_path(self._joined(part.inner))

    def _counted(self, value: JSONValue) -> JSONValue:
        if isinstance(value, str | dict | list):
            self._count(size_of(value))
        return value

    def _count(self, size: int) -> None:
        self._size += size
        if self._size > MAX_RESULT:
            raise ExpressionTooLarge(f"it draws in {self._size} characters", MAX_RESULT)


def same(left: JSONValue, right: JSONValue) -> bool:
    """Tell whether two values are one object."""
    return left is right
