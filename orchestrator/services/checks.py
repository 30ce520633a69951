"""What is wrong with a definition: the engine's rules, fed with what the database knows.

Everything here reads and nothing locks: a script's syntax is checked in the jail, which is too slow
for a transaction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.border.jail import pool
from orchestrator.border.jail.scripts import Language, ScriptCall
from orchestrator.engine.canonical import JSONValue
from orchestrator.engine.definition import document as documents
from orchestrator.engine.definition import problems as problem_values
from orchestrator.engine.definition import validation
from orchestrator.engine.definition.model import Definition, Kind, Problem
from orchestrator.services import children
from orchestrator.services.errors import Invalid

NAME_LIMIT = 255


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


def examine(*, document: JSONValue, inline: bool = False) -> Checked:
    """Find everything wrong with a document; never raises for its content."""
    parsed = documents.parse(document, inline=inline)
    problems = list(parsed.problems)
    if parsed.definition is not None:
        problems += _name_problems(parsed.definition)
        facts = children.facts_for(parsed.definition)
        problems += validation.check(parsed.definition, facts)
        problems += _script_problems(parsed.definition)
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


def _name_problems(definition: Definition) -> list[Problem]:
    if len(definition.name) <= NAME_LIMIT:
        return []
    return [
        Problem(
            code="FORMAT",
            severity="error",
            path="/name",
            message=f"A name has at most {NAME_LIMIT} characters; this one has "
            f"{len(definition.name)}.",
        )
    ]


def _script_problems(definition: Definition) -> list[Problem]:
    scripts = [row for row in documents.scripts_of(definition) if row[2] in _JAVASCRIPT]
    if not scripts:
        return []
    answers = pool.evaluate(
        [ScriptCall(language=Language.SYNTAX, source=expression) for *_, expression in scripts]
    )
    code = "CONDUCTOR" if definition.kind is Kind.PLAIN else "FORMAT"
    return [
        Problem(
            code=code,
            severity="error",
            path=path,
            task_reference=reference,
            message=f"The script cannot be read as JavaScript: {answer.error.message}",
        )
        for (path, reference, _, _), answer in zip(scripts, answers, strict=True)
        if answer.error is not None
    ]


_JAVASCRIPT = frozenset({"javascript", "graaljs"})
