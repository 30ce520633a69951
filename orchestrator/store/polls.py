"""Which domains workers ask for, as far as it matters where a task is put."""

from collections.abc import Collection
from datetime import timedelta

from orchestrator.models import QueuePoll
from orchestrator.store import clock

LATELY = timedelta(seconds=10)
"""How long a poll counts (conductor/definitions.md §8.8)."""


def domains_polled(names: Collection[str]) -> dict[str, frozenset[str]]:
    """Return by task name the domains that a worker has asked for in the last ten seconds."""
    if not names:
        return {}
    found: dict[str, set[str]] = {name: set() for name in names}
    rows = QueuePoll.objects.filter(task_type__in=names, polled_at__gte=clock.now() - LATELY)
    for name, domain in rows.values_list("task_type", "domain"):
        found[name].add(domain)
    return {name: frozenset(domains) for name, domains in found.items()}
