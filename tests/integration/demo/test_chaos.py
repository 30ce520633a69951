"""The chaos switches: each misbehaviour does to the books and to the caller what it says."""

import asyncio
from typing import Any

import pytest
from django.core.asgi import get_asgi_application

from orchestrator.demo.chaos import MEANINGS, Chaos, ChaosError, Mode, chaos_for
from orchestrator.demo.models import Effect

pytestmark = pytest.mark.urls("orchestrator.demo.urls")


@pytest.mark.parametrize(
    ("switches", "expected"),
    [
        (None, Chaos()),
        ("", Chaos()),
        ({}, Chaos()),
        ({"other": "fail"}, Chaos()),
        ({"pay": None}, Chaos()),
        ({"pay": "fail"}, Chaos(mode=Mode.FAIL)),
        ("flaky:2", Chaos(mode=Mode.FLAKY, number=2)),
        ("slow", Chaos(mode=Mode.SLOW, number=1)),
        ("slow:2.5", Chaos(mode=Mode.SLOW, number=2.5)),
        ({"pay": "fail", "pay#3": "timeout"}, Chaos(mode=Mode.TIMEOUT)),
        ({"pay": "fail", "pay#4": "timeout"}, Chaos(mode=Mode.FAIL)),
    ],
)
def test_switches_are_read(switches, expected):
    assert chaos_for(switches, step="pay", item="3") == expected


@pytest.mark.parametrize(
    "switches",
    ["explode", "flaky", "flaky:x", "flaky:-1", "slow:31", "slow:nan", "fail:2", 7, ["fail"]],
)
def test_switches_nobody_knows_are_refused(switches):
    with pytest.raises(ChaosError):
        chaos_for(switches, step="pay")


def test_every_switch_is_explained():
    explained = {word.partition(":")[0] for word in MEANINGS}

    assert explained == {mode.value for mode in Mode} - {"well"}


@pytest.mark.django_db
def test_unknown_chaos_is_a_refusal_with_a_sentence(forward):
    answer = forward(chaos={"charge_payment": "explode"})

    assert answer.status_code == 422
    assert "explode" in answer.json()["error"]
    assert not Effect.objects.exists()


@pytest.mark.django_db
def test_fail_terminal_is_refused_without_effect(forward):
    answer = forward(chaos={"charge_payment": "fail_terminal"})

    assert answer.status_code == 422
    assert Effect.objects.get().state == "OPEN"


@pytest.mark.django_db
def test_fail_promises_that_nothing_was_done_each_time(forward):
    answers = [forward(chaos="fail") for _ in range(4)]

    assert [answer.status_code for answer in answers] == [503] * 4
    assert answers[0].headers["Retry-After"] == "1"
    assert Effect.objects.get().state == "OPEN"


@pytest.mark.django_db
def test_flaky_counts_calls_per_key(forward):
    statuses = [forward(key="f:1", chaos="flaky:2").status_code for _ in range(3)]
    other = forward(key="f:2", chaos="flaky:2").status_code

    assert statuses == [503, 503, 200]
    assert other == 503
    assert Effect.objects.get(forward_key="f:1").call_count == 3
    assert Effect.objects.filter(state="APPLIED").count() == 1


@pytest.mark.django_db
def test_slow_works_in_the_end(forward, naps):
    answer = forward(chaos="slow:2")

    assert answer.status_code == 200
    assert naps == [2]


@pytest.mark.django_db
def test_slow_effect_is_refused_when_it_was_undone_meanwhile(forward, undo, monkeypatch):
    monkeypatch.setattr("orchestrator.demo.views.time.sleep", lambda _seconds: undo())

    late = forward(chaos="slow:2")

    assert late.status_code == 409
    assert Effect.objects.get().state == "BARRED"


@pytest.mark.django_db
def test_timeout_answers_late_and_does_nothing(forward, naps):
    answer = forward(chaos="timeout")

    assert answer.status_code == 504
    assert naps == [4]
    assert Effect.objects.get().state == "OPEN"


@pytest.mark.django_db
def test_timeout_after_effect_answers_a_retry_at_once(forward, naps):
    first = forward(chaos="timeout_after_effect")
    second = forward(chaos="timeout_after_effect")

    assert first.status_code == second.status_code == 200
    assert first.json() == second.json()
    assert naps == [4]
    assert Effect.objects.get().state == "APPLIED"


@pytest.mark.django_db
def test_error_after_effect_answers_a_retry_well(forward):
    first = forward(chaos="error_after_effect")
    second = forward(chaos="error_after_effect")

    assert (first.status_code, second.status_code) == (500, 200)
    assert Effect.objects.get().state == "APPLIED"


@pytest.mark.usefixtures("open_books")
def test_reset_after_effect_cuts_the_answer_in_the_middle(settings):
    settings.ALLOWED_HOSTS = ["testserver"]
    scope = {
        "type": "http",
        "http_version": "1.1",
        "asgi": {"version": "3.0"},
        "method": "POST",
        "path": "/demo/api/do/charge_payment",
        "raw_path": b"/demo/api/do/charge_payment",
        "query_string": b"",
        "scheme": "http",
        "headers": [
            (b"host", b"testserver"),
            (b"content-type", b"application/json"),
            (b"idempotency-key", b"f:1"),
        ],
    }
    body = b'{"orderId": "order-1", "chaos": "reset_after_effect"}'

    sent = asyncio.run(_conversation(scope, body))

    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert sent[0]["status"] == 200
    assert sent[1]["more_body"] is True
    assert Effect.objects.get().state == "APPLIED"


async def _conversation(scope: dict[str, Any], body: bytes) -> list[dict[str, Any]]:
    """Run one request through Django's ASGI handler and return all that it sends."""
    sent: list[dict[str, Any]] = []
    asked = asyncio.Queue[dict[str, Any]]()
    asked.put_nowait({"type": "http.request", "body": body, "more_body": False})

    async def send(message: Any) -> None:
        sent.append(message)

    # After the request the queue stays empty: the caller does not go away.
    await asyncio.wait_for(get_asgi_application()(scope, asked.get, send), timeout=10)
    return sent


@pytest.mark.django_db
def test_reset_after_effect_answers_a_retry_whole(forward):
    forward(chaos="reset_after_effect")

    again = forward(chaos="reset_after_effect")

    assert again.status_code == 200
    assert again.json()["state"] == "APPLIED"


@pytest.mark.django_db
def test_fail_undo_leaves_the_effect_each_time(forward, undo):
    forward()

    answers = [undo(chaos={"charge_payment": "fail_undo"}) for _ in range(5)]

    assert [answer.status_code for answer in answers] == [422] * 5
    assert Effect.objects.get().state == "APPLIED"


@pytest.mark.django_db
def test_refuse_undo_is_refused_for_good(forward, undo):
    forward()

    answer = undo(chaos="refuse_undo")

    assert answer.status_code == 403
    assert Effect.objects.get().state == "APPLIED"


@pytest.mark.django_db
def test_flaky_undo_works_after_so_many_calls(forward, undo):
    forward()

    statuses = [undo(chaos="flaky_undo:2").status_code for _ in range(4)]

    assert statuses == [422, 422, 200, 200]
    assert Effect.objects.get().state == "REVERSED"


@pytest.mark.django_db
@pytest.mark.parametrize("mode", ["fail_undo", "refuse_undo", "flaky_undo:1"])
def test_chaos_of_the_undo_leaves_the_forward_call_alone(forward, mode):
    answer = forward(chaos=mode)

    assert answer.status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize("mode", ["fail_terminal", "timeout", "flaky:9", "slow:9"])
def test_chaos_of_the_forward_call_leaves_the_undo_alone(undo, naps, mode):
    answer = undo(chaos=mode)

    assert answer.status_code == 200
    assert naps == []
