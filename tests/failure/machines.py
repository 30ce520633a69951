"""Machines to kill: seeded installations, their processes, and what can be asked of them."""

import contextlib
import shutil
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
import redis

from scripts import system
from tests.failure import seed
from tests.processes import ROOT, Installation, ManagedProcess, free_port

PATIENCE = 90.0
TERMINAL = ("COMPLETED", "COMPENSATED", "FAILED", "TERMINATED", "PARTIALLY_COMPENSATED")


def until(condition: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """Wait for something to come true, and return it."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"it never came to that: {what}"
        time.sleep(0.05)
    return found


# ---- what stands outside -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Participants:
    """The outside services, in a process that nobody kills."""

    url: str

    def books(self, run: str) -> dict[str, Any]:
        """Return calls and effects of a run."""
        answer = httpx.get(f"{self.url}/books/{run}", timeout=10, trust_env=False)
        found: dict[str, Any] = answer.json()
        return found


@contextlib.contextmanager
def participants() -> Iterator[Participants]:
    """Run the outside services."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.failure.participants", f"--port={port}"], cwd=ROOT
    )
    made = Participants(url=f"http://127.0.0.1:{port}")

    def answers() -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"{made.url}/books/x", timeout=1, trust_env=False).is_success
        return False

    try:
        until(answers, "participants answer")
        yield made
    finally:
        process.kill()
        process.wait()


@dataclass(slots=True)
class RedisServer:
    """A Redis of one's own, that can be emptied, stopped and started."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self) -> "redis.Redis":
        """Return a client."""
        return redis.Redis.from_url(self.url, socket_timeout=2)

    def start(self) -> None:
        """Start it, empty."""
        server = system.find("redis")
        assert server is not None
        options = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        command = [str(server), "--port", str(self.port), "--dir", str(self.folder), *options]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        until(self._answers, "Redis answers", 10)

    def kill(self) -> None:
        """Kill -9, with all it holds."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def _answers(self) -> bool:
        with contextlib.suppress(redis.RedisError), self.client() as client:
            return bool(client.ping())
        return False


# ---- our own processes -------------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class Machine:
    """A seeded installation with its processes, asked from outside only."""

    installation: Installation
    participants: Participants
    token: str = ""

    def start(self, command: str, *arguments: str, **variables: str) -> ManagedProcess:
        """Start `web`, `serve` or `worker`."""
        return self.installation.start(command, *arguments, **variables)

    def post(self, path: str, body: dict[str, Any], **headers: str) -> httpx.Response:
        """Call the API."""
        if not self.token:
            key = {"keyId": seed.KEY, "keySecret": seed.SECRET}
            self.token = self._send("POST", "/api/token", key, {}).json()["token"]
        return self._send("POST", path, body, {"X-Authorization": self.token, **headers})

    def run(
        self, workflow: str = "everything", *, refuse: str = "", slow: str = "", meet: str = ""
    ) -> "Run":
        """Describe a run that is not started yet; its key makes starting it twice harmless."""
        shop = self.participants.url
        given = {"shop": shop, "refuse": refuse, "slow": slow, "meet": meet}
        return Run(machine=self, workflow=workflow, input=given, key=uuid.uuid4().hex)

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Read from the database, past everything of ours."""
        url = self.installation.environment.get("DATABASE_URL")
        if url:
            with psycopg.connect(url, autocommit=True) as connection:
                return list(connection.execute(statement))
        path = self.installation.folder / "db.sqlite3"
        with contextlib.closing(sqlite3.connect(path, timeout=20)) as connection:
            return list(connection.execute(statement))

    def id_in_rows(self, run_id: str) -> str:
        """Return an id as this database spells it in a statement."""
        is_shared = "DATABASE_URL" in self.installation.environment
        return f"'{run_id}'" if is_shared else f"'{run_id.replace('-', '')}'"

    def logs(self) -> str:
        """Return the end of what its processes printed."""
        return "\n".join(
            f"--- {process.log.name}\n{process.output()[-3000:]}"
            for process in self.installation.processes
        )

    def _send(
        self, method: str, path: str, body: dict[str, Any], headers: dict[str, str]
    ) -> httpx.Response:
        return httpx.request(
            method,
            f"{self.installation.url}{path}",
            json=body,
            headers=headers,
            timeout=20,
            trust_env=False,
        )


@dataclass(slots=True, kw_only=True)
class Run:
    """One execution, and what the books say about it."""

    machine: Machine
    workflow: str
    input: dict[str, Any]
    key: str
    id: str = ""

    def start(self) -> "Run":
        """Start it, as often as you like."""
        body = {"workflowName": self.workflow, "input": self.input}
        answer = self.machine.post("/api/v1/executions", body, **{"Idempotency-Key": self.key})
        assert answer.status_code in (200, 201), answer.text
        self.id = answer.json()["id"]
        return self

    @property
    def state(self) -> str:
        """Its state, from the row."""
        key = self.machine.id_in_rows(self.id)
        rows = self.machine.rows(f"SELECT state FROM orchestrator_execution WHERE id = {key}")  # noqa: S608
        return str(rows[0][0])

    def plans(self) -> int:
        """Return how many plans were ever made for it."""
        key = self.machine.id_in_rows(self.id)
        statement = "SELECT count(*) FROM orchestrator_compensationplan WHERE execution_id = "
        return int(self.machine.rows(statement + key)[0][0])

    def tree(self) -> list[str]:
        """Return it and its children."""
        key = self.machine.id_in_rows(self.id)
        statement = "SELECT id FROM orchestrator_execution WHERE root_id = "
        return [str(uuid.UUID(str(row[0]))) for row in self.machine.rows(statement + key)]

    def wait_ended(self, seconds: float = PATIENCE) -> str:
        """Wait until it is over."""
        try:
            until(lambda: self.state in TERMINAL, f"{self.workflow} ends", seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; {self.explain()}") from None
        return self.state

    def explain(self) -> str:
        """Say where it stands, for a failed assertion."""
        statement = (
            "SELECT position, direction, state, entry_state, attempt, queue, due_at, wake_at "
            "FROM orchestrator_steprun WHERE execution_id = "
        )
        steps = self.machine.rows(statement + self.machine.id_in_rows(self.id) + " ORDER BY seq")
        lines = "\n".join(str(row) for row in steps)
        return f"{self.id} is {self.state}\n{lines}\n{self.machine.logs()}"

    def check_books(self) -> None:
        """Hold what really happened against what was promised (invariants 2, 15, 17, 19, 42)."""
        state = self.state
        books = [self.machine.participants.books(run) for run in self.tree()]
        effects = [effect for book in books for effect in book["effects"]]
        calls = [call for book in books for call in book["calls"]]
        standing = sorted(row["step"] for row in effects if row["state"] == "APPLIED")
        if state == "COMPLETED":
            assert standing == sorted(self._steps()), self.explain()
            assert self.plans() == 0
        else:
            assert state == "COMPENSATED", self.explain()
            assert standing == [], self.explain()
            assert self.plans() == (2 if self.workflow == "again" else 1)
        assert all(row["times"] <= 1 and row["reversed"] <= 1 for row in effects), effects
        keys: dict[tuple[str, str], set[str]] = {}
        for call in calls:
            keys.setdefault((call["step"], call["direction"]), set()).add(call["key"])
        too_many = {
            place: found for place, found in keys.items() if len(found) > self._epochs(place[0])
        }
        assert too_many == {}, self.explain()

    def _epochs(self, step: str) -> int:
        """Return in how many epochs a step was called: each has a key of its own."""
        return 2 if self.workflow == "again" and step != "reserve" else 1

    def _steps(self) -> tuple[str, ...]:
        return seed.STEPS if self.workflow == "everything" else ("reserve", "finish")


# ---- dying -------------------------------------------------------------------------------------


def failpoints(folder: Path, **counts: int) -> dict[str, str]:
    """Return the variables that kill whichever process comes first to each of these moments."""
    folder.mkdir(parents=True, exist_ok=True)
    text = ",".join(f"{name}=kill:{count}" for name, count in counts.items())
    return {"AMENDS_FAILPOINTS": text, "AMENDS_FAILPOINTS_DIR": str(folder)}


def wait_reached(name: str, folder: Path, machine: Machine) -> None:
    """Wait until some process has died at this moment: without it a test would prove nothing."""
    try:
        until((folder / f"{name}.done").exists, f"somebody passes {name}", 60)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{machine.logs()}") from None


@contextlib.contextmanager
def frozen(process: ManagedProcess, broker: RedisServer) -> Iterator[None]:
    """Stop a healthy worker in the middle of whatever it does, until the block is left."""
    tree = [psutil.Process(process.pid)]
    tree += tree[0].children(recursive=True)
    for member in tree:
        member.suspend()
    try:
        # A blocked read would still be given the next message, and keep it while it is frozen.
        with broker.client() as client:
            until(lambda: client.info("clients")["blocked_clients"] == 0, "nobody reads", 20)
        yield
    finally:
        for member in tree:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.resume()


def run_seed(installation: Installation) -> None:
    """Migrate and seed."""
    done = installation.manage("migrate", "--verbosity=0")
    assert done.returncode == 0, done.stderr
    seeded = subprocess.run(
        [sys.executable, "-m", "tests.failure.seed"],
        cwd=ROOT,
        env=installation.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert seeded.returncode == 0, seeded.stderr


def copy_installation(template: Installation, folder: Path) -> Installation:
    """Return an installation on SQLite with the rows of a seeded one."""
    shutil.copytree(template.folder, folder)
    environment = {**template.environment, "AMENDS_DATA_DIR": str(folder)}
    return Installation(folder=folder, environment=environment)
