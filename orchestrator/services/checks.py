"""What is wrong with a definition: the engine's rules, fed with what the database knows.

Everything here reads and nothing locks: a script's syntax is checked in the jail, which is too slow
for a transaction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from orchestrator.border.jail import pool
from orchestrator.border.jail.scripts import Language, ScriptCall
from orchestrator.engine.canonical import JSONValue, canonical
from orchestrator.engine.definition import document as documents
from orchestrator.engine.definition import problems as problem_values
from orchestrator.engine.definition.model import Definition, Kind, Problem
from orchestrator.engine.definition.scripts import scripts_of
from orchestrator.engine.definition.validation.check import check
from orchestrator.models import TaskDefinition
from orchestrator.services import facts
from orchestrator.services.errors import Invalid

SIZE_LIMIT = 5 * 1024 * 1024
"""Characters of a definition's canonical spelling."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A document that was looked at."""

    document: Mapping[str, JSONValue]
    definition: Definition | None
    problems: tuple[Problem, ...]

    @property
    def has_errors(self) -> bool:
        """Tell whether something forbids to publish or run it."""
        return self.definition is None or any(row.severity == "error" for row in self.problems)


def examine(*, document: JSONValue, inline: bool = False, publisher: str = "") -> Checked:
    """Find everything wrong with a document; never raises for its content.

    Asks the jail, so it must not be called while a row is locked.

    Args:
        document: What was sent.
        inline: It is run as it is, without being registered.
        publisher: Name of who is about to publish it; empty while nobody is.
    """
    checked = examine_rules(document=document, inline=inline, publisher=publisher)
    if checked.definition is None:
        return checked
    return replace(checked, problems=(*checked.problems, *_script_problems(checked.definition)))


def examine_rules(*, document: JSONValue, inline: bool = False, publisher: str = "") -> Checked:
    """Find what is wrong with a document apart from the syntax of its scripts; only reads rows."""
    parsed = documents.parse(document, inline=inline, task_templates=_task_templates(document))
    problems = list(parsed.problems)
    if parsed.definition is not None:
        surroundings = facts.facts_for(parsed.definition, publisher=publisher)
        problems += check(parsed.definition, surroundings)
        problems += _size_problems(parsed.definition)
    held = document if isinstance(document, Mapping) else {}
    return Checked(document=held, definition=parsed.definition, problems=tuple(problems))


def public(problems: Sequence[Problem]) -> list[dict[str, object]]:
    """Return problems as the API shows them."""
    return [dict(problem_values.to_public(problem)) for problem in problems]


def require_sound(checked: Checked) -> Definition:
    """Return the definition, or raise `Invalid` with every problem when one is an error."""
    if checked.definition is None or checked.has_errors:
        errors = [row for row in checked.problems if row.severity == "error"]
        first = errors[0].message if errors else "It is no workflow definition."
        raise Invalid(
            f"The definition has {len(errors) or 1} error(s). {first}", public(checked.problems)
        )
    return checked.definition


def _size_problems(definition: Definition) -> list[Problem]:
    size = len(canonical(definition.document))
    if size <= SIZE_LIMIT:
        return []
    message = f"A definition has at most {SIZE_LIMIT} characters; this one has {size}."
    return [Problem(code="FORMAT", severity="error", path="", message=message)]


def _task_templates(document: JSONValue) -> dict[str, Mapping[str, JSONValue]]:
    """Return what registered TaskDefs give to the tasks that a document names."""
    rows = TaskDefinition.objects.filter(name__in=_task_names(document))
    return {
        row.name: template
        for row in rows
        if isinstance(template := row.document.get("inputTemplate"), dict) and template
    }


def _task_names(document: JSONValue) -> set[str]:
    """Find the names of tasks at any depth, in whatever shape the document is."""
    names: set[str] = set()
    waiting: list[JSONValue] = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            name = value.get("name")
            if "taskReferenceName" in value and isinstance(name, str):
                names.add(name)
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
    return names


def _script_problems(definition: Definition) -> list[Problem]:
    places = [place for place in scripts_of(definition) if place.evaluator in _JAVASCRIPT]
    answers = pool.evaluate(
        [ScriptCall(language=Language.SYNTAX, source=place.expression) for place in places]
    )
    code = "CONDUCTOR" if definition.kind is Kind.PLAIN else "FORMAT"
    return [
        Problem(
            code=code,
            severity="error",
            path=place.path,
            task_reference=place.reference,
            message=f"The script cannot be read as JavaScript: {answer.error.message}",
        )
        for place, answer in zip(places, answers, strict=True)
        if answer.error is not None
    ]


_JAVASCRIPT = frozenset({"javascript", "graaljs"})
