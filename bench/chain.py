"""Measures the peer: sagas as plain Celery chains on Redis, prefork with two processes."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psutil
import redis

from bench.machine import Meter, running

RESULTS_PER_SAGA = {False: 3, True: 5}
LOOK_SECONDS = 0.005
GIVE_UP_SECONDS = 120


class Chain:
    """A running Celery worker and its client."""

    def __init__(self, *, worker: psutil.Process, results: str) -> None:
        """Take the worker and where it stores results."""
        from bench import chain_app  # noqa: PLC0415 - reads its addresses when imported

        self._app = chain_app
        self._results = redis.Redis.from_url(results)
        server = psutil.Process(int(self._results.info("server")["process_id"]))
        self._roots = [worker, server, psutil.Process()]

    def throughput(self, sagas: int, *, fail: bool) -> Meter:
        """Start sagas one by one and measure until the last has ended."""
        self._results.flushdb()
        meter = Meter(self._roots)
        run = uuid4().hex[:8]
        with meter.measure():
            for index in range(sagas):
                self._app.start(f"{run}-{index}", fail=fail)
            self._wait(sagas * RESULTS_PER_SAGA[fail])
        return meter

    def _wait(self, results: int) -> None:
        until = time.monotonic() + GIVE_UP_SECONDS
        while int(self._results.dbsize()) < results:
            if time.monotonic() > until:
                raise TimeoutError(f"{self._results.dbsize()} of {results} results")
            time.sleep(LOOK_SECONDS)

    def lone(self, sagas: int, *, fail: bool) -> list[float]:
        """Return the seconds that each of some sagas takes, started one after the other."""
        times: list[float] = []
        run = uuid4().hex[:8]
        for index in range(sagas):
            began = time.perf_counter()
            self._app.start(f"{run}-{index}", fail=fail).get(timeout=GIVE_UP_SECONDS)
            times.append(time.perf_counter() - began)
        return times


@contextlib.contextmanager
def running_chain(*, redis_url: str, folder: Path) -> Iterator[Chain]:
    """Run the peer on databases of its own."""
    base = redis_url.rsplit("/", 1)[0]
    addresses = {"BENCH_CHAIN_BROKER": f"{base}/1", "BENCH_CHAIN_RESULTS": f"{base}/2"}
    os.environ.update(addresses)
    command = ["-m", "celery", "--app=bench.chain_app", "--quiet", "worker"]
    options = ["--pool=prefork", "--concurrency=2", "--loglevel=WARNING"]
    environment = {**addresses, "C_FORCE_ROOT": "1"}
    with running([*command, *options], environment=environment, log=folder / "chain.log") as worker:
        yield Chain(worker=worker, results=addresses["BENCH_CHAIN_RESULTS"])
