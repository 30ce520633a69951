"""The timeline: bars in order, waits folded, nothing too narrow to see."""

from datetime import UTC, datetime, timedelta
from typing import Any

from orchestrator.views.timeline import AXIS, NARROWEST, timeline

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def a_step(name: str, begin: float, end: float, **fields: Any) -> dict[str, Any]:
    moment = (START + timedelta(seconds=begin)).isoformat()
    return {
        "name": name,
        "state": "COMPLETED",
        "direction": "FORWARD",
        "scheduledAt": moment,
        "startedAt": moment,
        "endedAt": (START + timedelta(seconds=end)).isoformat(),
    } | fields


def test_bars_stand_in_proportion() -> None:
    drawn = timeline({"steps": [a_step("first", 0, 1), a_step("second", 1, 4)]})

    first, second = drawn.forward
    assert (first.x, first.width) == (0, AXIS / 4)
    assert (second.x, second.width) == (AXIS / 4, AXIS * 3 / 4)
    assert drawn.total == timedelta(seconds=4)


def test_a_wait_of_days_is_folded_and_every_bar_can_still_be_seen() -> None:
    three_days = 3 * 86400
    steps = [a_step("first", 0, 0.01), a_step("last", three_days, three_days + 2)]

    drawn = timeline({"steps": steps})

    assert [fold["span"] for fold in drawn.folds] == [timedelta(seconds=3 * 86400 - 0.01)]
    assert all(bar.width >= NARROWEST for bar in drawn.forward)
    assert all(0 <= bar.x <= AXIS - NARROWEST for bar in drawn.forward)


def test_undos_come_apart_from_steps() -> None:
    undo = a_step("refund", 2, 3, direction="COMPENSATION")

    drawn = timeline({"steps": [a_step("charge", 0, 1), undo]})

    assert [bar.step["name"] for bar in drawn.undo] == ["refund"]


def test_a_run_without_steps_has_an_empty_timeline() -> None:
    assert timeline({"steps": []}).forward == []
