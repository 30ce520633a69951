"""What is compared with what, which bars it must pass, and how a comparison is written down."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """How good a ratio must be, and how good it should become."""

    figure: str
    against: str
    bar: float | None
    goal: float | None
    higher_is_better: bool

    def is_met(self, ratio: float, limit: float | None) -> bool | None:
        """Tell whether a ratio is good enough; None without a limit."""
        if limit is None:
            return None
        return ratio >= limit if self.higher_is_better else ratio <= limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table."""

    figure: str
    against: str
    ratio: float
    spread: tuple[float, float]
    bar: float | None
    goal: float | None
    bar_met: bool | None
    goal_met: bool | None


CHAIN = "plain Celery chain"


def _more(figure: str, against: str, bar: float | None, goal: float | None) -> Bar:
    return Bar(figure=figure, against=against, bar=bar, goal=goal, higher_is_better=True)


def _less(figure: str, against: str, bar: float | None, goal: float | None) -> Bar:
    return Bar(figure=figure, against=against, bar=bar, goal=goal, higher_is_better=False)


HAPPY = _more("happy sagas/s, started one by one", CHAIN, 1.0, 2.0)
HAPPY_SETS = _more("happy sagas/s, started in sets of 50", CHAIN, 1.0, 2.0)
COMPENSATED = _more("compensated sagas/s, started one by one", CHAIN, 1.5, 4.0)
COMPENSATED_SETS = _more("compensated sagas/s, started in sets of 50", CHAIN, 1.5, 4.0)
LONE = _less("latency of a lone happy saga, p50", CHAIN, 1.0, 0.5)
LONE_UNDO = _less("latency of a lone compensated saga, p50", CHAIN, None, None)
CPU = _less("CPU of a happy saga, started one by one", CHAIN, None, None)
CPU_SETS = _less("CPU of a happy saga, started in sets of 50", CHAIN, None, None)
LONG = _less("CPU of a step in a run of {steps} steps", "in runs of 10", 1.2, 1.05)
FORK = _less("time of a branch, fork of {steps}", "{steps} steps in sequence", 1.0, 0.5)
OUTSIDE = _more("steps/s of outside workers, 8 connections", "GET /healthz", 0.5, 1.0)
LIST = _less("list of runs, {many} runs, p95", "{few} runs", 2.0, 1.2)
BYTES = _less("database bytes of a happy saga", "DBOS", 1.5, 1.0)
PEERS = {
    "dbos": ("DBOS", 2.0, 5.0),
    "restate_python": ("Restate, Python SDK on Granian", 0.5, 1.5),
    "restate_typescript": ("Restate, TypeScript SDK", 0.3, 1.2),
}
"""What it is called, bar and goal; the same for happy and compensated sagas."""
WAYS = {"": "started one by one", "_sets": "started in sets of 50"}


def against_peer(peer: str, mode: str, way: str) -> Bar:
    """Return the bar of sagas per second against a durable peer."""
    name, bar, goal = PEERS[peer]
    return _more(f"{mode} sagas/s, {WAYS[way]}", name, bar, goal)


def cpu_against_peer(peer: str, mode: str, way: str) -> Bar:
    """Return the row of the CPU that a saga takes against a durable peer."""
    return _less(f"CPU of a {mode} saga, {WAYS[way]}", PEERS[peer][0], None, None)


def compare(bar: Bar, ours: Sequence[float], theirs: Sequence[float], **words: object) -> Row:
    """Return the row of a figure that was measured as often for both, side by side."""
    ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
    ratio = statistics.median(ratios)
    return Row(
        figure=bar.figure.format(**words),
        against=bar.against.format(**words),
        ratio=round(ratio, 3),
        spread=(round(min(ratios), 3), round(max(ratios), 3)),
        bar=bar.bar,
        goal=bar.goal,
        bar_met=bar.is_met(ratio, bar.bar),
        goal_met=bar.is_met(ratio, bar.goal),
    )


def as_table(rows: Sequence[Row]) -> str:
    """Return rows as aligned text."""
    heads = ("figure", "against", "ratio", "spread", "bar", "goal")
    lines = [heads, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.figure,
        row.against,
        f"{row.ratio:.2f}",
        f"{row.spread[0]:.2f}-{row.spread[1]:.2f}",
        _limit(row.bar, is_met=row.bar_met),
        _limit(row.goal, is_met=row.goal_met),
    )


def _limit(limit: float | None, *, is_met: bool | None) -> str:
    if limit is None:
        return "-"
    return f"{limit:g} {'met' if is_met else 'missed'}"


def as_data(rows: Sequence[Row]) -> list[dict[str, object]]:
    """Return rows as plain data."""
    return [asdict(row) for row in rows]
