"""The duties of a participant: once per key, undo anything, refuse what was undone."""

from datetime import datetime
from decimal import Decimal

import pytest
from django.contrib.auth import get_user_model
from django.http.response import HttpResponseBase
from django.test import Client

from orchestrator.access import public
from orchestrator.demo import urls
from orchestrator.demo.models import Effect

pytestmark = [pytest.mark.django_db, pytest.mark.urls("orchestrator.demo.urls")]


def test_first_call_takes_effect(forward):
    answer = forward(amount=120)

    effect = Effect.objects.get()
    assert answer.status_code == 200
    assert answer.json() == {
        "id": f"charge_payment-{effect.pk}",
        "orderId": "order-1",
        "state": "APPLIED",
        "result": "Card charged",
        "at": moment(effect.applied_at),
    }
    assert (effect.state, effect.amount, effect.run) == ("APPLIED", Decimal("120.00"), "run-1")


def test_repeated_call_gets_the_first_answer(forward):
    first = forward(amount=120)

    second = forward(amount=999)

    assert second.status_code == 200
    assert second.json() == first.json()
    assert Effect.objects.get().amount == Decimal("120.00")
    assert Effect.objects.get().call_count == 2


def test_another_key_is_another_effect(forward):
    forward(key="f:1")

    forward(key="f:2")

    assert list(Effect.objects.order_by("id").values_list("forward_key", "state")) == [
        ("f:1", "APPLIED"),
        ("f:2", "APPLIED"),
    ]


def test_same_key_at_another_participant_is_another_effect(forward):
    forward("charge_payment", key="f:1")

    forward("create_shipment", key="f:1")

    assert Effect.objects.filter(state="APPLIED").count() == 2


def test_undo_reverses_and_answers_twice_the_same(forward, undo):
    forward()

    first = undo()
    second = undo()

    effect = Effect.objects.get()
    assert first.status_code == second.status_code == 200
    assert first.json() == second.json()
    assert first.json()["result"] == "Payment refunded"
    assert (effect.state, effect.undo_count) == ("REVERSED", 2)
    assert moment(effect.reversed_at) == first.json()["at"]


def test_undo_of_an_unknown_key_is_accepted_and_remembered(undo):
    first = undo()
    second = undo()

    assert first.status_code == 200
    assert first.json() == second.json()
    assert Effect.objects.get().state == "BARRED"


@pytest.mark.parametrize("arrives_first", [True, False], ids=["after the effect", "before it"])
def test_a_key_that_was_undone_is_refused(forward, undo, arrives_first):
    if arrives_first:
        forward()
    undo()
    before = Effect.objects.get().state

    late = forward()

    assert late.status_code == 409
    assert Effect.objects.get().state == before


def test_undo_at_one_participant_leaves_the_other_alone(forward, undo):
    forward("charge_payment")
    forward("create_shipment")

    undo("charge_payment")

    assert dict(Effect.objects.values_list("step", "state")) == {
        "charge_payment": "REVERSED",
        "create_shipment": "APPLIED",
    }


def test_probe_says_what_happened_with_the_output_of_the_step(forward, probe, undo):
    unseen = probe().json()

    answer = forward().json()
    seen = probe().json()
    undo()
    undone = probe().json()

    assert unseen == {"applied": False}
    assert seen == {"applied": True, "output": {"response": {"statusCode": 200, "body": answer}}}
    assert undone == seen


def test_probe_of_a_refused_call_says_no(forward, probe):
    forward(chaos="fail_terminal")

    answer = probe()

    assert answer.json() == {"applied": False}


def test_order_falls_back_to_the_run(client: Client):
    answer = client.post(
        "/demo/api/do/charge_payment",
        {},
        content_type="application/json",
        headers={"Idempotency-Key": "f:1", "X-Saga-Run": "run-7"},
    )

    assert answer.status_code == 200
    assert Effect.objects.get().order_key == "run-7"


def test_a_name_the_shop_does_not_know_works_too(forward):
    answer = forward("paint_fence")

    assert answer.json()["result"] == "paint_fence done"


@pytest.mark.parametrize(
    ("path", "headers", "body", "status"),
    [
        ("do/charge_payment", {}, b'{"orderId": "o"}', 400),
        ("do/charge_payment", {"Idempotency-Key": "k" * 256}, b'{"orderId": "o"}', 400),
        ("do/charge_payment", {"Idempotency-Key": "k"}, b"{", 400),
        ("do/charge_payment", {"Idempotency-Key": "k"}, b"[]", 422),
        ("do/charge_payment", {"Idempotency-Key": "k"}, b"{}", 422),
        ("do/charge_payment", {"Idempotency-Key": "k"}, b'{"orderId": {}}', 422),
        ("do/charge_payment", {"Idempotency-Key": "k"}, b'{"orderId": "\\u0000"}', 400),
        ("do/charge_payment", {"Idempotency-Key": "k"}, b'{"orderId": "%s"}' % (b"x" * 256), 422),
        ("do/charge_payment", {"Idempotency-Key": "k"}, b'"%s"' % (b"x" * 70_000), 413),
        ("do/charge%20payment", {"Idempotency-Key": "k"}, b'{"orderId": "o"}', 404),
        ("undo/charge_payment", {"Idempotency-Key": "k"}, b'{"orderId": "o"}', 400),
    ],
    ids=[
        "no key", "long key", "no JSON", "no object", "no order", "order is no text", "NUL",
        "long order", "large body", "bad name", "undo without forward key",
    ],
)  # fmt: skip
def test_bad_call_is_refused_and_writes_nothing(client: Client, path, headers, body, status):
    answer = client.post(
        f"/demo/api/{path}", body, content_type="application/json", headers=headers
    )

    assert answer.status_code == status
    assert answer.json()["error"]
    assert not Effect.objects.exists()


def test_probe_without_a_forward_key_is_refused(client: Client):
    answer = client.get("/demo/api/probe/charge_payment")

    assert answer.status_code == 400


each_call = pytest.mark.parametrize(
    ("method", "verb"), [("POST", "do"), ("POST", "undo"), ("GET", "probe")]
)


@each_call
def test_participants_need_no_login_and_no_csrf_token(method, verb):
    answer = called(Client(enforce_csrf_checks=True), method, verb)

    assert answer.status_code == 200


@each_call
def test_participants_are_gone_without_the_demo(client: Client, settings, method, verb):
    settings.AMENDS_DEMO = False

    stranger = called(client, method, verb)
    client.force_login(get_user_model().objects.create_user("reader"))
    reader = called(client, method, verb)

    # A stranger is stopped at the door, before it is known what would be behind it.
    assert (stranger.status_code, reader.status_code) == (401, 404)
    assert not Effect.objects.exists()


@each_call
def test_the_door_lets_participants_pass_only_in_the_demo(method, verb):
    route = f"demo/api/{verb}/<str:step>"

    assert route in {str(pattern.pattern) for pattern in urls.urlpatterns}
    assert public.is_public(method, route, demo=True)
    assert not public.is_public(method, route, demo=False)


def moment(value: datetime | None) -> str | None:
    """Write a moment as the shop does."""
    return None if value is None else value.isoformat()


def called(client: Client, method: str, verb: str) -> HttpResponseBase:
    """Call the payment in one of its three ways."""
    return client.generic(
        method,
        f"/demo/api/{verb}/charge_payment",
        b'{"orderId": "order-1"}' if method == "POST" else b"",
        content_type="application/json",
        headers={"Idempotency-Key": "f:1", "X-Saga-Forward-Key": "f:1"},
    )
