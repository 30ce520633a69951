"""Which version a start gets, with the database's time and the task definitions it will keep.

Asked by every start, so it is one way to the server: the versions themselves never change and are
kept by the process; what may change (the stable version, an archived workflow, task definitions)
is read each time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import connection

from orchestrator.engine.definition.graph import Graph
from orchestrator.models import Rollout, TaskDefinition, Workflow, WorkflowVersion
from orchestrator.store import clock, definitions, statements, wire

MOST_KEPT = 512

_kept: dict[int, tuple[Graph, WorkflowVersion]] = {}
_wanted: dict[tuple[str, int | None], frozenset[str]] = {}
"""The task names of what each name led to the last time: a guess at which will be wanted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Startable:
    """A version that a start may get."""

    version: WorkflowVersion
    is_archived: bool
    policies: Mapping[str, Any] | None
    """Documents of the registered TaskDefs by name; None = to be asked for."""


def find(name: str, number: int | None) -> Startable | None:
    """Return the given version, else the stable one, else the highest; None if there is none."""
    number = number or None
    guess = _wanted.get((name, number), frozenset())
    moment, parameters = clock.in_sql()
    found, times, policies = wire.ask(
        _version_statement(name, number),
        (f"SELECT {moment}", parameters),
        _policies_statement(sorted(guess)),
    )
    if connection.vendor == "postgresql":
        clock.hear(times[0][0])
    if not found:
        return None
    version_id, is_archived = found[0]
    task_names = frozenset(definitions.graph_of_version(version_id).task_names)
    if len(_wanted) >= MOST_KEPT:
        _wanted.clear()
    _wanted[name, number] = task_names
    return Startable(
        version=_version(version_id),
        is_archived=bool(is_archived),
        policies=_documents(policies) if task_names == guess else None,
    )


def _version_statement(name: str, number: int | None) -> wire.Statement:
    version, workflow, rollout = (
        model._meta.db_table  # noqa: SLF001 - Django documents it
        for model in (WorkflowVersion, Workflow, Rollout)
    )
    which = "(r.stable IS NULL OR v.number = r.stable)" if number is None else "v.number = %s"
    return (
        (
            f"SELECT v.id, w.archived_at IS NOT NULL FROM {workflow} w "  # noqa: S608
            f"JOIN {version} v ON v.workflow_id = w.id "
            f"LEFT JOIN {rollout} r ON r.workflow_id = w.id "
            f"WHERE w.name = %s AND v.number IS NOT NULL AND NOT v.is_deleted AND {which} "
            "ORDER BY v.number DESC LIMIT 1"
        ),
        [name] if number is None else [name, number],
    )


def _policies_statement(names: list[str]) -> wire.Statement:
    table = TaskDefinition._meta.db_table  # noqa: SLF001 - Django documents it
    marks = ", ".join(["%s"] * len(names)) or "NULL"
    return f"SELECT name, document FROM {table} WHERE name IN ({marks})", names  # noqa: S608


def _documents(rows: wire.Rows) -> dict[str, Any]:
    return {name: statements.json_from(document) for name, document in rows}


def _version(version_id: int) -> WorkflowVersion:
    """Return a version with its workflow, of which only what never changes may be used."""
    graph = definitions.graph_of_version(version_id)
    known = _kept.get(version_id)
    # Where compiled definitions are forgotten, their keys may lead to other ones.
    if known is None or known[0] is not graph:
        rows = WorkflowVersion.objects.select_related("workflow")
        known = (graph, rows.get(pk=version_id))
        if len(_kept) >= MOST_KEPT:
            _kept.clear()
        _kept[version_id] = known
    return known[1]
