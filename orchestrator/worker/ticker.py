"""Once a second: everything that is due, found in the rows, with nobody to tell us."""

import logging
import signal
import threading
import time
from collections.abc import Callable

from django.db import close_old_connections, connections

from orchestrator import drain, metrics

logger = logging.getLogger(__name__)

Tick = Callable[[], float]

LONGEST_PAUSE_SECONDS = 1.0
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


def main() -> None:
    """Run as a child of the supervisor, until it says so."""
    import django  # noqa: PLC0415  models may be imported only after this

    django.setup()
    from orchestrator.services import recovery  # noqa: PLC0415

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    metrics.serve_if_asked()
    run_ticker(tick=recovery.tick, stop=stop)


if __name__ == "__main__":
    main()
