"""Registered TaskDefs; whoever is signed in may read them, since any workflow may use them."""

from orchestrator.access.errors import NotFound
from orchestrator.models import TaskDefinition


def task_definitions() -> list[TaskDefinition]:
    """Return every TaskDef, by name."""
    return list(TaskDefinition.objects.select_related("created_by"))


def find_task_definition(*, name: str) -> TaskDefinition:
    """Return a TaskDef by name, or raise `NotFound`."""
    found = TaskDefinition.objects.select_related("created_by").filter(name=name).first()
    if found is None:
        raise NotFound(f"There is no task definition {name[:255]!r}.")
    return found
