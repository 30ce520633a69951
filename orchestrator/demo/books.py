"""The participants at work: apply once per key, undo anything, remember every answer.

These are the duties that the saga engine asks of a service: dedupe by key, accept an undo for a
key that was never seen and refuse that key afterwards, answer an undo twice with the first answer.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from django.db import transaction
from django.utils import timezone

from orchestrator.demo.chaos import LATE_ANSWER_SECONDS, Chaos, Mode
from orchestrator.demo.models import Effect, EffectState
from orchestrator.demo.participants import participant_of
from orchestrator.demo.terms import terms_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A forward call or an undo, as it arrived."""

    step: str
    forward_key: str
    order_key: str
    item: str
    run: str
    body: dict[str, Any]
    chaos: Chaos


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the participant answers, and how badly."""

    status: int
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)
    delay_seconds: float = 0
    """How long the finished answer is held back."""
    is_cut: bool = False
    """The connection breaks in the middle of the answer."""


@transaction.atomic
def perform(call: Call) -> Reply:
    """Apply the effect of a forward key once; a repeated call gets the first answer."""
    effect = _locked(call)
    effect.call_count += 1
    match effect.state:
        case EffectState.APPLIED if effect.answer is not None:
            reply = Reply(status=200, body=effect.answer)
        case EffectState.REVERSED | EffectState.BARRED:
            reply = _refused(409, f"{call.step} was undone for this key and is not done again.")
        case _:
            reply = _first_answer(effect, call)
    effect.save()
    return reply


@transaction.atomic
def reverse(call: Call) -> Reply:
    """Reverse the effect of a forward key once; one that never happened is barred for good."""
    effect = _locked(call)
    effect.undo_count += 1
    if effect.undo_answer is not None:
        reply = Reply(status=200, body=effect.undo_answer)
    elif refusal := _undo_refusal(effect, call.chaos):
        reply = refusal
    else:
        reply = Reply(status=200, body=_undo(effect, call))
    effect.save()
    return reply


def probe(*, step: str, forward_key: str) -> dict[str, Any]:
    """Say whether the effect of a forward key took place, with the output of its step."""
    effect = Effect.objects.filter(step=step, forward_key=forward_key).first()
    if effect is None or effect.answer is None:
        return {"applied": False}
    return {"applied": True, "output": {"response": {"statusCode": 200, "body": effect.answer}}}


def _locked(call: Call) -> Effect:
    # Made first and locked after, so that two calls with one new key meet at the same row.
    Effect.objects.get_or_create(
        step=call.step,
        forward_key=call.forward_key,
        defaults={
            "order_key": call.order_key,
            "item": call.item,
            "run": call.run,
            "body": call.body,
            "amount": _amount(call.body.get("amount")),
        },
    )
    return Effect.objects.select_for_update().get(step=call.step, forward_key=call.forward_key)


def _first_answer(effect: Effect, call: Call) -> Reply:
    if refusal := _refusal(effect, call.chaos):
        return refusal
    answer = _apply(effect, call)
    match call.chaos.mode:
        case Mode.TIMEOUT_AFTER_EFFECT:
            return Reply(status=200, body=answer, delay_seconds=LATE_ANSWER_SECONDS)
        case Mode.RESET_AFTER_EFFECT:
            return Reply(status=200, body=answer, is_cut=True)
        case Mode.ERROR_AFTER_EFFECT:
            return _refused(500, f"{call.step} broke down while it answered.")
        case _:
            return Reply(status=200, body=answer)


def _refusal(effect: Effect, chaos: Chaos) -> Reply | None:
    match chaos.mode:
        case Mode.FAIL_TERMINAL:
            return _refused(422, f"{effect.step} is refused for good.")
        case Mode.FAIL:
            return _try_later(effect.step)
        case Mode.FLAKY if effect.call_count <= chaos.number:
            return _try_later(effect.step)
        case Mode.TIMEOUT:
            late = _refused(504, f"{effect.step} did not answer in time.")
            return replace(late, delay_seconds=LATE_ANSWER_SECONDS)
        case _:
            return None


def _apply(effect: Effect, call: Call) -> dict[str, Any]:
    effect.state = EffectState.APPLIED
    effect.applied_at = timezone.now()
    effect.body = call.body
    effect.amount = _amount(call.body.get("amount"))
    effect.answer = {
        **_answer(effect, participant_of(call.step).done, effect.applied_at),
        **terms_of(call.step, call.body, now=effect.applied_at),
    }
    return effect.answer


def _undo(effect: Effect, call: Call) -> dict[str, Any]:
    words = participant_of(call.step)
    now = timezone.now()
    if effect.state == EffectState.APPLIED:
        effect.state = EffectState.REVERSED
        effect.reversed_at = now
        result = words.undone
    else:
        effect.state = EffectState.BARRED
        result = "Nothing had happened; the call is refused from now on"
    effect.undo_answer = _answer(effect, result, now)
    return effect.undo_answer


def _undo_refusal(effect: Effect, chaos: Chaos) -> Reply | None:
    match chaos.mode:
        case Mode.FAIL_UNDO:
            return _refused(422, f"The undo of {effect.step} does not work.")
        case Mode.FLAKY_UNDO if effect.undo_count <= chaos.number:
            return _refused(422, f"The undo of {effect.step} does not work yet.")
        case Mode.REFUSE_UNDO:
            return _refused(403, f"{effect.step} can no longer be undone.")
        case _:
            return None


def _answer(effect: Effect, result: str, at: datetime) -> dict[str, Any]:
    return {
        "id": f"{effect.step}-{effect.pk}",
        "orderId": effect.order_key,
        "state": str(effect.state),
        "result": result,
        "at": at.isoformat(),
    }


def _refused(status: int, message: str) -> Reply:
    return Reply(status=status, body={"error": message})


def _try_later(step: str) -> Reply:
    # 503 with Retry-After promises that nothing was done; a bare 503 leaves the caller in doubt.
    body = {"error": f"{step} is not available now, nothing was done."}
    return Reply(status=503, body=body, headers={"Retry-After": "1"})


def _amount(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        amount = Decimal(str(value)).quantize(Decimal("0.01"))
    except InvalidOperation:
        return None
    return amount if abs(amount) < Decimal(10) ** 12 else None
