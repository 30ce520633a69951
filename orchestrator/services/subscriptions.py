"""Which versions wait for which events: the index of `saga.triggers` (T7)."""

from orchestrator.engine.definition.model import Definition
from orchestrator.models import VersionTrigger, WorkflowVersion

LONGEST_NAME = 255


def declare(version: WorkflowVersion, definition: Definition) -> None:
    """Write down the events that a new version waits for; part of the caller's transaction."""
    names = {str(trigger["event"]) for trigger in definition.saga.triggers if trigger.get("event")}
    VersionTrigger.objects.bulk_create(
        VersionTrigger(version=version, event=name[:LONGEST_NAME]) for name in sorted(names)
    )
