"""Conductor's rules at registration: unique references, known references, what each type needs."""

from collections.abc import Iterator, Mapping
from typing import Final

from orchestrator.engine.canonical import JSONValue
from orchestrator.engine.definition.model import Definition, Step
from orchestrator.engine.definition.problems import Problems, pointer
from orchestrator.engine.definition.requirements import missing_requirement
from orchestrator.engine.definition.saga_keys import after_pointer, saga_pointer
from orchestrator.engine.definition.saga_settings import steps_named
from orchestrator.engine.definition.visits import Visit, every_visit
from orchestrator.engine.expressions.mapping import ANY_ROOT, reads_of_text

Templates = Mapping[str, Mapping[str, JSONValue]]
NO_INPUT: Final[Mapping[str, JSONValue]] = {}
EVERYWHERE: Final = frozenset({"workflow", "CPEWF_TASK_ID", ANY_ROOT})
BESIDE_A_STEP: Final = frozenset({"compensation"})
"""Roots that only undos, probes and confirms have."""


def check_registration(definition: Definition, problems: Problems, templates: Templates) -> None:
    """Note every rule of Conductor that the definition breaks, and every name of no step."""
    visits = list(every_visit(definition.tasks))
    check_names(visits, problems)
    for visit in visits:
        check_requirements(visit.step, problems, templates)
    known = frozenset(visit.step.reference for visit in visits)
    for visit in visits:
        check_reads(visit, known, problems)
        check_after(visit.step, known, problems)
        if visit.step.type == "COMPENSATE" and not definition.is_plain:
            check_compensate_node(visit.step, visits, problems)
    check_templates(
        definition.output_parameters, "/outputParameters", known | EVERYWHERE, "", problems
    )
    for path, name in steps_named(definition.saga, definition.saga_path):
        check_known(path, name, known, problems)


def check_task(step: Step, problems: Problems) -> None:
    """Note what a task given as data lacks by itself; its surroundings are not known."""
    visits = list(every_visit((step,)))
    check_names(visits, problems)
    for visit in visits:
        check_requirements(visit.step, problems, {})


def check_names(visits: list[Visit], problems: Problems) -> None:
    """Note missing names and references, and references that are not unique."""
    seen: set[str] = set()
    for visit in visits:
        step = visit.step
        if not step.name.strip():
            problems.conductor(key_pointer(step, "name"), "A task needs a `name`.", step.reference)
        place = key_pointer(step, "taskReferenceName")
        if not step.reference.strip():
            problems.conductor(place, "A task needs a `taskReferenceName`.")
        elif step.reference in seen:
            message = (
                f'The reference name "{step.reference[:60]}" is taken; it must be unique over '
                "steps, undos, probes and confirms."
            )
            problems.conductor(place, message, step.reference)
        elif step.reference in EVERYWHERE | BESIDE_A_STEP:
            message = f'"{step.reference}" has a meaning of its own and cannot name a task.'
            problems.conductor(place, message, step.reference)
        seen.add(step.reference)


def key_pointer(step: Step, key: str) -> str:
    """Return where a key of a task stands; the task itself while it has none."""
    return pointer(step.path, key) if key in step.document else step.path


def check_requirements(step: Step, problems: Problems, templates: Templates) -> None:
    """Note what a task of this type cannot be without."""
    policy = step.task_policy
    given = policy.input_template if policy is not None and policy.input_template else NO_INPUT
    found = missing_requirement(step, {**templates.get(step.name, NO_INPUT), **given})
    if found is not None:
        key, message = found
        problems.conductor(key_pointer(step, key), message, step.reference)


def check_reads(visit: Visit, known: frozenset[str], problems: Problems) -> None:
    """Note every expression of a step that reads a step which does not exist."""
    step = visit.step
    allowed = known | EVERYWHERE | (BESIDE_A_STEP if visit.role != "forward" else frozenset())
    for path, template in templates_of(step):
        check_templates(template, path, allowed, step.reference, problems)
    for path, template in times_of(step):
        check_templates(template, path, allowed | BESIDE_A_STEP, step.reference, problems)


def templates_of(step: Step) -> Iterator[tuple[str, JSONValue]]:
    """Give every template of a step with its pointer."""
    yield key_pointer(step, "inputParameters"), step.inputs
    yield key_pointer(step, "sink"), step.sink
    yield key_pointer(step, "items"), step.items
    if step.sub_workflow is not None:
        place = key_pointer(step, "subWorkflowParam")
        yield pointer(place, "name"), step.sub_workflow.name
        yield pointer(place, "version"), step.sub_workflow.version
        if isinstance(step.sub_workflow.definition, str):
            yield pointer(place, "workflowDefinition"), step.sub_workflow.definition
    yield saga_pointer(step, "window"), step.window
    yield saga_pointer(step, "effectId"), step.effect_id
    if step.amount is not None:
        yield pointer(saga_pointer(step, "amount"), "value"), step.amount.value
        yield pointer(saga_pointer(step, "amount"), "currency"), step.amount.currency


def times_of(step: Step) -> Iterator[tuple[str, JSONValue]]:
    """Give the templates of the business times of a step's undo; they read what the undo reads."""
    if step.compensation is None:
        return
    place = saga_pointer(step, "compensation")
    times = {"notBefore": step.compensation.not_before, "notAfter": step.compensation.not_after}
    for key, moment in times.items():
        if moment is not None:
            yield pointer(place, key, "at"), moment.at
            yield pointer(place, key, "lead"), moment.lead
            yield pointer(place, key, "zone"), moment.zone


def check_templates(
    template: JSONValue,
    path: str,
    allowed: frozenset[str],
    reference: str,
    problems: Problems,
) -> None:
    """Note every string of a template that reads an unknown root."""
    for place, text in texts_with_pointers(template, path):
        for read in sorted(reads_of_text(text)):
            # A bare name is not a step: Conductor reads the environment there, and here it is null.
            if len(read) > 1 and read[0] not in allowed:
                message = (
                    f'The expression reads "{read[0][:60]}", and no task has that reference name.'
                )
                problems.conductor(place, message, reference)


def texts_with_pointers(template: JSONValue, path: str) -> Iterator[tuple[str, str]]:
    """Give the strings of a template that hold expressions, in order, with their pointers."""
    if isinstance(template, str):
        if "${" in template:
            yield path, template
    elif isinstance(template, dict):
        for key, item in template.items():
            yield from texts_with_pointers(item, pointer(path, key))
    elif isinstance(template, list):
        for index, item in enumerate(template):
            yield from texts_with_pointers(item, pointer(path, index))


def check_after(step: Step, known: frozenset[str], problems: Problems) -> None:
    """Note the names in `after` that no step has."""
    if step.compensation is not None:
        for index, name in enumerate(step.compensation.after):
            check_known(after_pointer(step, index), name, known, problems, step.reference)


def check_compensate_node(step: Step, visits: list[Visit], problems: Problems) -> None:
    """Check what a COMPENSATE node names: one step, one savepoint, or neither."""
    place = key_pointer(step, "inputParameters")
    if step.inputs.get("step") is not None and step.inputs.get("savepoint") is not None:
        message = "A COMPENSATE node names a `step` or a `savepoint`, not both."
        problems.format(place, message, step.reference)
    forward = {visit.step.reference: visit.step for visit in visits if visit.role == "forward"}
    for key in ("step", "savepoint"):
        name = step.inputs.get(key)
        if not isinstance(name, str) or "${" in name:
            continue
        check_known(pointer(place, key), name, frozenset(forward), problems, step.reference)
        if key == "savepoint" and name in forward and not forward[name].savepoint:
            message = f'"{name[:60]}" is no savepoint; give it `"savepoint": true`.'
            problems.format(pointer(place, key), message, step.reference)


def check_known(
    path: str, name: str, known: frozenset[str], problems: Problems, reference: str = ""
) -> None:
    """Note a name that no step has."""
    if name not in known:
        problems.format(path, f'No task has the reference name "{name[:60]}".', reference)
