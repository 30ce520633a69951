"""Whether an input that somebody gives for an undo is what its task asks for."""

from typing import Any

from orchestrator.border.jail import pool
from orchestrator.border.jail.scripts import Language, ScriptCall
from orchestrator.engine.canonical import canonical
from orchestrator.engine.commands import Needs
from orchestrator.engine.compensation import inputs as undo_inputs
from orchestrator.engine.definition.graph import policy_of
from orchestrator.engine.definition.model import Step
from orchestrator.engine.states import Direction
from orchestrator.models import StepRun
from orchestrator.services.errors import Invalid
from orchestrator.store import branches, load


def require_valid(*, entry_id: str, input: dict[str, Any]) -> None:  # noqa: A002 - as on the wire
    """Check an amended input against the `inputSchema` of the undo's first step, if it has one.

    Asks the jail, so it must not be called while a row is locked.

    Raises:
        Invalid: The schema does not allow it; `problems` points into the input.
    """
    entry = StepRun.objects.only("id", "execution_id", "reference", "defined_by").get(pk=entry_id)
    loaded = load.read_executions([str(entry.execution_id)])[str(entry.execution_id)]
    load.satisfy(
        {loaded.view.id: loaded}, {loaded.view.id: Needs(runs={entry_id})}, load.NO_RESOLVERS
    )
    run = loaded.runs[entry_id]
    node = branches.graph_of_run(loaded, run).nodes[run.reference]
    if node.step.compensation is None:
        return
    task = node.step.compensation.tasks[0]
    schema = policy_of(task, loaded.policies).input_schema
    given = _task_input(entry, task, input) if schema is not None else None
    if given is None:
        return
    call = ScriptCall(language=Language.SCHEMA, source=canonical(schema), data=given)
    (answer,) = pool.evaluate([call])
    if answer.error is not None:
        message = f"The input schema of {task.name} cannot be used: {answer.error.message}"
        raise Invalid(message, [_problem("", answer.error.message)])
    found = answer.value if isinstance(answer.value, list) else []
    problems = [
        _problem(str(row["pointer"]), str(row["message"])) for row in found if isinstance(row, dict)
    ]
    if problems:
        message = f"{task.name} does not take this input: {problems[0]['message']}"
        raise Invalid(message, problems)


def _task_input(entry: StepRun, task: Step, given: dict[str, Any]) -> dict[str, Any] | None:
    """Return the task's whole input: for an HTTP call, the last one with another body."""
    if task.type != "HTTP":
        return given
    last = (
        StepRun.objects.filter(
            execution_id=entry.execution_id,
            compensates=entry.pk,
            direction=Direction.COMPENSATION,
            reference=task.reference,
        )
        .order_by("-round")
        .values_list("input", flat=True)
        .first()
    )
    return undo_inputs.with_body(last, given) if last is not None else None


def _problem(pointer: str, message: str) -> dict[str, object]:
    return {"code": "SCHEMA", "severity": "error", "path": f"/input{pointer}", "message": message}
