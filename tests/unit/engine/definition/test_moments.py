"""Business times in UTC: zones, changes of clocks, leads (saga-semantics §10.2)."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.engine.definition.durations import MalformedTime
from orchestrator.engine.definition.moments import closing, instant

ZONES = ["Europe/Vienna", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"]


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc]  # year to minute


@pytest.mark.parametrize(
    ("text", "zone", "moment"),
    [
        ("2026-03-01T14:30:00Z", "UTC", utc(2026, 3, 1, 14, 30)),
        ("2026-03-01T14:30:00+02:00", "Europe/Vienna", utc(2026, 3, 1, 12, 30)),
        ("2026-03-01T14:30:00", "Europe/Vienna", utc(2026, 3, 1, 13, 30)),
        ("2026-07-01T14:30:00", "Europe/Vienna", utc(2026, 7, 1, 12, 30)),
        ("2026-07-01", "Europe/Vienna", utc(2026, 6, 30, 22, 0)),
        (" 2026-07-01T14:30 ", "+05:30", utc(2026, 7, 1, 9, 0)),
        # 02:30 does not exist when the clocks go forward: it is taken after the gap.
        ("2026-03-29T02:30:00", "Europe/Vienna", utc(2026, 3, 29, 1, 30)),
        ("2026-03-08T02:30:00", "America/New_York", utc(2026, 3, 8, 7, 30)),
        # 02:30 comes twice when they go back: the first counts.
        ("2026-10-25T02:30:00", "Europe/Vienna", utc(2026, 10, 25, 0, 30)),
    ],
)
def test_wall_time_becomes_utc(text: str, zone: str, moment: datetime):
    assert instant(text, zone=zone).at == moment


def test_only_the_rules_of_a_zone_make_wall_time():
    assert instant("2026-03-01T14:30:00", zone="Europe/Vienna").is_wall_time
    assert not instant("2026-03-01T14:30:00Z", zone="Europe/Vienna").is_wall_time
    assert not instant("2026-03-01T14:30:00", zone="+02:00").is_wall_time
    assert not instant("2026-03-01T14:30:00").is_wall_time


def test_lead_is_elapsed_time_over_a_change_of_clocks():
    stay = instant("2026-03-29T15:00:00", zone="Europe/Vienna", lead="PT24H")

    assert stay.at.astimezone(ZoneInfo("Europe/Vienna")).hour == 14


@pytest.mark.parametrize(
    "parts",
    [
        {"at": None},
        {"at": ""},
        {"at": 1767225600000},
        {"at": "tomorrow"},
        {"at": "2026-02-30"},
        {"at": "2026-01-01", "zone": "Mars/Olympus"},
        {"at": "2026-01-01", "zone": None},
        {"at": "2026-01-01", "lead": "soon"},
        {"at": "2026-01-01", "lead": 24},
        {"at": "0001-01-01T00:00:00+14:00"},
        {"at": "0001-01-02", "lead": "P14D"},
    ],
)
def test_what_is_no_business_time_says_so(parts: dict[str, Any]):
    with pytest.raises(MalformedTime):
        instant(parts["at"], zone=parts.get("zone", "UTC"), lead=parts.get("lead"))


def test_window_is_a_length_of_time_or_a_moment():
    done = utc(2026, 1, 1)

    assert closing("P14D", since=done) == utc(2026, 1, 15)
    assert closing("2026-02-01T00:00:00+01:00", since=done) == utc(2026, 1, 31, 23)
    with pytest.raises(MalformedTime):
        closing("P999999999D", since=done)
    with pytest.raises(MalformedTime):
        closing(None, since=done)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    st.datetimes(datetime(1971, 1, 1), datetime(2037, 1, 1)),  # noqa: DTZ001 - wall time
    st.sampled_from(ZONES),
)
def test_wall_time_is_shown_by_the_clock_of_its_zone_or_moved_by_the_gap(wall: datetime, name: str):
    zone = ZoneInfo(name)

    found = instant(wall.isoformat(), zone=name).at

    shown = found.astimezone(zone).replace(tzinfo=None, fold=0)
    if shown == wall:
        # Of two such moments it is the first.
        earlier = [found - timedelta(minutes=minutes) for minutes in (30, 60)]
        assert all(each.astimezone(zone).replace(tzinfo=None, fold=0) != wall for each in earlier)
    else:
        before, after = (
            (found + timedelta(hours=hours)).astimezone(zone).utcoffset() for hours in (-3, 0)
        )
        assert before is not None
        assert after is not None
        assert shown - wall == after - before > timedelta()
