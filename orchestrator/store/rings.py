"""Rows that nobody claimed: stamped, so that repair rings for each only now and then."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta

from django.db import connection

from orchestrator.models import StepRun

BASE_SECONDS = 10
CAP_SECONDS = 120
AT_MOST = 200
"""Per queue and tick (reliability.md §3.3)."""


def unrung_queues(*, now: datetime) -> set[str]:
    """Return the queues with step runs that are due for a ring."""
    return set(StepRun.objects.filter(wake_at__lt=now).values_list("queue", flat=True).distinct())


def stamp_unrung(*, now: datetime) -> Mapping[str, list[str]]:
    """Return, by queue, claimable step runs that are due for a ring; the next is put off.

    A row is put off by 10 s · 2^n, at most 120 s: a queue that nobody serves is not flooded.
    """
    rows = StepRun.objects.filter(wake_at__lt=now).order_by("wake_at")
    if connection.vendor == "postgresql":
        rows = rows.select_for_update(skip_locked=True, of=("self",), no_key=True)
    rung: dict[str, list[str]] = {}
    by_rings: dict[int, list[str]] = {}
    taken: Counter[str] = Counter()
    for row in rows.only("id", "queue", "rings")[: AT_MOST * 4]:
        if taken[row.queue] >= AT_MOST:
            continue
        taken[row.queue] += 1
        rung.setdefault(row.queue, []).append(str(row.id))
        by_rings.setdefault(row.rings, []).append(str(row.id))
    for rings, ids in by_rings.items():
        pause = min(BASE_SECONDS * 2 ** min(rings, 4), CAP_SECONDS)
        StepRun.objects.filter(pk__in=ids, wake_at__lt=now).update(
            wake_at=now + timedelta(seconds=pause), rings=rings + 1
        )
    return rung
