"""Stored definitions, compiled and kept per process, and the TaskDefs that a run keeps."""

import json
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any

from orchestrator.engine.definition import document
from orchestrator.engine.definition.graph import Graph, compile_definition
from orchestrator.engine.definition.model import TaskPolicy
from orchestrator.models import TaskDefinition, WorkflowVersion


class BrokenDefinition(Exception):
    """A stored definition cannot be parsed any more."""


@lru_cache(maxsize=512)
def graph_of_version(version_id: int) -> Graph:
    """Return the compiled definition of a version; kept per process, versions never change."""
    stored = WorkflowVersion.objects.only("document").get(pk=version_id)
    result = document.parse(stored.document, inline=True)
    if result.definition is None:
        raise BrokenDefinition(f"version {version_id}: {result.problems[0].message}")
    return compile_definition(result.definition)


@lru_cache(maxsize=2048)
def _policy(text: str) -> TaskPolicy | None:
    policy, _ = document.parse_task_policy(json.loads(text), "")
    return policy


def policies_of(documents: Mapping[str, Any]) -> dict[str, TaskPolicy]:
    """Return the TaskDefs that a run keeps, parsed."""
    found = {name: _policy(json.dumps(raw, sort_keys=True)) for name, raw in documents.items()}
    return {name: policy for name, policy in found.items() if policy is not None}


def registered_policies(names: Collection[str]) -> dict[str, Any]:
    """Return the documents of the TaskDefs registered now under these names."""
    if not names:
        return {}
    rows = TaskDefinition.objects.filter(name__in=names).values_list("name", "document")
    return dict(rows)
