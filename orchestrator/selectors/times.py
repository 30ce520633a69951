"""Moments as the API spells them."""

from datetime import UTC, datetime


def iso_of(text: str | None) -> str | None:
    """Return a moment that is kept as text as the API shows it, or None."""
    return None if text is None else iso(datetime.fromisoformat(text))


def iso(moment: datetime | None) -> str | None:
    """Return ISO-8601 in UTC with milliseconds, or None."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
