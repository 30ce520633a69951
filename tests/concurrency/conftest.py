"""Forced races: callers are held at the row they need, in an order the test chooses, and let go."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from django.db import connection

from orchestrator.models import Execution
from orchestrator.services import advance
from tests.integration.orchestrator.conftest import make_runtime
from tests.runtime import Runtime

PATIENCE = 20.0
Act = Callable[[], Any]


class _Alone:
    """As in processes that share nothing: no two callers go together."""

    def do(self, step: advance.Step, *, group: Any = None) -> advance.Advanced:
        """Take one step; there is no group to belong to."""
        del group
        return advance._transit_together([step])[0]


@pytest.fixture
def runtime(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Runtime:
    """A runtime whose rows are committed, for callers with connections of their own."""
    monkeypatch.setattr(advance, "_TOGETHER", _Alone())
    return make_runtime(monkeypatch)


@dataclass(slots=True)
class _Caller:
    """One act in a thread with a connection of its own."""

    act: Act
    result: Any = None
    error: Exception | None = None

    def __call__(self) -> None:
        """Act, and keep what came of it."""
        try:
            self.result = self.act()
        except Exception as error:  # noqa: BLE001 - what it came to is what the test looks at
            self.error = error
        finally:
            connection.close()


def race(hold: str, parameters: tuple[Any, ...], *acts: Act) -> list[Any]:
    """Let acts queue up at a row that somebody holds, one after the other; then let them go.

    Returns what each came to: its result, or the exception it raised.
    """
    callers = [_Caller(act) for act in acts]
    threads = [threading.Thread(target=caller) for caller in callers]
    with psycopg.connect(**_address()) as holder, psycopg.connect(**_address()) as watcher:
        watcher.autocommit = True
        holder.execute(hold, parameters)
        for number, thread in enumerate(threads, start=1):
            thread.start()
            _wait_until_waiting(watcher, number)
        holder.rollback()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive(), "somebody waits for ever"
    return [caller.error or caller.result for caller in callers]


def race_for(execution: Execution, *acts: Act) -> list[Any]:
    """Race for the lock of an execution, in the order given."""
    hold = f"SELECT 1 FROM {Execution._meta.db_table} WHERE id = %s FOR UPDATE"  # noqa: S608
    return race(hold, (execution.pk,), *acts)


def at_once(*acts: Act) -> list[Any]:
    """Let acts begin together, with no order at all."""
    barrier = threading.Barrier(len(acts))

    def begin(act: Act) -> Act:
        def begun() -> Any:
            barrier.wait(PATIENCE)
            return act()

        return begun

    callers = [_Caller(begin(act)) for act in acts]
    threads = [threading.Thread(target=caller) for caller in callers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive(), "somebody waits for ever"
    return [caller.error or caller.result for caller in callers]


def _wait_until_waiting(watcher: "psycopg.Connection[Any]", number: int) -> None:
    deadline = time.monotonic() + PATIENCE
    statement = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    while True:
        row = watcher.execute(statement).fetchone()
        if row is not None and row[0] >= number:
            return
        assert time.monotonic() < deadline, f"caller {number} does not come to the lock"


def _address() -> dict[str, Any]:
    settings = connection.settings_dict
    return {
        "dbname": settings["NAME"],
        "user": settings["USER"],
        "host": settings["HOST"],
        "port": settings["PORT"],
    }


@pytest.fixture(autouse=True)
def no_caller_is_left() -> Iterator[None]:
    """Fail a test that leaves a thread behind."""
    before = threading.active_count()
    yield
    assert threading.active_count() <= before
