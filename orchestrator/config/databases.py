"""Database options by engine and role: what keeps connections alive, short and honest."""

import os
import tempfile
from pathlib import Path
from typing import Any

from orchestrator.config.env import Environment

SQLITE_PRAGMAS = (
    "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; "
    "PRAGMA busy_timeout=20000; PRAGMA journal_size_limit=67108864"
)
MEMORY_FOLDER = Path("/dev/shm")  # noqa: S108  for the databases of tests only
POOL_SIZE = {"web": 10, "embedded": 20}


def database_settings(environment: Environment) -> dict[str, Any]:
    """Return Django's entry for the one database."""
    database = dict(environment.database)
    given = dict(database.pop("OPTIONS", {}))
    if database["ENGINE"].endswith("sqlite3"):
        return {**database, **_sqlite(given)}
    return {**database, **_postgresql(environment.role, given)}


def _sqlite(given: dict[str, Any]) -> dict[str, Any]:
    return {
        "OPTIONS": {
            **given,
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": SQLITE_PRAGMAS,
        },
        # A file of its own for each test process: real locks, and no clash with another run.
        "TEST": {"NAME": str(_test_folder() / f"amends-test-{os.getpid()}.sqlite3")},
    }


def _test_folder() -> Path:
    """Return a folder in memory where there is one: every commit of a test is synced to disk."""
    return MEMORY_FOLDER if os.access(MEMORY_FOLDER, os.W_OK) else Path(tempfile.gettempdir())


def _postgresql(role: str, given: dict[str, Any]) -> dict[str, Any]:
    options: dict[str, Any] = {
        "connect_timeout": 3,
        "keepalives_idle": 15,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 10000,
        "application_name": f"amends-{role}",
        **given,
    }
    if role in POOL_SIZE:
        options["pool"] = {
            "min_size": 2,
            "max_size": POOL_SIZE[role],
            "timeout": 5,
            "max_lifetime": 1800,
        }
    return {
        "OPTIONS": options,
        # No pool under Celery's prefork: Celery closes it after every task.
        "CONN_MAX_AGE": 600 if role == "worker" else 0,
        "CONN_HEALTH_CHECKS": True,
        "DISABLE_SERVER_SIDE_CURSORS": True,
    }
