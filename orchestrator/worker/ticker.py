"""Once a second: everything that is due, found in the rows, with nobody to tell us."""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable

from django.db import close_old_connections, connections

from orchestrator import drain, metrics
from orchestrator.worker.supervisor import RESTART_SIGNAL

logger = logging.getLogger(__name__)

Tick = Callable[[], float]

LONGEST_PAUSE_SECONDS = 1.0
LOOK_SECONDS, AFTER_START_SECONDS = 15.0, 90.0
SHORTEST_PAUSE_SECONDS = 0.02
"""So that work which stays due for a reason we do not see cannot take a whole core."""


def run_ticker(*, tick: Tick, stop: threading.Event) -> None:
    """Call `tick` until told to stop; it answers how long nothing will be due.

    A tick that fails is counted and logged, and the next one comes a second later: whatever it
    left undone is still due in the rows.
    """
    try:
        while not stop.is_set() and not drain.is_draining():
            stop.wait(_one_tick(tick))
    finally:
        connections.close_all()


def _one_tick(tick: Tick) -> float:
    started = time.monotonic()
    close_old_connections()
    try:
        pause = tick()
    except Exception:
        metrics.TICKER_FAILURES.inc()
        logger.exception("tick_failed")
        return LONGEST_PAUSE_SECONDS
    metrics.TICKER_SECONDS.observe(time.monotonic() - started)
    metrics.TICKER_LAST.set_to_current_time()
    return min(max(pause, SHORTEST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)


class DeafWatch:
    """Has the supervisor start the workers again when they hear nothing although there is work."""

    def __init__(self, *, is_deaf: Callable[[], bool], restart: Callable[[], None]) -> None:
        self._is_deaf = is_deaf
        self._restart = restart
        # Workers that have just come up have had no time to hear anything.
        self._look_at = time.monotonic() + AFTER_START_SECONDS

    def look(self) -> None:
        """Look now and then; what was started again gets time to come up."""
        if time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + LOOK_SECONDS
        if self._is_deaf():
            logger.error("workers_deaf")
            self._look_at = time.monotonic() + AFTER_START_SECONDS
            self._restart()


def _restart_workers() -> None:
    """Ask the supervisor, if that is our parent, to start its workers again."""
    if drain.VARIABLE in os.environ:
        os.kill(os.getppid(), RESTART_SIGNAL)


def main() -> None:
    """Run as a child of the supervisor, until it says so."""
    import django  # noqa: PLC0415  models may be imported only after this

    django.setup()
    from orchestrator.services import recovery, upkeep  # noqa: PLC0415

    watch = DeafWatch(is_deaf=upkeep.is_deaf, restart=_restart_workers)

    def tick() -> float:
        pause = recovery.tick()
        watch.look()
        return pause

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    metrics.serve_if_asked()
    run_ticker(tick=tick, stop=stop)


if __name__ == "__main__":
    main()
