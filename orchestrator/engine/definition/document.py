"""A definition document as values, or what is wrong with it, with JSON pointers.

The document is a Conductor WorkflowDef with saga keys (product.md §3). It is read as Conductor
reads it outside the saga parts and strictly inside them, and it is never changed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from orchestrator.engine.canonical import JSONValue
from orchestrator.engine.definition.carrier import (
    AMENDS,
    Carrier,
    contradiction,
    is_other,
    read_carrier,
)
from orchestrator.engine.definition.fields import Fields, SagaFields
from orchestrator.engine.definition.model import (
    Definition,
    Kind,
    Problem,
    SagaSettings,
    Step,
    TimeoutPolicy,
)
from orchestrator.engine.definition.problems import ERROR, FORMAT, Problems, pointer, spoken
from orchestrator.engine.definition.registration import check_registration, check_task
from orchestrator.engine.definition.saga_settings import read_definition_settings
from orchestrator.engine.definition.scripts import ScriptPlace, scripts_of
from orchestrator.engine.definition.task_policy import parse_task_policy, schema_data
from orchestrator.engine.definition.tasks import MAX_TASKS, TaskReader, TooManyTasks
from orchestrator.engine.definition.visits import every_visit
from orchestrator.engine.expressions.limits import MAX_TEXT

__all__ = [
    "ParseResult",
    "ScriptPlace",
    "parse",
    "parse_task",
    "parse_task_policy",
    "scripts_of",
]

MAX_NESTING: Final = 50
SCRIPT_KEYS: Final = frozenset(
    {"expression", "loopCondition", "caseExpression", "scriptExpression", "queryExpression"}
)
NO_TEMPLATES: Final[Mapping[str, Mapping[str, JSONValue]]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class ParseResult:
    """What became of a document."""

    definition: Definition | None
    """None only when the document cannot be represented at all."""
    problems: tuple[Problem, ...]

    @property
    def has_errors(self) -> bool:
        """Tell whether something must be put right before the document can be used."""
        return any(problem.severity == ERROR for problem in self.problems)


def parse(
    document: JSONValue,
    *,
    inline: bool = False,
    task_templates: Mapping[str, Mapping[str, JSONValue]] = NO_TEMPLATES,
) -> ParseResult:
    """Parse a definition document.

    Args:
        document: what was registered, saved or sent.
        inline: the definition is run as it is, without being registered; then it may be empty.
        task_templates: `inputTemplate` of registered task definitions, by task name; what they
            give, a task need not.
    """
    limit = limit_problem(document)
    if limit is not None:
        return ParseResult(definition=None, problems=(limit,))
    if not isinstance(document, dict):
        message = f"A definition must be an object, not {spoken(document)}."
        return ParseResult(definition=None, problems=(format_problem("", message),))
    problems = Problems()
    try:
        definition = read_definition(document, problems, inline=inline)
    except TooManyTasks:
        message = f"A definition may have at most {MAX_TASKS} tasks."
        return ParseResult(definition=None, problems=(format_problem("", message),))
    check_registration(definition, problems, task_templates)
    for path, inner in inline_definitions(definition):
        found = parse(inner, inline=True, task_templates=task_templates).problems
        problems.found += [replace(problem, path=path + problem.path) for problem in found]
    return ParseResult(definition=definition, problems=tuple(problems.found))


def parse_task(document: JSONValue, path: str = "") -> tuple[Step | None, tuple[Problem, ...]]:
    """Parse a task that is given as data, as dynamic forks do."""
    limit = limit_problem(document, path)
    if limit is not None:
        return None, (limit,)
    problems = Problems()
    try:
        step = TaskReader(problems, Carrier()).step(document, path)
    except TooManyTasks:
        return None, (format_problem(path, f"A task may hold at most {MAX_TASKS} tasks."),)
    if step is not None:
        check_task(step, problems)
    return step, tuple(problems.found)


def inline_definitions(definition: Definition) -> list[tuple[str, JSONValue]]:
    """Return the definitions that sub-workflow steps bring along, with their pointers."""
    return [
        (
            pointer(visit.step.path, "subWorkflowParam", "workflowDefinition"),
            visit.step.sub_workflow.definition,
        )
        for visit in every_visit(definition.tasks)
        if visit.step.sub_workflow is not None
        and isinstance(visit.step.sub_workflow.definition, dict)
    ]


def read_definition(
    document: Mapping[str, JSONValue], problems: Problems, *, inline: bool
) -> Definition:
    """Read the keys of a definition and everything below them."""
    fields = Fields(document, "", problems)
    carrier = read_carrier(document, problems)
    reader = TaskReader(problems, carrier)
    settings, saga_path = read_saga(document, carrier, problems)
    tasks = reader.sequence(fields.given("tasks"), fields.at("tasks"))
    carrier.check_all_used(problems)
    check_head(fields, tasks, inline=inline)
    return Definition(
        name=fields.text("name"),
        version=fields.integer("version", 1, least=1),
        kind=kind_of(has_saga=bool(saga_path), has_saga_keys=reader.has_saga_keys),
        tasks=tasks,
        saga=settings,
        saga_path=saga_path,
        input_template=fields.mapping("inputTemplate"),
        output_parameters=fields.mapping("outputParameters"),
        variables=fields.mapping("variables"),
        timeout_policy=read_timeout_policy(fields),
        timeout_seconds=fields.integer("timeoutSeconds", 0, least=0),
        failure_workflow=fields.text("failureWorkflow"),
        failure_workflow_version=fields.optional_integer("failureWorkflowVersion") or None,
        restartable=fields.flag("restartable", default=True),
        input_schema=schema_data(fields, "inputSchema"),
        output_schema=schema_data(fields, "outputSchema"),
        document=document,
    )


def read_saga(
    document: Mapping[str, JSONValue], carrier: Carrier, problems: Problems
) -> tuple[SagaSettings, str]:
    """Read the `saga` of the definition, from its own place or from the carrier."""
    own, carried = document.get("saga"), carrier.saga
    place = "/saga" if own is not None else pointer(AMENDS, "saga")
    if own is not None and carried is not None and is_other(own, carried):
        problems.format(pointer(AMENDS, "saga"), contradiction("saga"))
    value = own if own is not None else carried
    if value is None:
        return SagaSettings(), ""
    if not isinstance(value, dict):
        problems.format(place, f"`saga` must be an object, not {spoken(value)}.")
        return SagaSettings(), place
    return read_definition_settings(SagaFields(value, place, problems)), place


def kind_of(*, has_saga: bool, has_saga_keys: bool) -> Kind:
    """Tell by which rules the definition runs."""
    if has_saga:
        return Kind.SAGA
    return Kind.IMPLICIT if has_saga_keys else Kind.PLAIN


def read_timeout_policy(fields: Fields) -> TimeoutPolicy:
    """Read what follows when the whole run takes too long; runs are not retried by it."""
    policy = fields.choice("timeoutPolicy", TimeoutPolicy.ALERT_ONLY)
    if policy is TimeoutPolicy.RETRY:
        fields.expected("timeoutPolicy", "TIME_OUT_WF or ALERT_ONLY")
        return TimeoutPolicy.ALERT_ONLY
    return policy


def check_head(fields: Fields, tasks: tuple[Step, ...], *, inline: bool) -> None:
    """Check the keys of the definition itself by Conductor's rules."""
    name = fields.text("name") if isinstance(fields.given("name"), str) else "-"
    if fields.given("name") is None or not name.strip():
        fields.wrong("name", "A definition needs a name.")
    elif ":" in name:
        fields.wrong("name", f'The name "{name[:60]}" must not contain ":".')
    elif len(name) > 255:
        fields.wrong("name", "The name must not be longer than 255 characters.")
    if fields.integer("schemaVersion", 2) != 2:
        fields.wrong("schemaVersion", "`schemaVersion` must be 2; version 1 is not supported.")
    if not tasks and not inline and isinstance(fields.given("tasks"), list | None):
        fields.wrong("tasks", "A definition needs at least one task.")
    fields.texts("inputParameters")


def limit_problem(document: JSONValue, path: str = "") -> Problem | None:
    """Return the limit a document passes, found without recursion; None when it keeps them all."""
    waiting: list[tuple[JSONValue, str, int, str]] = [(document, path, 0, "")]
    while waiting:
        value, place, depth, key = waiting.pop()
        if isinstance(value, str):
            is_expression = "${" in value or key in SCRIPT_KEYS
            if is_expression and len(value) > MAX_TEXT:
                message = f"An expression may have at most {MAX_TEXT} characters."
                return format_problem(place, message)
            continue
        if not isinstance(value, dict | list):
            continue
        if depth >= MAX_NESTING:
            message = f"A definition may be nested at most {MAX_NESTING} deep."
            return format_problem(place, message)
        items = value.items() if isinstance(value, dict) else enumerate(value)
        waiting.extend(
            (item, pointer(place, part), depth + 1, part if isinstance(part, str) else "")
            for part, item in items
            if isinstance(item, str | dict | list)
        )
    return None


def format_problem(path: str, message: str) -> Problem:
    """Return a problem that stands alone, because nothing can be read beyond it."""
    return Problem(code=FORMAT, severity=ERROR, path=path, message=message)
