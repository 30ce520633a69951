"""Small definitions for tests: outside steps with and without undo, forks, loops, children."""

from typing import Any

Json = dict[str, Any]


def task(reference: str, type_: str = "SIMPLE", *, name: str = "", **keys: Any) -> Json:
    """Return a task; the name is the reference unless given."""
    return {
        "name": name or reference,
        "taskReferenceName": reference,
        "type": type_,
        "inputParameters": {},
        **keys,
    }


def policy(name: str, *, retries: int = 0, delay: int = 0, **keys: Any) -> Json:
    """Return an embedded TaskDef."""
    return {
        "name": name,
        "retryCount": retries,
        "retryLogic": "FIXED",
        "retryDelaySeconds": delay,
        "timeoutSeconds": 0,
        "responseTimeoutSeconds": 0,
        **keys,
    }


def outside(reference: str, *, retries: int = 0, delay: int = 0, **keys: Any) -> Json:
    """Return a step done by the handler `do`, or by whoever polls for its name."""
    return task(
        reference,
        inputParameters={"order": "${workflow.input.order}"},
        taskDefinition=policy(reference, retries=retries, delay=delay),
        **keys,
    )


def reversible(reference: str, *, undo: Json | None = None, **keys: Any) -> Json:
    """Return a step with an undo that is done by `undo_<reference>`."""
    compensation = {
        "tasks": [
            task(f"undo_{reference}", inputParameters={"order": f"${{{reference}.input.order}}"})
        ],
        "safeIfNotApplied": True,
        "retry": {"maximumAttempts": 3, "initialIntervalSeconds": 1, "maximumIntervalSeconds": 1},
        **(undo or {}),
    }
    return outside(reference, effect="REVERSIBLE", compensation=compensation, **keys)


def saga(name: str, *tasks: Json, settings: Json | None = None, **keys: Any) -> Json:
    """Return a saga definition."""
    return {
        "name": name,
        "version": 1,
        "schemaVersion": 2,
        "saga": {"unknownSettleDelaySeconds": 1, **(settings or {})},
        "tasks": list(tasks),
        **keys,
    }


def plain(name: str, *tasks: Json, **keys: Any) -> Json:
    """Return a definition without saga keys."""
    return {"name": name, "version": 1, "schemaVersion": 2, "tasks": list(tasks), **keys}


def fork(reference: str, *branches: list[Json]) -> list[Json]:
    """Return a fork and the JOIN that waits for the end of every branch."""
    return [
        task(reference, "FORK_JOIN", forkTasks=[list(branch) for branch in branches]),
        task(
            f"join_{reference}",
            "JOIN",
            joinOn=[branch[-1]["taskReferenceName"] for branch in branches],
        ),
    ]


def loop(reference: str, rounds: int, *body: Json) -> Json:
    """Return a loop of so many rounds."""
    return task(
        reference,
        "DO_WHILE",
        loopCondition=f"if ($.{reference}['iteration'] < {rounds}) {{ true; }} else {{ false; }}",
        loopOver=list(body),
    )


def child(reference: str, name: str, **keys: Any) -> Json:
    """Return a SUB_WORKFLOW step."""
    return task(
        reference,
        "SUB_WORKFLOW",
        inputParameters={"order": "${workflow.input.order}"},
        subWorkflowParam={"name": name},
        **keys,
    )
