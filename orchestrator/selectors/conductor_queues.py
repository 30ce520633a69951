"""Queues of polled tasks: how much waits in each, and who asked when."""

from collections.abc import Collection
from typing import TYPE_CHECKING

from django.db.models import Count, Q, QuerySet

from orchestrator.access import scoping
from orchestrator.engine.definition.graph import ENGINE_TYPES
from orchestrator.engine.states import StepState
from orchestrator.models import QueuePoll, StepRun

if TYPE_CHECKING:
    from django.contrib.auth.models import User

POLLS_AT_MOST = 1000


def queue_sizes(*, actor: "User | None", queues: Collection[str] | None = None) -> dict[str, int]:
    """Return how many tasks wait, by queue; a domain stands before the name."""
    waiting = _waiting(actor)
    if queues is not None:
        waiting = waiting.filter(name__in={queue.rpartition(":")[2] for queue in queues})
    rows = waiting.values_list("name", "domain").annotate(waiting=Count("pk"))
    return {queue_name(name, domain): int(count) for name, domain, count in rows}


def tasks_out(*, actor: "User | None") -> dict[str, int]:
    """Return how many tasks of each queue are with a worker."""
    rows = scoping.visible_to(
        actor,
        StepRun.objects.filter(queue="", state=StepState.DISPATCHED.value).exclude(
            type__in=ENGINE_TYPES
        ),
        path="execution__workflow",
    )
    counted = rows.values_list("name", "domain").annotate(out=Count("pk"))
    return {queue_name(name, domain): int(count) for name, domain, count in counted}


def queue_size(*, actor: "User | None", name: str, domain: str) -> int:
    """Return how many tasks of a name and domain wait for a worker."""
    return _waiting(actor).filter(name=name, domain=domain).count()


def polls(*, task_type: str = "") -> list[QueuePoll]:
    """Return who polled last for a task type, or for any, the latest first."""
    rows = QueuePoll.objects.order_by("-polled_at")
    if task_type:
        rows = rows.filter(task_type=task_type)
    return list(rows[:POLLS_AT_MOST])


def queue_name(name: str, domain: str) -> str:
    """Return the name of the queue for tasks of a name in a domain."""
    return f"{domain}:{name}" if domain else name


def _waiting(actor: "User | None") -> QuerySet[StepRun]:
    handed_back = Q(state=StepState.WAITING.value, due_at__isnull=False)
    is_waiting = Q(state__in=(StepState.SCHEDULED.value, StepState.RETRY_WAIT.value)) | handed_back
    rows = StepRun.objects.filter(is_waiting, queue="").exclude(type__in=ENGINE_TYPES)
    return scoping.visible_to(actor, rows, path="execution__workflow")
