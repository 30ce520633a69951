"""Lengths of time and moments as people write them in definitions."""

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

from orchestrator.engine.errors import EngineError

NUMBER: Final = r"(\d{1,9})"
ISO: Final = re.compile(
    rf"P(?=\d|T\d)(?:{NUMBER}W)?(?:{NUMBER}D)?"
    rf"(?:T(?=\d)(?:{NUMBER}H)?(?:{NUMBER}M)?(?:(\d{{1,9}}(?:[.,]\d{{1,6}})?)S)?)?",
    re.ASCII,
)
WAIT: Final = re.compile(
    rf"(?:{NUMBER}\s*d(?:ays?)?)?\s*(?:{NUMBER}\s*h(?:ours?|rs?)?)?\s*"
    rf"(?:{NUMBER}\s*m(?:in(?:ute)?s?)?)?\s*(?:{NUMBER}\s*s(?:ec(?:ond)?s?)?)?",
    re.IGNORECASE | re.ASCII,
)
UNTIL: Final = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})(?: (\d{2}):(\d{2})(?: ([A-Za-z0-9_+\-:/]{1,64}))?)?", re.ASCII
)
OFFSET: Final = re.compile(r"(?:GMT|UTC)?([+-])(\d{1,2}):?(\d{2})?", re.ASCII)
ABBREVIATIONS: Final = {
    "Z": "UTC",
    "GMT": "UTC",
    "EST": "America/New_York",
    "EDT": "America/New_York",
    "CST": "America/Chicago",
    "CDT": "America/Chicago",
    "MST": "America/Denver",
    "MDT": "America/Denver",
    "PST": "America/Los_Angeles",
    "PDT": "America/Los_Angeles",
    "CET": "Europe/Paris",
    "CEST": "Europe/Paris",
    "BST": "Europe/London",
    "IST": "Asia/Kolkata",
    "JST": "Asia/Tokyo",
}
"""Zones that Java knows by these letters and the zone database does not, or not as a place."""
MOST_HOURS: Final = 18


class MalformedTime(EngineError):
    """The text is not a length of time, or not a moment, that is understood here."""

    def __init__(self, text: str, wanted: str) -> None:
        super().__init__(f'"{text[:60]}" is not {wanted}.')


def parse_duration(text: str) -> timedelta:
    """Parse an ISO-8601 duration of weeks, days, hours, minutes and seconds: `P14D`, `PT2.5S`.

    Years and months have no fixed length and are refused.

    Raises:
        MalformedTime: the text is something else, or longer than the calendar.
    """
    found = ISO.fullmatch(text)
    if found is None:
        raise MalformedTime(text, "an ISO-8601 duration such as P14D or PT2H")
    weeks, days, hours, minutes, seconds = found.groups()
    return span(
        text,
        days=int(weeks or 0) * 7 + int(days or 0),
        hours=int(hours or 0),
        minutes=int(minutes or 0),
        seconds=float((seconds or "0").replace(",", ".")),
    )


def parse_wait_duration(text: str) -> timedelta:
    """Parse the `duration` of a WAIT: `2 days 3 hours 5 minutes 10 seconds`, `90s`.

    Raises:
        MalformedTime: the text is something else.
    """
    found = WAIT.fullmatch(text.strip())
    if found is None or not any(found.groups()):
        raise MalformedTime(text, 'a duration such as "2 days 3 hours 5 minutes 10 seconds"')
    days, hours, minutes, seconds = (int(number or 0) for number in found.groups())
    return span(text, days=days, hours=hours, minutes=minutes, seconds=seconds)


def span(text: str, *, days: int, hours: int, minutes: int, seconds: float) -> timedelta:
    """Add up the parts of a length of time."""
    try:
        return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    except OverflowError:
        raise MalformedTime(text, "a length of time that a calendar can hold") from None


def parse_until(text: str) -> datetime:
    """Parse the `until` of a WAIT: `2026-03-01`, `2026-03-01 14:30`, `2026-03-01 14:30 CET`.

    Without a zone it is UTC. The moment returned is aware.

    Raises:
        MalformedTime: the text is something else, or no such date or zone exists.
    """
    found = UNTIL.fullmatch(text.strip())
    if found is None:
        raise MalformedTime(text, 'a moment such as "2026-03-01 14:30" or "2026-03-01 14:30 CET"')
    year, month, day, hour, minute, zone = found.groups()
    try:
        return datetime(
            int(year),
            int(month),
            int(day),
            int(hour or 0),
            int(minute or 0),
            tzinfo=parse_zone(zone) if zone else UTC,
        )
    except ValueError:
        raise MalformedTime(text, "a moment that exists") from None


def parse_zone(name: str) -> tzinfo:
    """Find a time zone by its name, its usual letters, or its offset.

    Raises:
        MalformedTime: there is no such zone.
    """
    offset = OFFSET.fullmatch(name)
    if offset is not None and int(offset[2]) <= MOST_HOURS:
        return offset_zone(offset[1], int(offset[2]), int(offset[3] or 0))
    try:
        return ZoneInfo(ABBREVIATIONS.get(name, name))
    except (LookupError, ValueError, OSError):
        # Names of folders in the zone database, and names that lead out of it, end here too.
        raise MalformedTime(name, "the name of a time zone such as Europe/Vienna") from None


def offset_zone(sign: str, hours: int, minutes: int) -> tzinfo:
    """Return the zone of a fixed offset."""
    length = timedelta(hours=hours, minutes=minutes)
    return timezone(-length if sign == "-" else length)


def parse_moment(text: str, zone: tzinfo = UTC) -> datetime:
    """Parse an ISO-8601 date-time; one without offset is wall time in `zone`.

    Raises:
        MalformedTime: the text is something else.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise MalformedTime(text, "a moment such as 2026-03-01T14:30:00Z") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)
