"""Two calls with one key at the same time: one effect, one answer."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from orchestrator.demo import books
from orchestrator.demo.chaos import Chaos
from orchestrator.demo.models import Effect

pytestmark = [pytest.mark.postgresql, pytest.mark.usefixtures("open_books")]
CALLERS = 4


def a_call() -> books.Call:
    """Build a call of the payment."""
    return books.Call(
        step="charge_payment",
        forward_key="f:1",
        order_key="order-1",
        item="",
        run="run-1",
        body={"amount": 120},
        chaos=Chaos(),
    )


def at_once(*works: Callable[[books.Call], books.Reply]) -> list[books.Reply]:
    """Run functions on connections of their own, all released by one barrier."""
    barrier = threading.Barrier(len(works))

    def run(work: Callable[[books.Call], books.Reply]) -> books.Reply:
        try:
            connection.ensure_connection()
            barrier.wait(timeout=10)
            return work(a_call())
        finally:
            connection.close()

    with ThreadPoolExecutor(len(works)) as pool:
        return [future.result(timeout=30) for future in [pool.submit(run, work) for work in works]]


def test_one_effect_for_many_calls_at_once():
    replies = at_once(*[books.perform] * CALLERS)

    effect = Effect.objects.get()
    assert [reply.body for reply in replies] == [effect.answer] * CALLERS
    assert (effect.state, effect.call_count) == ("APPLIED", CALLERS)


def test_one_answer_for_many_undos_at_once():
    books.perform(a_call())

    replies = at_once(*[books.reverse] * CALLERS)

    effect = Effect.objects.get()
    assert [reply.body for reply in replies] == [effect.undo_answer] * CALLERS
    assert (effect.state, effect.undo_count) == ("REVERSED", CALLERS)


def test_call_and_undo_at_once_leave_nothing_in_effect():
    done, undone = at_once(books.perform, books.reverse)

    effect = Effect.objects.get()
    assert undone.status == 200
    assert (done.status, effect.state) in {(200, "REVERSED"), (409, "BARRED")}
