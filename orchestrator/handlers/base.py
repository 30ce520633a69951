"""What a claimed attempt carries, and what a handler gets to see of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orchestrator.engine.outcomes import JSONObject
    from orchestrator.engine.states import Direction


class TerminalError(Exception):
    """The work was not done, changed nothing, and trying again would not help."""


class UnknownOutcome(Exception):
    """Nobody can say whether the work took effect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardView:
    """The step run that an undo, probe or confirm is about, as it was when it settled."""

    input: JSONObject
    output: JSONObject
    key: str
    """Its idempotency key."""


def _nothing_to_extend() -> bool:
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One claimed attempt: all that is needed to make it without another look at the rows."""

    execution_id: str
    step_run_id: str
    attempt_id: str
    number: int
    """Of the attempt, from 1."""
    reference: str
    name: str
    type: str
    direction: Direction
    input: JSONObject
    idempotency_key: str
    forward_key: str | None = None
    forward: ForwardView | None = None
    """Present in compensations, probes and confirms."""
    saga: bool
    """Whether the definition has saga parts. A plain one knows no unknown outcome."""
    deadline_seconds: float
    """How long the work may take; 0 means no limit of its own."""
    outcomes: Mapping[str, str] = field(default_factory=dict)
    """The author's reading of HTTP answers, as in the definition."""
    async_complete: bool = False
    """A success only hands the work over; somebody reports its end later."""
    heartbeat: Callable[[], bool] = _nothing_to_extend
    """Extends the lease. False: the run no longer wants the work, so the handler may stop."""

    def context(self) -> StepContext:
        """Return what a handler may see of this attempt."""
        return StepContext(
            execution_id=self.execution_id,
            step_id=self.step_run_id,
            attempt_id=self.attempt_id,
            attempt=self.number,
            reference=self.reference,
            name=self.name,
            direction=self.direction,
            input=self.input,
            idempotency_key=self.idempotency_key,
            forward_key=self.forward_key,
            forward=self.forward,
            heartbeat=self.heartbeat,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StepContext:
    """What a handler may know about the attempt it makes."""

    execution_id: str
    step_id: str
    attempt_id: str
    attempt: int
    """Number of this try, from 1."""
    reference: str
    name: str
    direction: Direction
    input: JSONObject
    """The whole input, also the names that the handler does not declare."""
    idempotency_key: str
    """The same for every attempt of this work: hand it to whatever you call."""
    forward_key: str | None
    """In an undo, probe or confirm: the key of the step it is about."""
    forward: ForwardView | None
    """In an undo, probe or confirm: input and output of the step it is about."""
    heartbeat: Callable[[], bool]
    """Call it now and then in long work. False: the run no longer wants the work."""
