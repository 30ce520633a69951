"""From an HTTP request to a call the books understand, or a refusal with a sentence."""

import re
from typing import Any

from django.http import HttpRequest

from orchestrator.border.input import InputError, Limits, parse_json
from orchestrator.demo.books import Call
from orchestrator.demo.chaos import ChaosError, chaos_for

BODY_LIMITS = Limits(size=64 * 1024, depth=20, nodes=5_000)
LONGEST_KEY = 255
_STEP = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")


class RequestError(Exception):
    """The request is not one the shop can act on."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def forward_call(request: HttpRequest, step: str) -> Call:
    """Read a forward call; its own key is the forward key."""
    return _call(request, step, header="Idempotency-Key")


def undo_call(request: HttpRequest, step: str) -> Call:
    """Read an undo; it names the forward call by that call's key."""
    return _call(request, step, header="X-Saga-Forward-Key")


def forward_key_of(request: HttpRequest, step: str) -> str:
    """Read a probe, which needs nothing but the forward key."""
    _check_step(step)
    return _key(request, "X-Saga-Forward-Key")


def _call(request: HttpRequest, step: str, *, header: str) -> Call:
    _check_step(step)
    forward_key = _key(request, header)
    body = _body(request)
    run = request.headers.get("X-Saga-Run", "")[:64]
    item = _text(body, "item")
    order_key = _text(body, "orderId") or run
    if not order_key:
        raise RequestError(
            422, "The body needs an orderId, so that the books can be read by order."
        )
    try:
        chaos = chaos_for(body.get("chaos"), step=step, item=item)
    except ChaosError as error:
        raise RequestError(422, str(error)) from error
    return Call(
        step=step,
        forward_key=forward_key,
        order_key=order_key,
        item=item,
        run=run,
        body={name: value for name, value in body.items() if name != "chaos"},
        chaos=chaos,
    )


def _check_step(step: str) -> None:
    if not _STEP.fullmatch(step):
        raise RequestError(404, "A task name has letters, digits, - and _, at most 64 of them.")


def _key(request: HttpRequest, header: str) -> str:
    key = request.headers.get(header, "")
    if not key or len(key) > LONGEST_KEY:
        raise RequestError(400, f"The header {header} must have 1 to {LONGEST_KEY} characters.")
    return key


def _body(request: HttpRequest) -> dict[str, Any]:
    try:
        body = parse_json(request.body or b"{}", limits=BODY_LIMITS)
    except InputError as error:
        raise RequestError(error.status, error.message) from error
    if not isinstance(body, dict):
        raise RequestError(422, "The body must be a JSON object.")
    return body


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise RequestError(422, f"{name} must be text.")
    text = str(value)
    if len(text) > LONGEST_KEY:
        raise RequestError(422, f"{name} may have {LONGEST_KEY} characters.")
    return text
