"""Everything in one process: the web server in front, a Celery worker and the ticker as threads."""

import logging
import os
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from celery import Celery
from celery.app import app_or_default
from celery.worker import WorkController
from celery.worker import state as celery_state
from django.db import connections

from orchestrator import drain
from orchestrator.worker.server import WebServer, listen, serve
from orchestrator.worker.ticker import Tick, run_ticker

logger = logging.getLogger(__name__)

RESTART_PAUSE_SECONDS = 2.0


@dataclass(slots=True, kw_only=True)
class Embedded:
    """The parts of `serve`, and how they end together."""

    tick: Tick
    queues: Sequence[str]
    concurrency: int
    shutdown_seconds: float
    app: Celery = field(default_factory=app_or_default)
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self, *, host: str, port: int, on_ready: Callable[[], None]) -> None:
        """Serve until a signal comes; raises `OSError` if the address is taken."""
        listener = listen(host=host, port=port)
        threads = [
            threading.Thread(target=self._work, name="worker", daemon=True),
            threading.Thread(target=self._tick, name="ticker", daemon=True),
        ]
        for thread in threads:
            thread.start()
        serve(WebServer(on_ready=on_ready, on_stop=self._end), listener)
        self._end()
        for thread in threads:
            thread.join(timeout=self.shutdown_seconds)
        connections.close_all()

    def _end(self) -> None:
        drain.begin()
        self.stop.set()
        # The worker's loop looks at this between two messages, and then lets running steps end.
        celery_state.should_stop = os.EX_OK  # type: ignore[assignment]  # stubs know only None

    def _work(self) -> None:
        """Run the worker; should it fall, the ticker has lost nothing and a new one takes over."""
        while not self.stop.is_set():
            worker: WorkController = self.app.WorkController(
                hostname="embedded@localhost",
                pool="threads",
                concurrency=self.concurrency,
                queues=list(self.queues),
                without_mingle=True,
                without_gossip=True,
                without_heartbeat=True,
            )
            try:
                worker.start()
            except Exception:
                logger.exception("worker_thread_failed")
            self.stop.wait(RESTART_PAUSE_SECONDS)

    def _tick(self) -> None:
        run_ticker(tick=self.tick, stop=self.stop)


def leave(code: int) -> None:
    """End the process now: a handler may run for minutes, and its lease ends by itself."""
    sys.stdout.flush()
    sys.stderr.flush()
    logging.shutdown()
    os._exit(code)
