"""What the tests of the demo shop share: the open shop, and ways to call participants."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection
from django.http.response import HttpResponseBase
from django.test import Client

from orchestrator.demo.models import Effect

Call = Callable[..., HttpResponseBase]


@pytest.fixture(autouse=True)
def demo_on(settings: Any) -> None:
    """Open the shop."""
    settings.AMENDS_DEMO = True


@pytest.fixture
def open_books(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Give books that other connections see too, empty again afterwards.

    Only these rows are taken out: the audit log refuses the flush of a transactional test.
    """
    with django_db_blocker.unblock():
        yield
        Effect.objects.all().delete()
        connection.close()


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Write down how long an answer would be held back, instead of waiting."""
    taken: list[float] = []
    monkeypatch.setattr("orchestrator.demo.views.time.sleep", taken.append)
    return taken


@pytest.fixture
def forward(client: Client) -> Call:
    """Return a function that calls a participant forward."""

    def call(step: str = "charge_payment", key: str = "f:1", **body: Any) -> HttpResponseBase:
        return _post(client, f"/demo/api/do/{step}", body, {"Idempotency-Key": key})

    return call


@pytest.fixture
def undo(client: Client) -> Call:
    """Return a function that calls the undo of a participant."""

    def call(step: str = "charge_payment", key: str = "f:1", **body: Any) -> HttpResponseBase:
        headers = {"Idempotency-Key": f"c:{key}", "X-Saga-Forward-Key": key}
        return _post(client, f"/demo/api/undo/{step}", body, headers)

    return call


@pytest.fixture
def probe(client: Client) -> Call:
    """Return a function that asks a participant whether something happened."""

    def call(step: str = "charge_payment", key: str = "f:1") -> HttpResponseBase:
        return client.get(f"/demo/api/probe/{step}", headers={"X-Saga-Forward-Key": key})

    return call


def _post(
    client: Client, path: str, body: dict[str, Any], headers: dict[str, str]
) -> HttpResponseBase:
    sent = {"orderId": "order-1", **body}
    return client.post(
        path,
        sent,
        content_type="application/json",
        headers={"X-Saga-Run": "run-1", **headers},
    )
