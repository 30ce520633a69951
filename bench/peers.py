"""Measures the durable peers: DBOS on our PostgreSQL, and Restate with two of its SDKs."""

import contextlib
import shutil
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
from django.db import connection

from bench import environments, storage
from bench.commanded import Commanded, commanded
from bench.machine import Meter, running
from scripts.services import free_port

PROGRAMS = Path(__file__).with_name("programs")
DBOS_DATABASE = "bench_dbos"
DBOS_PROCESSES = 2
"""As many as cores: one is held back by its interpreter's lock."""
MODES = {False: "happy", True: "compensated"}
PORT_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A peer that runs, and the processes that start its sagas."""

    name: str
    starters: tuple[Commanded, ...]
    roots: tuple[psutil.Process, ...]
    database: str = ""

    def throughput(self, sagas: int, *, fail: bool) -> Meter:
        """Have sagas started as fast as the peer can, and measure until the last has ended."""
        meter = Meter([*self.roots, *(starter.root for starter in self.starters)])
        share = sagas // len(self.starters)
        with meter.measure():
            for starter in self.starters:
                starter.tell(f"{share} {MODES[fail]}")
            for starter in self.starters:
                starter.expect("done")
        return meter

    def bytes_of(self, sagas: int) -> tuple[float, float]:
        """Return the bytes that a happy saga leaves in the database, and in the server's log."""
        before = storage.stored(self.database)
        self.throughput(sagas, fail=False)
        kept, logged = storage.stored(self.database).since(before)
        return kept / sagas, logged / sagas


@contextlib.contextmanager
def running_dbos(folder: Path) -> Iterator[Peer]:
    """Run DBOS in two processes on a database of its own."""
    interpreter = environments.python("dbos", environments.DBOS)
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {DBOS_DATABASE}")
        cursor.execute("SELECT pg_backend_pid()")
        server = psutil.Process(int(cursor.fetchone()[0])).parent()
    assert server is not None
    url = storage.url_of(DBOS_DATABASE).replace("postgres://", "postgresql://")
    with contextlib.ExitStack() as stack:
        starters = [
            stack.enter_context(
                commanded(
                    [interpreter, PROGRAMS / "dbos_app.py", url, f"bench-{number}"],
                    log=folder / "dbos.log",
                )
            )
            for number in range(DBOS_PROCESSES)
        ]
        yield Peer(name="dbos", starters=tuple(starters), roots=(server,), database=DBOS_DATABASE)


@contextlib.contextmanager
def running_restate_python(folder: Path) -> Iterator[Peer]:
    """Run Restate's server with its Python SDK on Granian."""
    interpreter = environments.python("restate", environments.RESTATE)
    port = free_port()
    command = [str(interpreter.with_name("granian")), "--interface", "asgi", "--http", "2"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--no-access-log", "--log-level", "warning", "restate_app:app"]
    with _restate(folder, "restate_python", command, port) as peer:
        yield peer


@contextlib.contextmanager
def running_restate_typescript(folder: Path) -> Iterator[Peer]:
    """Run Restate's server with its TypeScript SDK on Node."""
    modules = environments.npm("restate-npm", environments.RESTATE_NPM)
    # Node looks for packages beside the program.
    program = shutil.copy(PROGRAMS / "restate_app.mjs", modules)
    port = free_port()
    with _restate(folder, "restate_typescript", ["node", str(program), str(port)], port) as peer:
        yield peer


@contextlib.contextmanager
def _restate(folder: Path, name: str, app: list[str], port: int) -> Iterator[Peer]:
    interpreter = environments.python("restate", environments.RESTATE)
    modules = environments.npm("restate-npm", environments.RESTATE_NPM)
    servers = sorted(modules.glob("node_modules/@restatedev/restate-server-*/bin/restate-server"))
    if not servers:
        raise environments.Missing("Restate ships no server for this machine")
    ingress, admin, node = free_port(), free_port(), free_port()
    server = [str(servers[0]), "--no-logo", "--listen-mode", "tcp", "--bind-ip", "127.0.0.1"]
    server += ["--bind-port", str(node), "--node-name", name]
    server += ["--base-dir", str(folder / f"{name}-data")]
    settings = {
        "RESTATE_DISABLE_TELEMETRY": "true",
        "RESTATE_INGRESS__BIND_PORT": str(ingress),
        "RESTATE_ADMIN__BIND_PORT": str(admin),
        "RESTATE_LOG_FILTER": "warn",
        "RESTATE_LOGGING": "WARN",
        "NODE_ENV": "production",
    }
    client = [str(interpreter), str(PROGRAMS / "restate_client.py")]
    client += [f"http://127.0.0.1:{each}" for each in (ingress, admin, port)]
    log = folder / f"{name}.log"
    with (
        running(server, environment=settings, log=log, program=True) as served,
        running(app, environment=settings, log=log, program=True, cwd=PROGRAMS) as worker,
    ):
        for each in (ingress, admin, port):
            wait_open(each)
        # The server takes a moment to elect itself.
        time.sleep(3)
        with commanded(client, log=log) as starter:
            yield Peer(name=name, starters=(starter,), roots=(served, worker))


def wait_open(port: int) -> None:
    """Wait until somebody listens on a port of this machine."""
    until = time.monotonic() + PORT_SECONDS
    while time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise TimeoutError(f"nobody listens on port {port}")


RUNNERS = {
    "dbos": running_dbos,
    "restate_python": running_restate_python,
    "restate_typescript": running_restate_typescript,
}


@contextlib.contextmanager
def running_all(folder: Path) -> Iterator[tuple[list[Peer], dict[str, str]]]:
    """Run every peer that can be had here; the others come with the reason."""
    found: list[Peer] = []
    missing: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        for name, runner in RUNNERS.items():
            try:
                found.append(stack.enter_context(runner(folder)))
            except (environments.Missing, OSError, TimeoutError) as error:
                missing[name] = str(error)
                print(f"{name}: not measured, {error}", file=sys.stderr, flush=True)
        yield found, missing
