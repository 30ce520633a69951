"""Measures Amends: a real worker on PostgreSQL and Redis, and one client that starts sagas."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from uuid import UUID, uuid4

import psutil
import redis
from django.conf import settings
from django.db import connection

from bench import definitions, storage
from bench.machine import Meter, running
from orchestrator.border import doorbell
from orchestrator.dispatch import execution_topic
from orchestrator.engine.canonical import JSONValue
from orchestrator.services import executions, versions
from orchestrator.services.executions import StartRequest

SET = 50
LOOK_SECONDS = 0.01
LOOK_AT = 500
GIVE_UP_SECONDS = 300
STATES = {False: "COMPLETED", True: "COMPENSATED"}


class Unfinished(Exception):
    """Sagas did not end, or not as they should."""


class Amends:
    """A running worker and its client."""

    def __init__(self, *, worker: psutil.Process) -> None:
        """Take the worker; the servers are found by asking them."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            backend = psutil.Process(int(cursor.fetchone()[0]))
        broker = _redis_server()
        postgresql = backend.parent()
        assert postgresql is not None
        self.roots = [worker, postgresql, broker, psutil.Process()]

    def throughput(self, sagas: int, *, fail: bool, in_sets: bool) -> Meter:
        """Start sagas, one by one or in sets, and measure until the last has ended."""
        meter = Meter(self.roots)
        requests = [_order(fail=fail) for _ in range(sagas)]
        with meter.measure():
            ids = start_sets(requests) if in_sets else [_start(each) for each in requests]
            _wait_all(ids)
        _check(ids, STATES[fail])
        return meter

    def bytes_of(self, sagas: int) -> tuple[float, float]:
        """Return the bytes that a happy saga leaves in the database, and in the server's log."""
        before = storage.stored()
        self.throughput(sagas, fail=False, in_sets=False)
        kept, logged = storage.stored().since(before)
        return kept / sagas, logged / sagas

    def lone(self, sagas: int, *, fail: bool) -> list[float]:
        """Return the seconds that each of some sagas takes, started one after the other."""
        return [_timed(_order(fail=fail)) for _ in range(sagas)]

    def runs(self, workflow: str, *, count: int) -> Meter:
        """Measure runs of a workflow, one after the other."""
        meter = Meter(self.roots)
        request = StartRequest(workflow_name=workflow, input={})
        with meter.measure():
            for _ in range(count):
                _timed(request)
        return meter

    def warm_up(self, workflow: str) -> None:
        """Have both workers compile a definition, which each does once."""
        _wait_all(start_sets([StartRequest(workflow_name=workflow, input={})] * 4))


def _redis_server() -> psutil.Process:
    client = redis.Redis.from_url(str(settings.REDIS_URL))
    return psutil.Process(int(client.info("server")["process_id"]))


def _order(*, fail: bool) -> StartRequest:
    return StartRequest(workflow_name=definitions.ORDER, input={"order": uuid4().hex, "fail": fail})


def _start(request: StartRequest) -> UUID:
    return executions.start_execution(
        actor=None, workflow_name=request.workflow_name, input=request.input
    ).id


def start_sets(requests: Sequence[StartRequest]) -> list[UUID]:
    """Start runs in sets, each one transaction."""
    ids: list[UUID] = []
    for first in range(0, len(requests), SET):
        batch = list(requests[first : first + SET])
        ids += [started.id for started in executions.start_many(actor=None, requests=batch)]
    return ids


def _timed(request: StartRequest) -> float:
    began = time.perf_counter()
    execution = _start(request)
    with doorbell.listen(execution_topic(str(execution))) as bell:
        _until(lambda: _ended([execution]) == 1, lambda: bell.wait(1.0))
    return time.perf_counter() - began


def _wait_all(ids: Sequence[UUID]) -> None:
    for first in range(0, len(ids), LOOK_AT):
        _wait(ids[first : first + LOOK_AT])


def _wait(ids: Sequence[UUID]) -> None:
    _until(lambda: _ended(ids) == len(ids), lambda: time.sleep(LOOK_SECONDS))


def _until(holds: Callable[[], bool], rest: Callable[[], object]) -> None:
    until = time.monotonic() + GIVE_UP_SECONDS
    while not holds():
        if time.monotonic() > until:
            raise Unfinished("not all executions have ended")
        rest()


def _ended(ids: Sequence[UUID]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM orchestrator_execution "
            "WHERE id = ANY(%s) AND ended_at IS NOT NULL",
            [list(ids)],
        )
        return int(cursor.fetchone()[0])


def _check(ids: Sequence[UUID], state: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT state, count(*) FROM orchestrator_execution WHERE id = ANY(%s) GROUP BY state",
            [list(ids)],
        )
        found = dict(cursor.fetchall())
    if found != {state: len(ids)}:
        raise Unfinished(f"expected {len(ids)} {state}, found {found}")


def register(definition: JSONValue) -> None:
    """Publish a workflow to be measured."""
    versions.register(actor=None, document=definition)


@contextlib.contextmanager
def running_amends(*, folder: Path) -> Iterator[Amends]:
    """Run a worker with two processes for handlers."""
    command = ["manage.py", "worker", "--concurrency=2"]
    with running(command, environment={}, log=folder / "worker.log") as worker:
        yield Amends(worker=worker)
