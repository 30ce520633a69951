"""Business times: a moment, or wall time in a zone, and a lead before it (saga-semantics §10.2).

What is kept is the wall time and the name of its zone; UTC is computed whenever it is needed, so
that a newer zone database counts. A wall time that a change of clocks leaves out is taken as far
after the change as it was meant after the last moment before it (02:30 becomes 03:30); one that
happens twice is taken the first time.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

from orchestrator.engine.canonical import JSONValue
from orchestrator.engine.definition.durations import (
    MalformedTime,
    parse_duration,
    parse_moment,
    parse_zone,
)

WANTED = "a moment that a calendar can hold"


@dataclass(frozen=True, slots=True)
class Instant:
    """A business time in UTC."""

    at: datetime
    is_wall_time: bool = False
    """Computed by the rules of a zone, which may be changed before it comes."""


def instant(at: JSONValue, *, zone: JSONValue = "UTC", lead: JSONValue = None) -> Instant:
    """Return a business time in UTC; `lead` is elapsed time before it, whatever clocks do.

    Raises:
        MalformedTime: a part is missing, or no moment, zone or duration.
    """
    name = _text(zone, "the name of a time zone")
    named = UTC if name == "UTC" else parse_zone(name)
    text = _text(at, "a moment such as 2026-03-01T14:30:00Z")
    before = timedelta() if lead is None else parse_duration(_text(lead, "a duration"))
    moment = parse_moment(text, named).replace(fold=0)
    is_wall_time = moment.tzinfo is named and not isinstance(named, timezone)
    try:
        return Instant(moment.astimezone(UTC) - before, is_wall_time)
    except OverflowError:
        raise MalformedTime(text, WANTED) from None


def closing(window: JSONValue, *, since: datetime) -> datetime:
    """Return when a `window` closes: a length of time after the step's completion, or a moment.

    Raises:
        MalformedTime: it is neither.
    """
    text = _text(window, "a duration such as P14D, or a moment")
    if not text.startswith("P"):
        return instant(text).at
    try:
        return since + parse_duration(text)
    except OverflowError:
        raise MalformedTime(text, "a length of time that a calendar can hold") from None


def _text(value: JSONValue, wanted: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise MalformedTime("null" if value is None else str(value), wanted)
    return value.strip()
