"""The timeline view of a run: one bar per step run, then the undo plan and its undos."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from django.utils.dateparse import parse_datetime

from orchestrator.selectors.words import Look, look

Row = Mapping[str, Any]
AXIS = 1000
"""Width of the drawing in units of its own; the browser scales it."""
NARROWEST = 4
FOLD_SECONDS = 60
FOLD_SHARE = 0.05
FOLDED_WIDTH = 0.02
"""Share of the axis that a folded wait keeps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One step run on the axis; queued and at work are drawn apart."""

    step: Row
    look: Look
    queued_x: float
    x: float
    width: float
    took: timedelta

    @property
    def queued_width(self) -> float:
        """How long it waited for its start, on the axis."""
        return max(self.x - self.queued_x, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """All bars, and the waits that were folded because nothing happened in them."""

    forward: list[Bar]
    undo: list[Bar]
    total: timedelta
    folds: list[dict[str, Any]] = field(default_factory=list)


def timeline(detail: Row) -> Timeline:
    """Lay the step runs of a run onto one axis, without the long waits."""
    now = timezone.now()
    timed = [(step, *_span(step, now)) for step in detail["steps"]]
    axis = _Axis(moment for _, *moments in timed for moment in moments)
    bars = [_bar(step, queued, start, end, axis) for step, queued, start, end in timed]
    undo = ("COMPENSATION", "PROBE", "CONFIRM")
    return Timeline(
        forward=[bar for bar in bars if bar.step["direction"] == "FORWARD"],
        undo=[bar for bar in bars if bar.step["direction"] in undo],
        total=axis.total,
        folds=axis.folds,
    )


def _span(step: Row, now: datetime) -> tuple[datetime, datetime, datetime]:
    queued = _moment(step["scheduledAt"]) or now
    start = _moment(step["startedAt"]) or queued
    end = _moment(step["endedAt"]) or now
    return queued, max(start, queued), max(end, start)


def _moment(text: str | None) -> datetime | None:
    return parse_datetime(text) if text else None


def _bar(step: Row, queued: datetime, start: datetime, end: datetime, axis: "_Axis") -> Bar:
    x = axis.place(start)
    return Bar(
        step=step,
        look=look("step", step["state"]),
        queued_x=axis.place(queued),
        x=min(x, AXIS - NARROWEST),
        width=max(axis.place(end) - x, NARROWEST),
        took=end - start,
    )


class _Axis:
    """Moments to places; a long stretch in which nothing begins or ends takes little room."""

    def __init__(self, moments: Iterable[datetime]) -> None:
        self._moments = sorted(set(moments))
        self.folds: list[dict[str, Any]] = []
        self.total = timedelta()
        self._places: dict[datetime, float] = {}
        if self._moments:
            self._lay_out()

    def place(self, moment: datetime) -> float:
        """Return where a known moment stands on the axis."""
        return self._places[moment]

    def _lay_out(self) -> None:
        whole = (self._moments[-1] - self._moments[0]).total_seconds()
        self.total = self._moments[-1] - self._moments[0]
        gaps = [
            (later - earlier).total_seconds()
            for earlier, later in zip(self._moments, self._moments[1:], strict=False)
        ]
        folded = [gap > FOLD_SECONDS and gap > whole * FOLD_SHARE for gap in gaps]
        moving = sum(gap for gap, is_folded in zip(gaps, folded, strict=True) if not is_folded)
        fold = FOLDED_WIDTH * AXIS
        scale = (AXIS - fold * sum(folded)) / moving if moving else 0.0
        at = 0.0
        self._places[self._moments[0]] = at
        for index, gap in enumerate(gaps):
            width = fold if folded[index] else gap * scale
            if folded[index]:
                span = self._moments[index + 1] - self._moments[index]
                self.folds.append({"x": round(at, 2), "width": fold, "span": span})
            at += width
            self._places[self._moments[index + 1]] = round(min(at, AXIS), 2)
