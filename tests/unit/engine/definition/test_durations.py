"""Lengths of time and moments as people write them."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.engine.definition.durations import (
    MalformedTime,
    parse_duration,
    parse_moment,
    parse_until,
    parse_wait_duration,
    parse_zone,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("P14D", timedelta(days=14)),
        ("PT2S", timedelta(seconds=2)),
        ("PT2.5S", timedelta(seconds=2.5)),
        ("P1W", timedelta(weeks=1)),
        ("P1DT2H3M4S", timedelta(days=1, hours=2, minutes=3, seconds=4)),
        ("PT0S", timedelta()),
    ],
)
def test_iso_duration(text: str, expected: timedelta) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize(
    "text", ["", "P", "PT", "P1DT", "P1Y", "P1M", "14D", "-P1D", "P1.5D", "PT٣S", "P999999999D "]
)
def test_what_is_no_iso_duration(text: str) -> None:
    with pytest.raises(MalformedTime):
        parse_duration(text)


def test_duration_longer_than_the_calendar_is_refused() -> None:
    with pytest.raises(MalformedTime):
        parse_duration("P999999999W")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1s", timedelta(seconds=1)),
        ("90 seconds", timedelta(seconds=90)),
        ("2 days 3 hours 5 minutes 10 seconds", timedelta(days=2, seconds=3 * 3600 + 310)),
        ("2d3h5m10s", timedelta(days=2, seconds=3 * 3600 + 310)),
        ("1 DAY 1 Hour", timedelta(days=1, hours=1)),
        ("5 mins", timedelta(minutes=5)),
        (" 10 secs ", timedelta(seconds=10)),
        ("0s", timedelta()),
    ],
)
def test_wait_duration(text: str, expected: timedelta) -> None:
    assert parse_wait_duration(text) == expected


@pytest.mark.parametrize("text", ["", "  ", "soon", "10", "1s 1d", "1 fortnight", "-1s", "1.5h"])
def test_what_is_no_wait_duration(text: str) -> None:
    with pytest.raises(MalformedTime):
        parse_wait_duration(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2030-01-31", datetime(2030, 1, 31, tzinfo=UTC)),
        ("2030-01-31 08:30", datetime(2030, 1, 31, 8, 30, tzinfo=UTC)),
        ("2030-01-31 08:30 GMT", datetime(2030, 1, 31, 8, 30, tzinfo=UTC)),
        ("2030-01-31 08:30 Z", datetime(2030, 1, 31, 8, 30, tzinfo=UTC)),
        ("2030-01-31 08:30 CET", datetime(2030, 1, 31, 7, 30, tzinfo=UTC)),
        ("2030-07-31 08:30 Europe/Vienna", datetime(2030, 7, 31, 6, 30, tzinfo=UTC)),
        ("2030-01-31 08:30 GMT+02:00", datetime(2030, 1, 31, 6, 30, tzinfo=UTC)),
        ("2030-01-31 08:30 -05:30", datetime(2030, 1, 31, 14, 0, tzinfo=UTC)),
        ("2030-01-31 08:30 PST", datetime(2030, 1, 31, 16, 30, tzinfo=UTC)),
    ],
)
def test_until(text: str, expected: datetime) -> None:
    assert parse_until(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tomorrow",
        "2030-02-31",
        "2030-01-31 25:00",
        "2030-01-31T08:30",
        "0000-01-01",
        "2030-01-31 08:30 Mars/Olympus",
        "2030-01-31 08:30 ../../etc/passwd",
        "2030-01-31 08:30 +99:00",
        "2030-01-31 08:30 Europe",
    ],
)
def test_what_is_no_until(text: str) -> None:
    with pytest.raises(MalformedTime):
        parse_until(text)


def test_moment_without_offset_is_wall_time_in_the_zone() -> None:
    vienna = parse_zone("Europe/Vienna")

    assert parse_moment("2030-07-01T10:00:00", vienna) == datetime(2030, 7, 1, 8, tzinfo=UTC)
    assert parse_moment("2030-07-01T10:00:00Z", vienna) == datetime(2030, 7, 1, 10, tzinfo=UTC)


@settings(deadline=None)
@given(text=st.text(max_size=30) | st.text(alphabet="PTDHMSW0123456789.-: dhms", max_size=20))
def test_no_text_does_more_than_be_refused(text: str) -> None:
    for parse in (parse_duration, parse_wait_duration, parse_until, parse_moment, parse_zone):
        with suppress(MalformedTime):
            parse(text)
