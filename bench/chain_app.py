"""The peer: a plain Celery chain, as somebody would write it who needs nothing to be durable."""

import os
from typing import TYPE_CHECKING

from celery import Celery, chain

if TYPE_CHECKING:
    from celery.result import AsyncResult

BROKER = os.environ.get("BENCH_CHAIN_BROKER", "")
RESULTS = os.environ.get("BENCH_CHAIN_RESULTS", "")

# Not the current app: the client also starts our own sagas, which publish on that.
app = Celery("bench_chain", broker=BROKER, backend=RESULTS, set_as_current=False)
app.conf.broker_connection_retry_on_startup = True


@app.task
def reserve(order: str) -> dict[str, str]:
    """Pretend to reserve stock."""
    return {"reservation": order}


@app.task
def charge(reserved: dict[str, str], order: str) -> dict[str, str]:
    """Pretend to charge a card."""
    return {"charge": order, **reserved}


@app.task
def ship(charged: dict[str, str], order: str, fail: bool) -> dict[str, str]:  # noqa: FBT001
    """Pretend to ship, or fail."""
    if fail:
        raise ValueError("no carrier")
    return {"shipment": order, **charged}


@app.task
def refund(order: str) -> dict[str, str]:
    """Pretend to refund."""
    return {"refunded": order}


@app.task
def release(order: str) -> dict[str, str]:
    """Pretend to release stock."""
    return {"released": order}


@app.task(ignore_result=True)
def undo(_request: object, _error: object, _trace: object, order: str) -> None:
    """Start the undos by hand, newest effect first."""
    last = release.si(order).set(task_id=undone_id(order))
    chain(refund.si(order), last).apply_async()


def undone_id(order: str) -> str:
    """Return the id of the last undo, which the client waits for."""
    return f"undone-{order}"


def start(order: str, *, fail: bool) -> "AsyncResult[object]":
    """Start one saga; its result is there when the last task has ended."""
    saga = chain(reserve.s(order), charge.s(order), ship.s(order, fail=fail))
    if not fail:
        return saga.apply_async()
    saga.on_error(undo.s(order)).apply_async()
    return app.AsyncResult(undone_id(order))
