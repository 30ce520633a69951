"""What decisions ask for beyond the rows of their own execution: versions, queues, approvals."""

import functools
from typing import Any, NoReturn

from orchestrator.engine.canonical import JSONValue
from orchestrator.engine.snapshot import ChildVersion
from orchestrator.gate import still_holds
from orchestrator.handlers import registry
from orchestrator.models import WorkflowVersion
from orchestrator.services import children, versions
from orchestrator.store import definitions, load
from orchestrator.store.apply.revisions import Stale


class _Queues(dict[tuple[str, str], str]):
    """(type, name) → Celery queue; empty where polling workers do the step."""

    def get(self, key: tuple[str, str], default: Any = None) -> Any:
        return registry.queue_of(*key) or default


QUEUES = _Queues()


@functools.cache
def under_lock() -> load.Resolvers:
    """Return what a transition that holds its executions' locks may ask for."""
    return load.Resolvers(child=_child, inline_child=_inline_child, approval_holds=_approval_holds)


@functools.cache
def without_lock() -> load.Resolvers:
    """Return what may be asked for before the locks are taken; for the rest it raises `Stale`."""
    return load.Resolvers(child=_child, inline_child=_not_now, approval_holds=_not_now)


def _not_now(*_: object) -> NoReturn:
    """Refuse what only a transaction that holds the execution's lock may do or trust."""
    raise Stale


def _approval_holds(approval_id: str, input_hash: str) -> bool:
    return still_holds(approval_id=approval_id, input_hash=input_hash)


def _child(name: str, number: int | None) -> ChildVersion | None:
    version = children.find_version(name=name, number=number)
    return _child_version(version) if version else None


def _child_version(version: WorkflowVersion) -> ChildVersion:
    graph = definitions.graph_of_version(version.pk)
    return ChildVersion(
        version_id=version.pk,
        workflow_name=version.workflow.name if version.number else graph.definition.name,
        number=version.number or 0,
        is_saga=graph.is_saga,
        has_undo=version.has_undo,
    )


def _inline_child(parent_version_id: int, document: JSONValue) -> ChildVersion | str:
    # By key: an inline child of an inline child bears a name that no workflow has.
    home = WorkflowVersion.objects.select_related("workflow").get(pk=parent_version_id)
    try:
        found = versions.inline_child_locked(parent_name=home.workflow.name, document=document)
    except versions.UnusableDefinition as error:
        return str(error)
    return _child_version(found)
