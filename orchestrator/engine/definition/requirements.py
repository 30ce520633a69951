"""What a task of each type cannot be without, by Conductor's rules at registration."""

from collections.abc import Callable, Mapping
from typing import Final

from orchestrator.engine.canonical import JSONValue
from orchestrator.engine.definition.durations import (
    MalformedTime,
    parse_until,
    parse_wait_duration,
)
from orchestrator.engine.definition.model import Step

Inputs = Mapping[str, JSONValue]
Finding = tuple[str, str]
"""The key to point at, and a sentence."""
TERMINATION_STATUSES: Final = ("COMPLETED", "FAILED", "TERMINATED")


def missing_requirement(step: Step, template: Inputs) -> Finding | None:
    """Return the first thing a task lacks; what its task definition's template gives, it has."""
    if step.type in OF_STEPS:
        return OF_STEPS[step.type](step)
    inputs = {**template, **step.inputs}
    if step.type in OF_INPUTS:
        return OF_INPUTS[step.type](inputs)
    return OF_BOTH[step.type](step, inputs) if step.type in OF_BOTH else None


def event(step: Step) -> Finding | None:
    """An EVENT goes somewhere."""
    return None if step.sink else ("sink", "An EVENT task needs a `sink`.")


def switch(step: Step) -> Finding | None:
    """A SWITCH has a condition and cases."""
    if not step.evaluator:
        return "evaluatorType", "A SWITCH task needs an `evaluatorType`."
    if not step.expression:
        return "expression", "A SWITCH task needs an `expression`."
    if not step.cases:
        return "decisionCases", "A SWITCH task needs `decisionCases`."
    return None


def decision(step: Step) -> Finding | None:
    """A DECISION has a condition and cases."""
    if not (step.case_value_param or step.expression):
        return "caseValueParam", "A DECISION task needs a `caseValueParam` or a `caseExpression`."
    if not step.cases:
        return "decisionCases", "A DECISION task needs `decisionCases`."
    return None


def do_while(step: Step) -> Finding | None:
    """A loop has a body, and an end."""
    if not step.loop_condition and step.items is None:
        return "loopCondition", "A DO_WHILE task needs a `loopCondition` or `items`."
    if not step.body:
        return "loopOver", "A DO_WHILE task needs tasks in `loopOver`."
    return None


def dynamic(step: Step) -> Finding | None:
    """A DYNAMIC task gets its name from an input."""
    if step.dynamic_name_param:
        return None
    return "dynamicTaskNameParam", "A DYNAMIC task needs a `dynamicTaskNameParam`."


def fork(step: Step) -> Finding | None:
    """A fork has branches."""
    return None if step.branches else ("forkTasks", "A FORK_JOIN task needs `forkTasks`.")


def dynamic_fork(step: Step, inputs: Inputs) -> Finding | None:
    """A dynamic fork gets its branches in one of three ways."""
    by_tasks = bool(step.dynamic_tasks_param and step.dynamic_inputs_param)
    by_input = (
        "forkTaskInputs" in inputs or "forkTaskName" in inputs or "forkTaskWorkflow" in inputs
    )
    if by_tasks or step.dynamic_join_tasks_param or by_input:
        return None
    message = (
        "A FORK_JOIN_DYNAMIC task needs `dynamicForkTasksParam` with "
        "`dynamicForkTasksInputParamName`, or `dynamicForkJoinTasksParam`, or the input "
        "`forkTaskInputs`."
    )
    return "dynamicForkTasksParam", message


def http(inputs: Inputs) -> Finding | None:
    """A call has an address and a method."""
    request = inputs.get("http_request", inputs)
    if not isinstance(request, dict):
        return None if isinstance(request, str) else wanted("an `http_request` object")
    for key in ("uri", "method"):
        if not request.get(key) and not inputs.get(key):
            return wanted(f"a `{key}`")
    return None


def wanted(what: str) -> Finding:
    """Say what an HTTP task lacks."""
    return "inputParameters", f"An HTTP task needs {what} in `http_request` or in its input."


def kafka(inputs: Inputs) -> Finding | None:
    """A Kafka message has servers, a topic and a value."""
    request = inputs.get("kafka_request")
    if isinstance(request, str):
        return None
    given = request if isinstance(request, dict) else {}
    for key in ("bootStrapServers", "topic", "value"):
        if given.get(key) in (None, ""):
            message = f"A KAFKA_PUBLISH task needs `{key}` in its `kafka_request`."
            return "inputParameters", message
    return None


def sub_workflow(step: Step) -> Finding | None:
    """A sub-workflow has a name, or brings its definition."""
    called = step.sub_workflow
    if called is None:
        return "subWorkflowParam", "A SUB_WORKFLOW task needs a `subWorkflowParam`."
    if called.name or called.definition is not None:
        return None
    return "subWorkflowParam", "The `subWorkflowParam` needs a `name` or a `workflowDefinition`."


def terminate(step: Step, inputs: Inputs) -> Finding | None:
    """An end says which one it is."""
    status = inputs.get("terminationStatus")
    is_expression = isinstance(status, str) and "${" in status
    if status not in TERMINATION_STATUSES and not is_expression:
        names = ", ".join(TERMINATION_STATUSES)
        return "inputParameters", f"A TERMINATE task needs a `terminationStatus`: one of {names}."
    if step.optional:
        return "optional", "A TERMINATE task cannot be `optional`."
    return None


def wait(inputs: Inputs) -> Finding | None:
    """A wait has one end, or none but a signal."""
    duration, until = inputs.get("duration"), inputs.get("until")
    if duration and until:
        return "inputParameters", "A WAIT task has a `duration` or an `until`, not both."
    try:
        if isinstance(duration, str) and duration and "${" not in duration:
            parse_wait_duration(duration)
        if isinstance(until, str) and until and "${" not in until:
            parse_until(until)
    except MalformedTime as error:
        return "inputParameters", f"The WAIT task cannot be timed: {error}"
    return None


def jq(inputs: Inputs) -> Finding | None:
    """A transformation has a program."""
    if inputs.get("queryExpression"):
        return None
    return "inputParameters", "A JSON_JQ_TRANSFORM task needs a `queryExpression`."


OF_STEPS: Final[Mapping[str, Callable[[Step], Finding | None]]] = {
    "EVENT": event,
    "SWITCH": switch,
    "DECISION": decision,
    "DO_WHILE": do_while,
    "DYNAMIC": dynamic,
    "FORK_JOIN": fork,
    "SUB_WORKFLOW": sub_workflow,
}
OF_INPUTS: Final[Mapping[str, Callable[[Inputs], Finding | None]]] = {
    "HTTP": http,
    "KAFKA_PUBLISH": kafka,
    "WAIT": wait,
    "JSON_JQ_TRANSFORM": jq,
}
OF_BOTH: Final[Mapping[str, Callable[[Step, Inputs], Finding | None]]] = {
    "FORK_JOIN_DYNAMIC": dynamic_fork,
    "TERMINATE": terminate,
}
