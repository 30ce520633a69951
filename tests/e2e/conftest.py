"""A server with rows behind it, and a browser that is signed in and watched."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import Browser, ConsoleMessage, Page
from pytest_django.live_server_helper import LiveServer

Visit = Callable[..., "Visitor"]


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


@pytest.fixture
def admin(transactional_db: None) -> User:
    """Somebody who may do everything."""
    return User.objects.create_superuser("admin", password="a password for tests")


@pytest.fixture
def visit(browser: Browser, live_server: LiveServer) -> Iterator[Visit]:
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
                [{"name": settings.SESSION_COOKIE_NAME, "value": value, "url": live_server.url}]
            )
        page = context.new_page()
        visitor = Visitor(page=page, address=live_server.url)
        page.on("console", visitor.hear)
        page.on("pageerror", lambda error: visitor.complaints.append(str(error)))
        return visitor

    yield make
    for context in contexts:
        context.close()
