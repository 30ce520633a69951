"""What a start has to know before it can be written, asked once for all starts of a transaction."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from orchestrator.access import policy
from orchestrator.access.permissions import Permission
from orchestrator.engine.canonical import JSONValue
from orchestrator.models import WorkflowVersion
from orchestrator.services import versions
from orchestrator.store import clock, startable
from orchestrator.store.apply import children as rows

if TYPE_CHECKING:
    from django.contrib.auth.models import User


class Lookups:
    """What the starts of one transaction have in common, looked up once."""

    def __init__(self, actor: "User | None") -> None:
        self._actor = actor
        self._versions: dict[tuple[str, int | None], WorkflowVersion] = {}
        self._policies: dict[int, Mapping[str, Any]] = {}

    def version(self, *, name: str, number: int | None, definition: JSONValue) -> WorkflowVersion:
        """Return the version that a request starts, if the actor may start it.

        Raises:
            NotFound, Forbidden, Conflict, Invalid: As for a start.
        """
        if definition is not None:
            return versions.inline_version(actor=self._actor, document=definition)
        key = (name, number)
        if key not in self._versions:
            self._versions[key] = self._registered(*key)
        return self._versions[key]

    def _registered(self, name: str, number: int | None) -> WorkflowVersion:
        found = startable.find(name, number)
        # Without a version the workflow still says what is wrong, and to whom.
        workflow = found.version.workflow if found else versions.find_workflow(name)
        policy.require(self._actor, Permission.START_EXECUTION, workflow)
        if found is None or found.is_archived:
            return versions.resolve(name, number)
        if found.policies is not None:
            self._policies[found.version.pk] = found.policies
        return found.version

    @property
    def now(self) -> datetime:
        """Return the database's time, which came along with what was looked up."""
        return clock.lately()

    def policies(self, version: WorkflowVersion) -> Mapping[str, Any]:
        """Return the TaskDefs that a run of the version keeps."""
        if version.pk not in self._policies:
            self._policies[version.pk] = rows.policies_for(version)
        return self._policies[version.pk]
