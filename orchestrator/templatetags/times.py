"""Moments and lengths of time for people: relative in the text, exact on hover and for machines."""

from datetime import UTC, datetime, timedelta

from django import template
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()

NEVER = "\N{EN DASH}"
MINUTE, HOUR, DAY = 60, 3600, 86400


@register.simple_tag
def moment(value: datetime | str | None, empty: str = NEVER) -> SafeString:
    """Draw a moment as a `time` element that a small script keeps fresh."""
    when = as_datetime(value)
    if when is None:
        return format_html("{}", empty)
    exact = when.astimezone(UTC)
    return format_html(
        '<time datetime="{}" title="{}" data-relative>{}</time>',
        exact.isoformat(),
        exact.strftime("%Y-%m-%d %H:%M:%S UTC"),
        relative(when, now=timezone.now()),
    )


@register.simple_tag
def clock(value: datetime | str | None, empty: str = NEVER) -> SafeString:
    """Draw a moment as date and time to the millisecond, for logs."""
    when = as_datetime(value)
    if when is None:
        return format_html("{}", empty)
    exact = when.astimezone(UTC)
    shown = exact.strftime("%Y-%m-%d %H:%M:%S.") + f"{exact.microsecond // 1000:03d}"
    return format_html('<time datetime="{}">{}</time>', exact.isoformat(), shown)


@register.simple_tag
def took(start: datetime | str | None, end: datetime | str | None) -> str:
    """Say how long something took, or has taken so far."""
    first, last = as_datetime(start), as_datetime(end)
    if first is None:
        return ""
    return length((last or timezone.now()) - first)


@register.filter
def span(value: timedelta) -> str:
    """Say a length of time."""
    return length(value)


def as_datetime(value: datetime | str | None) -> datetime | None:
    """Return a moment from what a selector gives: a datetime, or ISO-8601 text."""
    if value is None or isinstance(value, datetime):
        return value
    return parse_datetime(value)


def length(span: timedelta) -> str:
    """Say a length of time in at most two units."""
    seconds = max(span.total_seconds(), 0)
    if seconds < 1:
        return f"{round(seconds * 1000)} ms"
    if seconds < MINUTE:
        return f"{seconds:.1f} s"
    for size, unit, smaller, name in ((DAY, "d", HOUR, "h"), (HOUR, "h", MINUTE, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} {int(seconds % size // smaller)} {name}"
    return f"{int(seconds // MINUTE)} min {int(seconds % MINUTE)} s"


def relative(when: datetime, *, now: datetime) -> str:
    """Say a moment relative to now; older than a week it becomes a date."""
    seconds = (now - when).total_seconds()
    distance = abs(seconds)
    if distance < 10:
        return "now"
    if distance > 7 * DAY:
        return when.astimezone(UTC).strftime("%Y-%m-%d")
    for size, unit in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min"), (1, "s")):
        if distance >= size:
            words = f"{int(distance // size)} {unit}"
            return f"{words} ago" if seconds > 0 else f"in {words}"
    return "now"
