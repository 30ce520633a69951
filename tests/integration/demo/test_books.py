"""Reading the books: effects of one order as JSON, and the page."""

from datetime import datetime, timedelta

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from orchestrator.demo.models import Effect

pytestmark = pytest.mark.django_db
shop_alone = pytest.mark.urls("orchestrator.demo.urls")


@pytest.fixture
def reader() -> Client:
    """Return the browser of somebody without any right on a workflow."""
    client = Client()
    client.force_login(get_user_model().objects.create_user("reader", password="reading-is-fun"))
    return client


@shop_alone
def test_effects_are_those_that_ever_happened_oldest_first(forward, undo, reader):
    forward("reserve_inventory", key="f:1")
    forward("charge_payment", key="f:2", amount=120)
    forward("create_shipment", key="f:3", chaos="fail_terminal")
    undo("create_shipment", key="f:4")
    forward("charge_payment", key="f:5", orderId="order-2")
    undo("charge_payment", key="f:2")

    answer = reader.get("/demo/api/effects", {"key": "order-1"})

    assert answer.status_code == 200
    reversed_one = Effect.objects.get(forward_key="f:2")
    assert reversed_one.applied_at
    assert reversed_one.reversed_at
    rows = answer.json()["effects"]
    assert [(row["step"], row["state"]) for row in rows] == [
        ("reserve_inventory", "APPLIED"),
        ("charge_payment", "REVERSED"),
    ]
    assert rows[1] == {
        "step": "charge_payment",
        "state": "REVERSED",
        "key": "f:2",
        "orderId": "order-1",
        "item": None,
        "executionId": "run-1",
        "amount": 120.0,
        "at": reversed_one.applied_at.isoformat(),
        "reversedAt": reversed_one.reversed_at.isoformat(),
        "calls": 1,
        "undoCalls": 1,
    }


@shop_alone
def test_an_order_nobody_heard_of_has_no_effects(reader):
    answer = reader.get("/demo/api/effects", {"key": "order-9"})

    assert answer.json() == {"effects": []}


@shop_alone
@pytest.mark.parametrize("query", ["", "?key=", "?key=%00"])
def test_effects_need_an_order(reader, query):
    answer = reader.get(f"/demo/api/effects{query}")

    assert answer.status_code == 400


@shop_alone
def test_effects_need_a_login(client: Client):
    answer = client.get("/demo/api/effects", {"key": "order-1"})

    assert answer.status_code in {401, 403}


@shop_alone
def test_effects_are_gone_without_the_demo(reader, settings):
    settings.AMENDS_DEMO = False

    answer = reader.get("/demo/api/effects", {"key": "order-1"})

    assert answer.status_code == 404


def test_page_is_gone_without_the_demo(reader, settings):
    settings.AMENDS_DEMO = False

    answer = reader.get("/demo/shop")

    assert answer.status_code == 404


@shop_alone
def test_page_needs_a_login(client: Client):
    answer = client.get("/demo/shop")

    assert answer.status_code == 302
    assert answer.headers["location"] == "/login/?next=/demo/shop"


def test_page_shows_the_newest_order_first(forward, undo, reader):
    forward(key="f:1", orderId="order-1", amount=120)
    forward(key="f:2", orderId="order-2")
    undo(key="f:2", orderId="order-2")

    answer = reader.get("/demo/shop")

    text = answer.content.decode()
    assert answer.status_code == 200
    assert [order.key for order in answer.context["orders"]] == ["order-2", "order-1"]
    assert "Net effect zero: 1 effect reversed, none in force." in text
    assert "1 effect in force, 0 reversed." in text
    assert "Payment refunded" in text


def test_page_escapes_what_callers_wrote(forward, reader):
    forward(orderId="<script>alert(1)</script>")

    answer = reader.get("/demo/shop")

    assert b"<script>alert(1)" not in answer.content


def test_page_of_one_order(forward, reader):
    forward(key="f:1", orderId="order-1")
    forward(key="f:2", orderId="order-2")

    answer = reader.get("/demo/shop", {"key": "order-1"})
    missing = reader.get("/demo/shop", {"key": "order-9"})

    assert [order.key for order in answer.context["orders"]] == ["order-1"]
    assert "nothing about the order" in missing.content.decode()


@shop_alone
@pytest.mark.parametrize(("days", "ahead"), [(None, 13), (3, 2), (1, 0), (True, 13), (-4, -1)])
def test_hotel_says_until_when_a_room_can_be_cancelled(forward, days, ahead):
    details = {} if days is None else {"daysAhead": days}

    answer = forward("book_hotel", orderId="t-1", details=details).json()

    booked, until = (datetime.fromisoformat(answer[key]) for key in ("at", "cancellableUntil"))
    assert until - booked == timedelta(days=ahead)
    assert forward("book_hotel", orderId="t-1", details=details).json() == answer
