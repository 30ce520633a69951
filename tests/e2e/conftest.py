"""A server with rows behind it, and a browser that is signed in and watched."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import uvicorn
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import Browser, ConsoleMessage, Page

from orchestrator.config.asgi import application
from tests.processes import free_port

Visit = Callable[..., "Visitor"]
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave the collector alone: a browser that walks away leaves Django's request body to it."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(
                pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
            )


@dataclass
class Visitor:
    """A page, and whatever the browser complained about on it."""

    page: Page
    address: str
    complaints: list[str] = field(default_factory=list)

    def open(self, path: str) -> Page:
        """Go to a path of the server."""
        self.page.goto(self.address + path)
        return self.page

    def hear(self, message: ConsoleMessage) -> None:
        """Keep errors of the console: refused scripts and styles show up here."""
        if message.type == "error":
            self.complaints.append(message.text)


@pytest.fixture(autouse=True, scope="session")
def _rows_beside_the_browser() -> Iterator[None]:
    """Let tests read rows: Playwright's loop runs in this thread, but never while they do."""
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    yield
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The address of our pages, served as in production but on the database of the tests.

    Event streams need a real ASGI server, so Django's own live server will not do.
    """
    port = free_port()
    running = uvicorn.Server(
        uvicorn.Config(application, host="127.0.0.1", port=port, log_level="error", lifespan="off")
    )
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not running.started and time.monotonic() < deadline:
        time.sleep(0.02)
    assert running.started
    yield f"http://127.0.0.1:{port}"
    running.force_exit = running.should_exit = True
    thread.join(10)


@pytest.fixture
def admin(transactional_db: None) -> User:
    """Somebody who may do everything."""
    return User.objects.create_superuser("admin", password="a password for tests")


@pytest.fixture
def visit(browser: Browser, server: str) -> Iterator[Visit]:
    """Open pages as somebody, or as nobody, in a browser context of their own."""
    contexts = []

    def make(user: User | None = None, **options: object) -> Visitor:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})  # type: ignore[arg-type]  # options are Playwright's
        contexts.append(context)
        if user is not None:
            client = Client()
            client.force_login(user)
            value = client.cookies[settings.SESSION_COOKIE_NAME].value
            context.add_cookies(
                [{"name": settings.SESSION_COOKIE_NAME, "value": value, "url": server}]
            )
        page = context.new_page()
        visitor = Visitor(page=page, address=server)
        page.on("console", visitor.hear)
        page.on("pageerror", lambda error: visitor.complaints.append(str(error)))
        return visitor

    yield make
    for context in contexts:
        context.close()
