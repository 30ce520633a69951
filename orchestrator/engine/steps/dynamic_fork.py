"""FORK_JOIN_DYNAMIC: branches that come as data (definitions.md §5.6)."""

from typing import Any

from orchestrator.engine.definition.graph import Node
from orchestrator.engine.snapshot import StepRun
from orchestrator.engine.states import ErrorClass, StepState
from orchestrator.engine.steps import base
from orchestrator.engine.work import Work

Branches = list[dict[str, Any]]


def begin(work: Work, node: Node, run: StepRun, inputs: dict[str, Any]) -> None:
    """Read the branches and complete; what follows enters them and the JOIN."""
    try:
        branches = _branches(work, node, inputs)
    except ValueError as error:
        run = base.begin_in_engine(work, run, inputs, StepState.SCHEDULED)
        base.fail(work, node, run, str(error), error_class=ErrorClass.FAILED_TERMINAL)
        return
    run.dynamic = branches
    shown = {**inputs, "forkedTasks": [branch["taskReferenceName"] for branch in branches]}
    run = base.begin_in_engine(work, run, shown, StepState.SCHEDULED)
    work.frontier["forked"] = int(work.frontier.get("forked", 0)) + 1
    base.complete(work, run)


def _branches(work: Work, node: Node, inputs: dict[str, Any]) -> Branches:
    """Return one task document per branch, its given input merged in.

    Raises:
        ValueError: what is wrong with the data, for people.
    """
    step = node.step
    if isinstance(inputs.get("forkTaskInputs"), list):
        tasks = _same_task(work, node, inputs)
    elif step.dynamic_join_tasks_param:
        tasks = _legacy(inputs.get(step.dynamic_join_tasks_param))
    else:
        tasks = _listed(inputs.get(step.dynamic_tasks_param), inputs.get(step.dynamic_inputs_param))
    seen: set[str] = set()
    for task in tasks:
        reference = task.get("taskReferenceName")
        if not isinstance(reference, str) or not reference:
            raise ValueError(f"{node.reference}: a forked task has no taskReferenceName")
        if reference in seen or reference in work.graph.nodes:
            raise ValueError(f"{node.reference}: duplicate task reference name {reference}")
        seen.add(reference)
    return tasks


def _listed(tasks: Any, given: Any) -> Branches:
    if not isinstance(tasks, list):
        raise ValueError("the list of dynamic fork tasks is missing or is not a list")  # noqa: TRY004
    given = {} if given is None else given
    if not isinstance(given, dict):
        raise ValueError("the input of the dynamically forked tasks is not a map")  # noqa: TRY004
    found: Branches = []
    for task in tasks:
        if not isinstance(task, dict):
            raise ValueError("a dynamically forked task is not an object")  # noqa: TRY004
        reference = task.get("taskReferenceName")
        extra = given.get(reference) if isinstance(reference, str) else None
        if extra is not None and not isinstance(extra, dict):
            raise ValueError(f"the input of the forked task {reference} is not a map")
        own = task.get("inputParameters") or {}
        found.append({**task, "inputParameters": {**own, **(extra or {})}})
    return found


def _legacy(given: Any) -> Branches:
    tasks = given.get("dynamicTasks") if isinstance(given, dict) else None
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        raise ValueError("dynamicTasks is missing or is not a list of objects")
    return [
        {
            "name": task.get("taskName"),
            "taskReferenceName": task.get("referenceName") or task.get("taskName"),
            "type": task.get("type") or "SIMPLE",
            "inputParameters": task.get("input") or {},
        }
        for task in tasks
    ]


def _same_task(work: Work, node: Node, inputs: dict[str, Any]) -> Branches:
    workflow = inputs.get("forkTaskWorkflow")
    name = str(inputs.get("forkTaskName") or workflow or node.reference)
    forked_before = int(work.frontier.get("forked", 0)) > 0
    prefix = f"_{node.reference}_{name}_" if forked_before else f"_{name}_"
    found: Branches = []
    for index, item in enumerate(inputs["forkTaskInputs"]):
        given = dict(item) if isinstance(item, dict) else {"input": item}
        task: dict[str, Any] = {
            "name": name,
            "taskReferenceName": f"{prefix}{index}",
            "type": inputs.get("forkTaskType") or "SIMPLE",
            "inputParameters": {**given, "__index": index},
            "optional": node.step.optional,
        }
        if workflow:
            version = inputs.get("forkTaskWorkflowVersion")
            task |= {
                "type": "SUB_WORKFLOW",
                "subWorkflowParam": {"name": workflow, **({"version": version} if version else {})},
            }
        for key in ("effect", "compensation", "amount", "probe", "onUnknown"):
            if key in inputs:
                task[key] = inputs[key]
        found.append(task)
    return found
