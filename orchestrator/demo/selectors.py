"""What can be read from the shop's books: the effects of one order, and the latest orders."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Max

from orchestrator.demo.models import Effect, EffectState
from orchestrator.demo.participants import Participant, participant_of

SHOWN_ORDERS = 50
_LOOKS = {
    EffectState.OPEN: ("neutral", "circle"),
    EffectState.APPLIED: ("ok", "tick"),
    EffectState.REVERSED: ("undo", "undo-tick"),
    EffectState.BARRED: ("neutral", "dash"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the books with the words for it."""

    effect: Effect
    participant: Participant

    @property
    def tone(self) -> str:
        """Return the colour family of the state."""
        return _LOOKS[EffectState(self.effect.state)][0]

    @property
    def icon(self) -> str:
        """Return the icon that says the same as the colour."""
        return _LOOKS[EffectState(self.effect.state)][1]

    @property
    def result(self) -> str:
        """Return what is true now, in words."""
        match self.effect.state:
            case EffectState.APPLIED:
                return self.participant.done
            case EffectState.REVERSED:
                return self.participant.undone
            case EffectState.BARRED:
                return "Undone before it happened; a late call is refused"
            case _:
                return "Asked for, nothing happened"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Everything in the books about one order."""

    key: str
    lines: tuple[Line, ...]

    @property
    def applied_count(self) -> int:
        """Count the effects that stand."""
        return sum(line.effect.state == EffectState.APPLIED for line in self.lines)

    @property
    def reversed_count(self) -> int:
        """Count the effects that were taken back."""
        return sum(line.effect.state == EffectState.REVERSED for line in self.lines)


def effects_of(order_key: str) -> list[dict[str, Any]]:
    """Return one row per effect of an order that ever happened, oldest first."""
    happened = Effect.objects.filter(
        order_key=order_key, state__in=[EffectState.APPLIED, EffectState.REVERSED]
    ).order_by("applied_at", "id")
    return [_row(effect) for effect in happened]


def latest_orders(*, key: str = "", limit: int = SHOWN_ORDERS) -> list[Order]:
    """Return the orders with the newest lines first, or the one order that was asked for."""
    lines = Effect.objects.filter(order_key=key) if key else Effect.objects.all()
    newest = lines.values("order_key").annotate(last=Max("id")).order_by("-last")[:limit]
    keys = [row["order_key"] for row in newest]
    found: dict[str, list[Line]] = {key: [] for key in keys}
    for effect in Effect.objects.filter(order_key__in=keys).order_by("id"):
        participant = participant_of(effect.step)
        found[effect.order_key].append(Line(effect=effect, participant=participant))
    return [Order(key=key, lines=tuple(found[key])) for key in keys]


def _row(effect: Effect) -> dict[str, Any]:
    return {
        "step": effect.step,
        "state": effect.state,
        "key": effect.forward_key,
        "orderId": effect.order_key,
        "item": effect.item or None,
        "executionId": effect.run or None,
        "amount": None if effect.amount is None else float(effect.amount),
        "at": _moment(effect.applied_at),
        "reversedAt": _moment(effect.reversed_at),
        "calls": effect.call_count,
        "undoCalls": effect.undo_count,
    }


def _moment(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat()
