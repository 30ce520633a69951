"""What an installation for failure tests holds: a key that may do everything, and two workflows.

Run as a program in the environment of the installation.
"""

import os
from typing import Any

import django

KEY, SECRET = "failure-key", "failure-secret"
STEPS = ("reserve", "pay", "pack", "ship", "finish")
"""Steps with an effect, of `everything` and its child."""


def call(step: str) -> dict[str, Any]:
    """Return the request of a step or an undo; short timeouts make short leases."""
    return {
        "http_request": {
            "uri": f"${{workflow.input.shop}}/{step}",
            "method": "POST",
            "connectionTimeOut": 500,
            "readTimeOut": 1500,
            "body": {
                "refuse": "${workflow.input.refuse}",
                "slow": "${workflow.input.slow}",
                "meet": "${workflow.input.meet}",
            },
        }
    }


def http(step: str, **undo: Any) -> dict[str, Any]:
    """Return an HTTP step that can be undone."""
    return {
        "name": step,
        "taskReferenceName": step,
        "type": "HTTP",
        "inputParameters": call(f"do/{step}"),
        "effect": "REVERSIBLE",
        "outcomes": {"422": "TERMINAL"},
        "taskDefinition": {
            "name": step,
            "retryCount": 6,
            "retryLogic": "FIXED",
            "retryDelaySeconds": 1,
            "timeoutSeconds": 0,
            "responseTimeoutSeconds": 0,
        },
        "compensation": {
            "tasks": [
                {
                    "name": f"undo_{step}",
                    "taskReferenceName": f"undo_{step}",
                    "type": "HTTP",
                    "inputParameters": call(f"undo/{step}"),
                }
            ],
            "safeIfNotApplied": True,
            "retry": {
                "maximumAttempts": 10,
                "initialIntervalSeconds": 1,
                "maximumIntervalSeconds": 1,
                "attemptTimeoutSeconds": 2,
            },
            **undo,
        },
    }


def task(reference: str, kind: str, **keys: Any) -> dict[str, Any]:
    """Return a task that the engine does itself."""
    return {"name": reference, "taskReferenceName": reference, "type": kind, **keys}


def saga(name: str, tasks: list[dict[str, Any]], **settings: Any) -> dict[str, Any]:
    """Return a saga definition."""
    return {
        "name": name,
        "version": 1,
        "schemaVersion": 2,
        "saga": {"unknownSettleDelaySeconds": 1, "quiesceTimeoutSeconds": 30, **settings},
        "tasks": tasks,
    }


SHIPPING = saga("shipping", [http("ship")])
EVERYTHING = saga(
    "everything",
    [
        http("reserve"),
        task("pause", "WAIT", inputParameters={"duration": "1 seconds"}),
        task(
            "sum",
            "INLINE",
            inputParameters={"evaluatorType": "javascript", "expression": "1 + 1"},
        ),
        task("fork", "FORK_JOIN", forkTasks=[[http("pay")], [http("pack")]]),
        task("joined", "JOIN", joinOn=["pay", "pack"]),
        task(
            "shipping",
            "SUB_WORKFLOW",
            subWorkflowParam={"name": "shipping"},
            inputParameters={
                "shop": "${workflow.input.shop}",
                "refuse": "${workflow.input.refuse}",
                "slow": "${workflow.input.slow}",
            },
        ),
        http("finish"),
    ],
)
APPROVED = saga(
    "approved",
    [
        http("reserve", policy="APPROVAL", approval={"quorum": 1, "distinctFrom": []}),
        http("finish"),
    ],
)
AGAIN = saga(
    "again",
    [{**http("reserve"), "savepoint": True}, http("pay"), http("finish")],
    onFailure="FORWARD",
    maxRetries=1,
    retryDelaySeconds=0,
)
"""Refused twice it goes back to its savepoint once, and then all the way."""


def main() -> None:
    """Write the rows."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orchestrator.config.settings")
    django.setup()
    from orchestrator.services import accounts, versions  # noqa: PLC0415 - models after setup

    user = accounts.ensure_service_account(name="failure", key_id=KEY, secret=SECRET)
    user.is_superuser = True
    user.save()
    for document in (SHIPPING, EVERYTHING, APPROVED, AGAIN):
        versions.register(actor=None, document=document)


if __name__ == "__main__":
    main()
