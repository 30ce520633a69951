"""Installations for failure tests: seeded once for all tests of a process."""

import contextlib
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from django.conf import settings
from psycopg import sql

from tests.failure.machines import (
    Machine,
    Participants,
    RedisServer,
    copy_installation,
    participants,
    run_seed,
    until,
)
from tests.processes import INHERITED, Installation, ManagedProcess

OPEN = {
    "AMENDS_HTTP_ALLOW": "127.0.0.0/8",
    "PYTHONUNBUFFERED": "1",
    "AMENDS_SHUTDOWN_SECONDS": "10",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """PostgreSQL, a Redis of its own, a web process, and one worker that is never killed."""

    machine: Machine
    broker: RedisServer
    healthy: ManagedProcess


@pytest.fixture(scope="session")
def shop() -> Iterator[Participants]:
    """The outside services."""
    with participants() as made:
        yield made


@pytest.fixture(scope="session")
def cluster(shop: Participants, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Several processes on PostgreSQL and Redis."""
    if not settings.REDIS_URL or not settings.DATABASES["default"]["ENGINE"].endswith("postgresql"):
        pytest.skip("needs the PostgreSQL and Redis of `python -m scripts.services run`")
    folder = tmp_path_factory.mktemp("cluster")
    broker = RedisServer(folder)
    broker.start()
    try:
        with _database() as url:
            variables = {"DATABASE_URL": url, "REDIS_URL": broker.url}
            made = _installation(folder, variables)
            machine = Machine(installation=made, participants=shop)
            try:
                run_seed(made)
                machine.start("web", "--notice-seconds=0")
                healthy = start_worker(machine)
                made.wait_ready()
                yield Cluster(machine=machine, broker=broker, healthy=healthy)
            finally:
                made.stop_all()
    finally:
        broker.kill()


def start_worker(machine: Machine, **variables: str) -> ManagedProcess:
    """Start a worker and wait until both its pools read their queues."""
    return start_workers(machine, 1, **variables)[0]


def start_workers(machine: Machine, count: int, **variables: str) -> list[ManagedProcess]:
    """Start several workers at once."""
    sizes = ("--concurrency=1", "--calls-concurrency=4")
    workers = [machine.start("worker", *sizes, **variables) for _ in range(count)]
    for worker in workers:
        until(partial(_is_ready, worker), "a worker is ready")
    return workers


def _is_ready(worker: ManagedProcess) -> bool:
    """Tell whether both pools of a worker read their queues."""
    return worker.output().count(" ready.") >= 2


@pytest.fixture(scope="session")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """A data folder on SQLite to copy from."""
    made = _installation(tmp_path_factory.mktemp("seeded") / "data", {})
    run_seed(made)
    return made


@pytest.fixture
def single(shop: Participants, seeded: Installation, tmp_path: Path) -> Iterator[Machine]:
    """Everything in one process on SQLite; nothing runs yet."""
    made = copy_installation(seeded, tmp_path / "data")
    try:
        yield Machine(installation=made, participants=shop)
    finally:
        made.stop_all()


def _installation(folder: Path, variables: dict[str, str]) -> Installation:
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    inherited.pop("REDIS_URL", None)
    environment = {**inherited, **OPEN, "AMENDS_DATA_DIR": str(folder), **variables}
    folder.mkdir(parents=True, exist_ok=True)
    return Installation(folder=folder, environment=environment)


@contextlib.contextmanager
def _database() -> Iterator[str]:
    server = os.environ["DATABASE_URL"]
    name = f"amends_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        yield urlsplit(server)._replace(path=f"/{name}").geturl()
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
            connection.execute(drop.format(sql.Identifier(name)))
