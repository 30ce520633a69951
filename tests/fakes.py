"""What tests stand in for: participants outside of us, and the clock of the database.

Nothing of ours is replaced: rows, transitions, tasks and the ticker are the real ones.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from orchestrator.engine.states import Direction
from orchestrator.handlers.base import StepContext, TerminalError, UnknownOutcome

APPLIED, REVERSED, BARRED = "APPLIED", "REVERSED", "BARRED"

Behaviour = Callable[["Shop", StepContext], None]
"""What a participant does instead of simply succeeding; called before it applies anything."""


class Clock:
    """The database's clock, which stands still but for a hair's breadth until a test moves it."""

    def __init__(self) -> None:
        self._now = datetime(2026, 5, 4, 12, tzinfo=UTC)

    def now(self) -> datetime:
        """Return the time; two moments are never the same."""
        self._now += timedelta(microseconds=1)
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += timedelta(seconds=seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call that a participant got."""

    name: str
    key: str
    forward_key: str | None
    direction: Direction
    attempt: int


@dataclass
class Shop:
    """Participants that keep the duties of saga-semantics §12, and count what they were asked."""

    calls: list[Call] = field(default_factory=list)
    effects: dict[tuple[str, str], str] = field(default_factory=dict)
    """(step, forward key) → what became of it."""
    behaviours: dict[str, deque[Behaviour]] = field(default_factory=lambda: defaultdict(deque))

    def will(self, name: str, *behaviours: Behaviour) -> None:
        """Say how the next calls of a name go; after them it succeeds again."""
        self.behaviours[name].extend(behaviours)

    def always(self, name: str, behaviour: Behaviour) -> None:
        """Say how all calls of a name go."""

        def again(shop: "Shop", context: StepContext) -> None:
            shop.behaviours[name].append(again)
            behaviour(shop, context)

        self.behaviours[name].append(again)

    def names(self, direction: Direction | None = None) -> list[str]:
        """Return the names called, in order."""
        return [call.name for call in self.calls if direction in (None, call.direction)]

    def keys(self, name: str) -> set[str]:
        """Return the idempotency keys that the calls of a name carried."""
        return {call.key for call in self.calls if call.name == name}

    def standing(self) -> list[str]:
        """Return the steps whose effect stands, one entry per effect."""
        return sorted(step for (step, _), state in self.effects.items() if state == APPLIED)

    def counts(self) -> Mapping[str, int]:
        """Return how often each name was called."""
        return Counter(call.name for call in self.calls)

    def do(self, context: StepContext) -> dict[str, Any]:
        """Apply the effect of a forward key once."""
        self._take(context)
        place = (context.name, context.idempotency_key)
        if self.effects.get(place) in (REVERSED, BARRED):
            raise TerminalError("It was undone for this key and is not done again.")
        self.effects[place] = APPLIED
        return {"id": f"{context.name}-{context.idempotency_key}", **context.input}

    def undo(self, context: StepContext) -> dict[str, Any]:
        """Reverse the effect of a forward key; one that never happened is barred for good."""
        self._take(context)
        place = (context.name.removeprefix("undo_"), str(context.forward_key))
        was = self.effects.get(place)
        self.effects[place] = REVERSED if was in (APPLIED, REVERSED) else BARRED
        return {"undone": place[0]}

    def probe(self, context: StepContext) -> dict[str, Any]:
        """Say whether the effect of a forward key took place."""
        self._take(context)
        place = (context.name.removeprefix("probe_"), str(context.forward_key))
        applied = self.effects.get(place) == APPLIED
        return {"applied": applied, "output": {"found": True}} if applied else {"applied": False}

    def _take(self, context: StepContext) -> None:
        self.calls.append(
            Call(
                name=context.name,
                key=context.idempotency_key,
                forward_key=context.forward_key,
                direction=context.direction,
                attempt=context.attempt,
            )
        )
        if self.behaviours[context.name]:
            self.behaviours[context.name].popleft()(self, context)


def fails(_shop: Shop, _context: StepContext) -> None:
    """Fail without having done anything; trying again may help."""
    raise RuntimeError("not now")


def refuses(_shop: Shop, _context: StepContext) -> None:
    """Fail for good without having done anything."""
    raise TerminalError("never")


def loses(_shop: Shop, _context: StepContext) -> None:
    """Do nothing, and nobody can say so."""
    raise UnknownOutcome("no answer")


def loses_after_effect(shop: Shop, context: StepContext) -> None:
    """Do the work, and nobody can say so."""
    shop.effects[context.name, context.idempotency_key] = APPLIED
    raise UnknownOutcome("no answer")
