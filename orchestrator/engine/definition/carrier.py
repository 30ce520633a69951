"""Saga parts in the workflow's `metadata`, for SDKs that drop task keys they do not know.

`metadata.amends` holds `saga` and, by reference name, the saga keys of tasks. They mean the same as
in their proper place; a key given in both places with different content is an error.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestrator.engine.canonical import JSONValue, canonical
from orchestrator.engine.definition.problems import Problems, pointer, spoken

AMENDS = "/metadata/amends"
TASK_KEYS = (
    "effect",
    "compensation",
    "compensate",
    "probe",
    "onUnknown",
    "onStop",
    "outcomes",
    "amount",
    "effectId",
    "savepoint",
    "window",
    "confirm",
    "saga",
)
"""The saga keys that may stand on a task."""


@dataclass(slots=True)
class Carrier:
    """What `metadata.amends` holds, and which of it found its task."""

    saga: JSONValue = None
    tasks: Mapping[str, Mapping[str, JSONValue]] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)

    def merged(
        self, task: Mapping[str, JSONValue], reference: str, problems: Problems
    ) -> tuple[Mapping[str, JSONValue], dict[str, str]]:
        """Return the task with what is carried for it, and where each carried key stands."""
        carried = self.tasks.get(reference)
        if carried is None:
            return task, {}
        self.used.add(reference)
        merged = dict(task)
        origins: dict[str, str] = {}
        for key, value in carried.items():
            place = pointer(AMENDS, "tasks", reference, key)
            if key not in TASK_KEYS:
                problems.format(place, f"`{key}` is not a saga key of a task.", reference)
            elif task.get(key) is None:
                merged[key] = value
                origins[key] = place
            elif is_other(task[key], value):
                problems.format(place, contradiction(key), reference)
        return merged, origins

    def check_all_used(self, problems: Problems) -> None:
        """Note what is carried for tasks that do not exist."""
        for reference in self.tasks:
            if reference not in self.used:
                place = pointer(AMENDS, "tasks", reference)
                problems.format(place, f'No task has the reference name "{reference[:60]}".')


def is_other(left: JSONValue, right: JSONValue) -> bool:
    """Tell whether two values differ as JSON, where 1 and true are not the same."""
    return canonical(left) != canonical(right)


def contradiction(key: str) -> str:
    """Say that a key is given twice."""
    return f"`{key}` is given here and in its own place with different content; keep one of them."


def read_carrier(document: Mapping[str, JSONValue], problems: Problems) -> Carrier:
    """Read `metadata.amends`; anything of the wrong shape is noted and left out."""
    metadata = document.get("metadata")
    amends = metadata.get("amends") if isinstance(metadata, dict) else None
    if amends is None:
        return Carrier()
    if not isinstance(amends, dict):
        problems.format(AMENDS, f"`amends` must be an object, not {spoken(amends)}.")
        return Carrier()
    for key in amends:
        if key not in ("saga", "tasks"):
            place = pointer(AMENDS, key)
            problems.format(place, f"`{key}` is not a key that is known here.")
    return Carrier(saga=amends.get("saga"), tasks=read_tasks(amends.get("tasks"), problems))


def read_tasks(tasks: JSONValue, problems: Problems) -> dict[str, Mapping[str, JSONValue]]:
    """Read the carried keys of each task."""
    found: dict[str, Mapping[str, JSONValue]] = {}
    if tasks is None:
        return found
    if not isinstance(tasks, dict):
        place = pointer(AMENDS, "tasks")
        problems.format(place, f"`tasks` must be an object here, not {spoken(tasks)}.")
        return found
    for reference, keys in tasks.items():
        if isinstance(keys, dict):
            found[reference] = keys
            continue
        place = pointer(AMENDS, "tasks", reference)
        problems.format(place, f"The saga keys of a task must be an object, not {spoken(keys)}.")
    return found
