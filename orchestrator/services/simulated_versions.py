"""What a simulation asks the outside for: scripts, sub-workflows and registered task definitions.

Everything is read and nothing is called: scripts run in the jail, versions come from their rows.
"""

import time
from collections.abc import Mapping
from itertools import count
from typing import TYPE_CHECKING, Any

from orchestrator.access import policy
from orchestrator.access.permissions import Permission
from orchestrator.engine.canonical import JSONValue
from orchestrator.engine.definition.graph import compile_definition
from orchestrator.engine.definition.model import Definition, TaskPolicy
from orchestrator.engine.simulation.knowledge import Given, Play, Result, Version, Wanted
from orchestrator.engine.snapshot import ChildVersion
from orchestrator.handlers import registry
from orchestrator.models import WorkflowVersion
from orchestrator.services import answering, checks, children
from orchestrator.services.errors import Invalid
from orchestrator.store import definitions

if TYPE_CHECKING:
    from django.contrib.auth.models import User

LONGEST = 10.0
"""Seconds after which a simulation ends with what it has."""
_HIDDEN: dict[str, JSONValue] = {
    "name": "hidden",
    "tasks": [{"name": "hidden", "taskReferenceName": "hidden", "type": "NOOP"}],
}


class Queues(dict[tuple[str, str], str]):
    """(type, name) → Celery queue; empty where polling workers do the step."""

    def get(self, key: tuple[str, str], default: Any = None) -> Any:
        """Ask the registry of handlers."""
        return registry.queue_of(*key) or default


class Outside:
    """Answers what plays ask for, on behalf of one actor."""

    def __init__(self, actor: "User | None") -> None:
        self._actor = actor
        self._made = count(1)
        self.hidden: set[str] = set()
        """Sub-workflows that the actor may not see."""

    def carry_out(self, play: Play[Result]) -> Result:
        """Give a play what it wants until it ends, or until time is up."""
        ends = time.monotonic() + LONGEST
        try:
            wanted = next(play)
            while True:
                wanted = play.send(self._given(wanted, is_over=time.monotonic() > ends))
        except StopIteration as ended:
            result: Result = ended.value
            return result

    def _given(self, wanted: Wanted, *, is_over: bool) -> Given:
        return Given(
            answers=answering.evaluate({"": wanted.questions}),
            children={key: self._child(*key) for key in wanted.children},
            inline={digest: self._inline(raw) for digest, raw in wanted.inline.items()},
            # As in a run: what nobody has registered has Conductor's own TaskDef.
            policies={name: TaskPolicy(name=name) for name in wanted.policies}
            | _policies(wanted.policies),
            is_over=is_over,
        )

    def _child(self, name: str, number: int | None) -> Version | None:
        found = children.find_version(name=name, number=number)
        if found is None:
            return None
        if policy.can(self._actor, Permission.VIEW_WORKFLOW, found.workflow):
            return self.stored(found)
        self.hidden.add(name)
        stand_in = checks.require_sound(checks.examine_rules(document=_HIDDEN, inline=True))
        return self._version(stand_in, name=name, number=found.number or 0, lock={})

    def _inline(self, document: JSONValue) -> Version | str:
        try:
            definition = checks.require_sound(checks.examine_rules(document=document, inline=True))
        except Invalid as error:
            return error.message
        return self.given(definition)

    def stored(self, version: WorkflowVersion) -> Version:
        """Return a stored version."""
        graph = definitions.graph_of_version(version.pk)
        return Version(
            graph=graph,
            child=ChildVersion(
                version_id=version.pk,
                workflow_name=graph.definition.name,
                number=version.number or 0,
                is_saga=graph.is_saga,
                has_undo=version.has_undo,
            ),
            policies=_policies(graph.task_names),
            lock=version.lock if graph.is_saga else {},
        )

    def given(self, definition: Definition) -> Version:
        """Return a definition that is in no row."""
        lock = children.resolve_lock(definition, number=None)
        return self._version(definition, name=definition.name, number=0, lock=lock)

    def _version(
        self, definition: Definition, *, name: str, number: int, lock: Mapping[str, int]
    ) -> Version:
        graph = compile_definition(definition)
        return Version(
            graph=graph,
            child=ChildVersion(
                # No row has a negative key.
                version_id=-next(self._made),
                workflow_name=name,
                number=number,
                is_saga=graph.is_saga,
                has_undo=children.can_be_undone(definition, lock=lock),
            ),
            policies=_policies(graph.task_names),
            lock=lock,
        )


def _policies(names: frozenset[str]) -> dict[str, TaskPolicy]:
    return definitions.policies_of(definitions.registered_policies(names))
