"""Conductor's WorkflowTask, with our saga keys, as a `Step`."""

from collections.abc import Mapping
from typing import Final

from orchestrator.engine.canonical import JSONValue
from orchestrator.engine.definition.carrier import TASK_KEYS, Carrier
from orchestrator.engine.definition.fields import Fields, SagaFields
from orchestrator.engine.definition.model import Step, SubWorkflow
from orchestrator.engine.definition.problems import FORMAT, Problems, pointer, spoken
from orchestrator.engine.definition.saga_keys import CONTROL_FLOW, SagaKeys, read_saga_keys
from orchestrator.engine.definition.task_policy import parse_inline_policy

MAX_TASKS: Final = 10_000
ROLES: Final = {"undo": "an undo", "probe": "a probe", "confirm": "a confirm"}


class TooManyTasks(Exception):
    """The definition has more tasks than can be handled."""


class TaskReader:
    """Reads tasks at any depth; counts them, and collects what is wrong."""

    def __init__(self, problems: Problems, carrier: Carrier) -> None:
        self._problems = problems
        self._carrier = carrier
        self._count = 0
        self.has_saga_keys = False
        """Some task has a saga key, so the definition is not plain."""

    def sequence(self, value: JSONValue, path: str) -> tuple[Step, ...]:
        """Read a list of tasks."""
        if value is None:
            return ()
        if not isinstance(value, list):
            self._problems.conductor(path, f"A list of tasks is expected, not {spoken(value)}.")
            return ()
        steps = (self.step(item, pointer(path, index)) for index, item in enumerate(value))
        return tuple(step for step in steps if step is not None)

    def step(self, value: JSONValue, path: str) -> Step | None:
        """Read one forward task."""
        if not isinstance(value, dict):
            self._problems.conductor(path, f"A task must be an object, not {spoken(value)}.")
            return None
        reference = value.get("taskReferenceName")
        known_as = reference if isinstance(reference, str) else ""
        merged, origins = self._carrier.merged(value, known_as, self._problems)
        fields = Fields(merged, path, self._problems, known_as)
        saga = self._saga_fields(fields, origins)
        self.has_saga_keys = self.has_saga_keys or bool(saga.source)
        step_type = fields.text("type", "SIMPLE")
        return self._built(fields, step_type, read_saga_keys(saga, step_type, self), origins)

    def attached(self, fields: SagaFields, key: str, role: str) -> tuple[Step, ...]:
        """Read the plain sequence of tasks of an undo or a confirm."""
        if not fields.required(key):
            return ()
        tasks = fields.items(key)
        if not tasks and isinstance(fields.given(key), list):
            fields.wrong(key, f"{ROLES[role].capitalize()} needs at least one task.")
        place = fields.at(key)
        steps = (
            self._attached_step(item, pointer(place, index), role)
            for index, item in enumerate(tasks)
        )
        return tuple(step for step in steps if step is not None)

    def attached_one(self, fields: SagaFields, key: str, role: str) -> Step | None:
        """Read a task that stands alone."""
        value = fields.given(key)
        return None if value is None else self._attached_step(value, fields.at(key), role)

    def _attached_step(self, value: JSONValue, path: str, role: str) -> Step | None:
        if not isinstance(value, dict):
            self._problems.format(path, f"A task must be an object, not {spoken(value)}.")
            return None
        reference = value.get("taskReferenceName")
        known_as = reference if isinstance(reference, str) else ""
        merged, origins = self._carrier.merged(value, known_as, self._problems)
        fields = Fields(merged, path, self._problems, known_as)
        saga = self._saga_fields(fields, origins)
        step_type = fields.text("type", "SIMPLE")
        if step_type in CONTROL_FLOW:
            self._problems.format(
                fields.at("type"),
                f"{ROLES[role].capitalize()} is a plain sequence of tasks; put {step_type} into a "
                "SUB_WORKFLOW.",
                known_as,
            )
        self._refuse_saga_keys(saga, role)
        outcomes = {key: item for key, item in saga.source.items() if key == "outcomes"}
        allowed = SagaFields(outcomes, path, self._problems, known_as, origins)
        return self._built(fields, step_type, read_saga_keys(allowed, step_type, self), origins)

    def _refuse_saga_keys(self, saga: SagaFields, role: str) -> None:
        for key in saga.source:
            if key == "outcomes":
                continue
            code = "E6" if role == "undo" else FORMAT
            message = (
                f"`{key}` cannot stand on a task of {ROLES[role]}: only forward steps have it."
            )
            self._problems.error(code, saga.at(key), message, saga.reference)

    def _saga_fields(self, fields: Fields, origins: Mapping[str, str]) -> SagaFields:
        given = {key: fields.source[key] for key in TASK_KEYS if fields.source.get(key) is not None}
        return SagaFields(given, fields.path, self._problems, fields.reference, origins)

    def _built(
        self, fields: Fields, step_type: str, saga: SagaKeys, origins: Mapping[str, str]
    ) -> Step:
        self._count += 1
        if self._count > MAX_TASKS:
            raise TooManyTasks
        name = fields.text("name")
        return Step(
            reference=fields.text("taskReferenceName"),
            name=name,
            type=step_type,
            path=fields.path,
            inputs=fields.mapping("inputParameters"),
            optional=fields.flag("optional", default=False),
            permissive=fields.flag("permissive", default=False),
            start_delay=fields.integer("startDelay", 0, least=0),
            retry_count=fields.optional_integer("retryCount"),
            task_policy=parse_inline_policy(fields, name),
            async_complete=fields.flag("asyncComplete", default=False),
            evaluator=fields.text("evaluatorType"),
            expression=expression_of(fields, step_type),
            case_value_param=fields.text("caseValueParam"),
            cases=self._cases(fields),
            default_case=self.sequence(fields.given("defaultCase"), fields.at("defaultCase")),
            branches=self._branches(fields),
            join_on=fields.texts("joinOn"),
            default_exclusive_join=fields.texts("defaultExclusiveJoinTask"),
            dynamic_name_param=fields.text("dynamicTaskNameParam"),
            dynamic_tasks_param=fields.text("dynamicForkTasksParam"),
            dynamic_inputs_param=fields.text("dynamicForkTasksInputParamName"),
            dynamic_join_tasks_param=fields.text("dynamicForkJoinTasksParam"),
            body=self.sequence(fields.given("loopOver"), fields.at("loopOver")),
            loop_condition=fields.text("loopCondition"),
            items=fields.given("items"),
            sub_workflow=read_sub_workflow(fields),
            sink=fields.text("sink"),
            document=fields.source,
            carried=dict(origins),
            **saga,
        )

    def _cases(self, fields: Fields) -> dict[str, tuple[Step, ...]]:
        place = fields.at("decisionCases")
        return {
            case: self.sequence(tasks, pointer(place, case))
            for case, tasks in fields.mapping("decisionCases").items()
        }

    def _branches(self, fields: Fields) -> tuple[tuple[Step, ...], ...]:
        place = fields.at("forkTasks")
        return tuple(
            self.sequence(branch, pointer(place, index))
            for index, branch in enumerate(fields.items("forkTasks"))
        )


def expression_of(fields: Fields, step_type: str) -> str:
    """Return the script of a task; three types keep it under names of their own."""
    if step_type == "DECISION":
        return fields.text("caseExpression")
    if step_type == "LAMBDA":
        return fields.text("scriptExpression") or input_text(fields, "scriptExpression")
    expression = fields.text("expression")
    return expression or (input_text(fields, "expression") if step_type == "INLINE" else "")


def input_text(fields: Fields, key: str) -> str:
    """Return a text out of the input parameters, where INLINE and LAMBDA keep their script."""
    inputs = fields.given("inputParameters")
    value = inputs.get(key) if isinstance(inputs, dict) else None
    return value if isinstance(value, str) else ""


def read_sub_workflow(fields: Fields) -> SubWorkflow | None:
    """Read `subWorkflowParam`; an inline definition may give the name."""
    source = fields.mapping("subWorkflowParam")
    if not source:
        return None
    place = fields.at("subWorkflowParam")
    inner = Fields(source, place, fields.problems, fields.reference)
    definition = inner.given("workflowDefinition")
    inline_name = definition.get("name") if isinstance(definition, dict) else None
    domains = inner.mapping("taskToDomain")
    return SubWorkflow(
        name=inner.text("name") or (inline_name if isinstance(inline_name, str) else ""),
        version=read_version(inner),
        definition=definition,
        task_to_domain={key: item for key, item in domains.items() if isinstance(item, str)},
        priority=inner.given("priority"),
    )


def read_version(fields: Fields) -> JSONValue:
    """Read the version of a sub-workflow: a number or an expression; 0 means the latest."""
    version = fields.given("version")
    if isinstance(version, str) and "${" in version:
        return version
    return fields.optional_integer("version") or None
