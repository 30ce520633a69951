"""Definitions in Conductor's JSON: what was registered, with the defaults that it adds."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

WORKFLOW_DEFAULTS: Mapping[str, Any] = {
    "createTime": 0,
    "updateTime": 0,
    "version": 1,
    "tasks": [],
    "inputParameters": [],
    "outputParameters": {},
    "schemaVersion": 2,
    "restartable": True,
    "workflowStatusListenerEnabled": False,
    "timeoutPolicy": "ALERT_ONLY",
    "timeoutSeconds": 0,
    "variables": {},
    "inputTemplate": {},
    "enforceSchema": True,
    "metadata": {},
    "maskedFields": [],
}
WORKFLOW_TASK_DEFAULTS: Mapping[str, Any] = {
    "inputParameters": {},
    "type": "SIMPLE",
    "decisionCases": {},
    "defaultCase": [],
    "forkTasks": [],
    "startDelay": 0,
    "joinOn": [],
    "optional": False,
    "defaultExclusiveJoinTask": [],
    "asyncComplete": False,
    "loopOver": [],
    "onStateChange": {},
    "permissive": False,
    "metadata": {},
}
TASK_DEFINITION_DEFAULTS: Mapping[str, Any] = {
    "createTime": 0,
    "updateTime": 0,
    "retryCount": 3,
    "timeoutSeconds": 0,
    "inputKeys": [],
    "outputKeys": [],
    "runtimeMetadata": [],
    "timeoutPolicy": "TIME_OUT_WF",
    "retryLogic": "FIXED",
    "retryDelaySeconds": 60,
    "responseTimeoutSeconds": 3600,
    "inputTemplate": {},
    "rateLimitPerFrequency": 0,
    "rateLimitFrequencyInSeconds": 1,
    "backoffScaleFactor": 1,
    "maxRetryDelaySeconds": 0,
    "backoffJitterMs": 0,
    "totalTimeoutSeconds": 0,
    "taskStatusListenerEnabled": True,
    "enforceSchema": False,
}


def workflow_json(document: Mapping[str, Any], **own: Any) -> dict[str, Any]:
    """Return a workflow definition; `own` says what the server knows better than the document."""
    shown = _filled(WORKFLOW_DEFAULTS, {**document, **own})
    shown["tasks"] = _tasks(shown["tasks"])
    return shown


def task_json(task: Mapping[str, Any]) -> dict[str, Any]:
    """Return a task of a workflow definition, with the tasks inside of it."""
    shown = _filled(WORKFLOW_TASK_DEFAULTS, task)
    cases = shown["decisionCases"]
    if isinstance(cases, dict):
        shown["decisionCases"] = {name: _tasks(branch) for name, branch in cases.items()}
    shown["defaultCase"] = _tasks(shown["defaultCase"])
    shown["loopOver"] = _tasks(shown["loopOver"])
    if isinstance(shown["forkTasks"], list):
        shown["forkTasks"] = [_tasks(branch) for branch in shown["forkTasks"]]
    return shown


def task_definition_json(document: Mapping[str, Any], **own: Any) -> dict[str, Any]:
    """Return a registered task definition."""
    return _filled(TASK_DEFINITION_DEFAULTS, {**document, **own})


def _tasks(tasks: Any) -> Any:
    if not isinstance(tasks, list):
        return tasks
    return [task_json(task) if isinstance(task, dict) else task for task in tasks]


def _filled(defaults: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    # A null in a property means "not given": clients refuse it where they expect a word.
    present = {name: value for name, value in given.items() if value is not None}
    return {**deepcopy(dict(defaults)), **present}
