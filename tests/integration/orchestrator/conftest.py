"""A runtime for the tests of transitions: real rows, participants in memory, a clock to move."""

import pytest

from orchestrator import tasks
from orchestrator.handlers import registry
from orchestrator.services import memory
from orchestrator.store import clock, definitions, statements
from tests.fakes import Clock, Shop
from tests.runtime import Runtime


@pytest.fixture
def runtime(db: None, monkeypatch: pytest.MonkeyPatch) -> Runtime:
    """Everything that runs an execution, called as functions."""
    return make_runtime(monkeypatch)


def make_runtime(monkeypatch: pytest.MonkeyPatch) -> Runtime:
    """Make a runtime whose handlers and clock go away with the test."""
    # A test that is rolled back gives its keys to the next one.
    definitions.graph_of_version.cache_clear()
    made = Runtime(shop=Shop(), clock=Clock())
    monkeypatch.setattr(registry, "_by_name", dict(registry._by_name))
    monkeypatch.setattr(clock, "now", made.clock.now)
    monkeypatch.setattr(clock, "lately", made.clock.now)
    monkeypatch.setattr(clock, "in_sql", lambda: ("%s", [statements.moment(made.clock.now())]))
    memory.forget_all()
    # The test's own transaction must survive what a task does first in a long-lived worker.
    monkeypatch.setattr(tasks, "close_old_connections", lambda: None)
    made.handle("a", "b", "c", "d")
    return made
