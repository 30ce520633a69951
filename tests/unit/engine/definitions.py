"""Definitions for tests of the engine: short builders of tasks."""

from __future__ import annotations

from typing import Any

Document = dict[str, Any]


def flow(*tasks: Document | list[Document], name: str = "flow", **keys: Any) -> Document:
    """Build a definition; lists of tasks are put in place."""
    flat: list[Document] = []
    for task in tasks:
        flat.extend(task if isinstance(task, list) else [task])
    return {"name": name, "version": 1, "tasks": flat, **keys}


def saga(
    *tasks: Document | list[Document], name: str = "flow", settings: Any = None, **keys: Any
) -> Document:
    """Build a definition with the rules of sagas."""
    return flow(*tasks, name=name, saga=settings or {}, **keys)


def task(reference: str, type: str = "SIMPLE", **keys: Any) -> Document:  # noqa: A002 - Conductor's
    """Build a task."""
    return {"name": reference, "taskReferenceName": reference, "type": type, **keys}


def work(reference: str, **keys: Any) -> Document:
    """Build a worker step that changes nothing."""
    keys.setdefault("effect", "NONE")
    return task(reference, **keys)


def plain(reference: str, **keys: Any) -> Document:
    """Build a worker step as Conductor knows it."""
    return task(reference, **keys)


def undone(reference: str, *, undo: Document | None = None, **keys: Any) -> Document:
    """Build a worker step with an undo `un_<reference>`; retries are off unless asked for."""
    compensation = {"tasks": [task(f"un_{reference}")], "safeIfNotApplied": True, **(undo or {})}
    keys.setdefault("retryCount", 0)
    return task(reference, effect="REVERSIBLE", compensation=compensation, **keys)


def fork(
    reference: str, *branches: list[Document], join: Any = None, **keys: Any
) -> list[Document]:
    """Build a fork and its JOIN `<reference>_join` over the ends of its branches."""
    ends = [branch[-1]["taskReferenceName"] for branch in branches if branch]
    return [
        task(reference, "FORK_JOIN", forkTasks=list(branches)),
        task(f"{reference}_join", "JOIN", joinOn=ends if join is None else join, **keys),
    ]


def dynamic(reference: str, tasks: list[Document], **keys: Any) -> list[Document]:
    """Build a dynamic fork over these tasks and its JOIN."""
    return [
        task(
            reference,
            "FORK_JOIN_DYNAMIC",
            dynamicForkTasksParam="tasks",
            dynamicForkTasksInputParamName="inputs",
            inputParameters={"tasks": tasks, "inputs": {}},
        ),
        task(f"{reference}_join", "JOIN", **keys),
    ]


def switch(reference: str, value: str, cases: dict[str, list[Document]], **keys: Any) -> Document:
    """Build a SWITCH over a value that is in its input."""
    return task(
        reference,
        "SWITCH",
        evaluatorType="value-param",
        expression="case",
        inputParameters={"case": value},
        decisionCases=cases,
        **keys,
    )


def loop(reference: str, items: list[Any] | str, *body: Document | list[Document]) -> Document:
    """Build a loop with one round per item."""
    flat: list[Document] = []
    for inner in body:
        flat.extend(inner if isinstance(inner, list) else [inner])
    return task(reference, "DO_WHILE", items=items, loopOver=flat, loopCondition="")


def child(reference: str, name: str, **keys: Any) -> Document:
    """Build a SUB_WORKFLOW step."""
    return task(reference, "SUB_WORKFLOW", subWorkflowParam={"name": name, "version": 1}, **keys)


def terminate(reference: str, status: str, **inputs: Any) -> Document:
    """Build a TERMINATE step."""
    return task(reference, "TERMINATE", inputParameters={"terminationStatus": status, **inputs})
