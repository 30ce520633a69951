"""The ticker's loop: it pauses as told, within bounds, and no fault ends it."""

import threading
from types import SimpleNamespace

import pytest

from orchestrator import metrics
from orchestrator.worker import ticker
from orchestrator.worker.ticker import LONGEST_PAUSE_SECONDS, SHORTEST_PAUSE_SECONDS, run_ticker


@pytest.fixture(autouse=True)
def no_connections(monkeypatch):
    """Leave the connections of other tests in this process alone."""
    monkeypatch.setattr(ticker, "close_old_connections", lambda: None)
    monkeypatch.setattr(ticker, "connections", SimpleNamespace(close_all=lambda: None))


class Stop(threading.Event):
    """Counts the pauses instead of making them, and stops after some."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.pauses: list[float | None] = []
        self._after = after

    def wait(self, timeout: float | None = None) -> bool:
        self.pauses.append(timeout)
        if len(self.pauses) == self._after:
            self.set()
        return self.is_set()


def test_pause_is_what_the_tick_says_within_bounds():
    answers = iter([0.4, 0.0, 60.0])
    stop = Stop(after=3)

    run_ticker(tick=lambda: next(answers), stop=stop)

    assert stop.pauses == [0.4, SHORTEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS]


def test_tick_that_fails_is_counted_and_the_next_one_comes():
    calls = []
    stop = Stop(after=2)
    before = metrics.TICKER_FAILURES._value.get()

    def tick() -> float:
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("a fault")
        return 0.5

    run_ticker(tick=tick, stop=stop)

    assert stop.pauses == [LONGEST_PAUSE_SECONDS, 0.5]
    assert metrics.TICKER_FAILURES._value.get() == before + 1
