"""What every test may ask for: the database behind it, Redis, a browser, and running processes."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection
from playwright.sync_api import Browser, Page, sync_playwright
from pytest_django import DjangoDbBlocker

from orchestrator.audit import triggers
from scripts import system
from tests.processes import Installation, installation_on_sqlite, installation_on_test_services

CHROMIUM_ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]


def pytest_configure(config: pytest.Config) -> None:
    """Give each worker of a parallel run a cache of its own: one would empty that of another."""
    worker = getattr(config, "workerinput", {}).get("workerid", "")
    if worker and settings.REDIS_URL:
        address, _, _ = settings.REDIS_URL.rpartition("/")
        settings.CACHES["default"]["LOCATION"] = f"{address}/{1 + int(worker[2:]) % 15}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a server that this run has not got, and say which."""
    on_postgresql = settings.DATABASES["default"]["ENGINE"].endswith("postgresql")
    missing = {
        "postgresql": None if on_postgresql else "DATABASE_URL names no PostgreSQL",
        "redis": None if settings.REDIS_URL else "REDIS_URL is not set",
        "chromium": None if system.find("chromium") else "no Chromium on this machine",
    }
    for item in items:
        for marker, reason in missing.items():
            if reason and item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))


def pytest_sessionfinish() -> None:
    """Remove what SQLite leaves beside a database that was still open when it was dropped."""
    name = str(settings.DATABASES["default"].get("TEST", {}).get("NAME") or "")
    if ".sqlite3" in name:
        for left in Path(name).parent.glob(f"{Path(name).name}*"):
            left.unlink(missing_ok=True)


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    """An installation of its own on SQLite: fresh data folder and database, nothing running."""
    with installation_on_sqlite(tmp_path / "data") as made:
        yield made


@pytest.fixture
def shared_installation(tmp_path: Path) -> Iterator[Installation]:
    """One on the PostgreSQL and Redis of `scripts.services`: a fresh database, Redis emptied."""
    if not settings.REDIS_URL or not settings.DATABASES["default"]["ENGINE"].endswith("postgresql"):
        pytest.skip("needs the PostgreSQL and Redis of `python -m scripts.services run`")
    with installation_on_test_services(tmp_path / "data") as made:
        yield made


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Real Chromium, without a window."""
    path = system.find("chromium")
    if path is None:
        pytest.skip("no Chromium on this machine")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=str(shutil.which(path) or path), args=CHROMIUM_ARGUMENTS
        )
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page in a browser context of its own, signed in as nobody."""
    context = browser.new_context()
    yield context.new_page()
    context.close()


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    """Let tests that commit be cleaned up: the guard of the audit trail refuses to be emptied.

    The tests of that guard put it back inside their own transaction.
    """
    with django_db_blocker.unblock():
        triggers.remove(connection)
