"""Real processes for tests: an installation with its own database, started, killed and asked."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psycopg
import redis
from psycopg import sql

ROOT = Path(__file__).resolve().parents[1]
READY_SECONDS = 60
STOP_SECONDS = 40
INHERITED = ("PATH", "HOME", "LANG", "SECRET_KEY", "AMENDS_ENCRYPTION_KEYS", "REDIS_URL")


def free_port() -> int:
    """Ask the machine for a port nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(slots=True, kw_only=True)
class ManagedProcess:
    """One `manage.py` process in a process group of its own."""

    process: "subprocess.Popen[bytes]"
    log: Path

    @property
    def pid(self) -> int:
        """Id of the process, and of its group."""
        return self.process.pid

    def kill(self) -> None:
        """Kill -9 the whole group at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end, and return the exit code."""
        self.process.send_signal(number)
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def output(self) -> str:
        """Return what it has printed so far."""
        return self.log.read_text(errors="replace")


@dataclass(slots=True, kw_only=True)
class Installation:
    """A data folder, a migrated database and the processes on it."""

    folder: Path
    environment: dict[str, str]
    port: int = field(default_factory=free_port)
    processes: list[ManagedProcess] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where its pages are, once `serve` or `web` runs."""
        return f"http://127.0.0.1:{self.port}"

    def manage(self, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        """Run a command of `manage.py` to its end."""
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env={**self.environment, **variables},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def start(self, command: str, *arguments: str, **variables: str) -> ManagedProcess:
        """Start `serve`, `web` or `worker`; variables are added to its environment."""
        if command in {"serve", "web"}:
            arguments = (f"--port={self.port}", *arguments)
        log = self.folder / f"{command}-{len(self.processes)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "manage.py", command, *arguments],
                cwd=ROOT,
                env={**self.environment, **variables},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        started = ManagedProcess(process=process, log=log)
        self.processes.append(started)
        return started

    def wait_ready(self, seconds: float = READY_SECONDS) -> None:
        """Wait until `readyz` says yes; fails with the log if it does not come to that."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{self.url}/readyz", timeout=5, trust_env=False).is_success:
                    return
            time.sleep(0.1)
        logs = "\n".join(process.output() for process in self.processes)
        raise AssertionError(f"not ready after {seconds} s:\n{logs}")

    def stop_all(self) -> None:
        """Kill whatever still runs."""
        for process in self.processes:
            process.kill()


@contextlib.contextmanager
def installation_on_sqlite(folder: Path, **variables: str) -> Iterator[Installation]:
    """Yield an embedded installation: SQLite, broker in the process."""
    environment = _environment(folder, variables)
    environment.pop("REDIS_URL", None)
    with _migrated(Installation(folder=folder, environment=environment)) as made:
        yield made


@contextlib.contextmanager
def installation_on_test_services(folder: Path, **variables: str) -> Iterator[Installation]:
    """Yield one on a fresh database of the PostgreSQL in DATABASE_URL, and on the Redis."""
    server = os.environ["DATABASE_URL"]
    name = f"amends_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    with redis.Redis.from_url(os.environ["REDIS_URL"]) as client:
        client.flushall()
    url = urlsplit(server)._replace(path=f"/{name}").geturl()
    environment = _environment(folder, {"DATABASE_URL": url, **variables})
    try:
        with _migrated(Installation(folder=folder, environment=environment)) as made:
            yield made
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
            connection.execute(drop.format(sql.Identifier(name)))


def _environment(folder: Path, variables: dict[str, str]) -> dict[str, str]:
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return {**inherited, "AMENDS_DATA_DIR": str(folder), "PYTHONUNBUFFERED": "1", **variables}


@contextlib.contextmanager
def _migrated(made: Installation) -> Iterator[Installation]:
    made.folder.mkdir(parents=True, exist_ok=True)
    try:
        done = made.manage("migrate", "--verbosity=0")
        assert done.returncode == 0, done.stderr
        yield made
    finally:
        made.stop_all()
