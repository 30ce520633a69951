"""Moments and lengths in words."""

from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.templatetags import times

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (timedelta(milliseconds=480), "480 ms"),
        (timedelta(seconds=3.24), "3.2 s"),
        (timedelta(seconds=61), "1 min 1 s"),
        (timedelta(hours=2, minutes=14), "2 h 14 min"),
        (timedelta(days=3, hours=5), "3 d 5 h"),
        (timedelta(seconds=-1), "0 ms"),
    ],
)
def test_length(span: timedelta, words: str) -> None:
    assert times.length(span) == words


@pytest.mark.parametrize(
    ("when", "words"),
    [
        (NOW - timedelta(seconds=3), "now"),
        (NOW - timedelta(seconds=40), "40 s ago"),
        (NOW - timedelta(minutes=12), "12 min ago"),
        (NOW + timedelta(hours=3), "in 3 h"),
        (NOW - timedelta(days=8), "2026-02-21"),
    ],
)
def test_relative(when: datetime, words: str) -> None:
    assert times.relative(when, now=NOW) == words


def test_moment_carries_the_exact_time_for_machines_and_on_hover() -> None:
    drawn = times.moment("2020-01-02T03:04:05.678Z")

    assert 'datetime="2020-01-02T03:04:05.678000+00:00"' in drawn
    assert 'title="2020-01-02 03:04:05 UTC"' in drawn
    assert ">2020-01-02<" in drawn
