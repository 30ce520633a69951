"""What a participant promises beside its answer: until when a room can be cancelled."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

DAYS_AHEAD = 14
"""When a stay begins that says nothing about it."""
MOST_DAYS = 3650
NOTICE = timedelta(hours=24)


def terms_of(step: str, body: Mapping[str, Any], *, now: datetime) -> dict[str, str]:
    """Return the terms of a booking; most participants have none.

    A stay begins so many days after the booking (`details.daysAhead`), so that samples never age.
    """
    if step != "book_hotel":
        return {}
    stay = now + timedelta(days=_days_ahead(body.get("details")))
    return {"stayBegins": stay.isoformat(), "cancellableUntil": (stay - NOTICE).isoformat()}


def _days_ahead(details: object) -> float:
    days = details.get("daysAhead") if isinstance(details, dict) else None
    if isinstance(days, bool) or not isinstance(days, int | float):
        return DAYS_AHEAD
    return min(max(days, 0), MOST_DAYS)
