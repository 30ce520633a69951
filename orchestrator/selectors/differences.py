"""What changed between two versions, step by step."""

from typing import TYPE_CHECKING

from orchestrator.engine.definition import document as documents
from orchestrator.engine.definition import graph
from orchestrator.engine.definition.model import Step
from orchestrator.selectors import workflows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.contrib.auth.models import User

    from orchestrator.engine.canonical import JSONValue

# Steps inside others are compared on their own.
_BELOW = frozenset({"decisionCases", "defaultCase", "forkTasks", "loopOver"})
_NOT_SETTINGS = frozenset({"tasks", "version"})


def version_diff(
    *, actor: "User | None", name: str, old: int, new: int
) -> dict[str, list[dict[str, object]] | list[str]]:
    """Return the steps that were added, removed and changed, and the changed workflow settings.

    Raises:
        NotFound: The workflow or one of the versions is not there to be seen.
    """
    workflow = workflows.find_workflow(actor=actor, name=name)
    before = workflows.find_version(workflow=workflow, number=old).document
    after = workflows.find_version(workflow=workflow, number=new).document
    steps_before, steps_after = _steps(before), _steps(after)
    return {
        "added": [_row(step) for ref, step in steps_after.items() if ref not in steps_before],
        "removed": [_row(step) for ref, step in steps_before.items() if ref not in steps_after],
        "changed": [
            {**_row(step), "keys": keys}
            for ref, step in steps_after.items()
            if ref in steps_before and (keys := _changed_keys(steps_before[ref], step))
        ],
        "settings": _differing(before, after, _NOT_SETTINGS),
    }


def _steps(document: "Mapping[str, JSONValue]") -> dict[str, Step]:
    definition = documents.parse(document, inline=True).definition
    if definition is None:
        return {}
    return {step.reference: step for step in graph.inner_steps(definition.tasks)}


def _row(step: Step) -> dict[str, object]:
    return {"taskReferenceName": step.reference, "name": step.name, "type": step.type}


def _changed_keys(before: Step, after: Step) -> list[str]:
    return _differing(before.document, after.document, _BELOW)


def _differing(
    before: "Mapping[str, JSONValue]", after: "Mapping[str, JSONValue]", ignored: frozenset[str]
) -> list[str]:
    keys = sorted((before.keys() | after.keys()) - ignored)
    return [key for key in keys if before.get(key) != after.get(key)]
