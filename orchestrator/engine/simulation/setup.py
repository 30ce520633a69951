"""What is played: input and mocks, which steps go wrong and how, and where the work is bounded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from orchestrator.engine.canonical import JSONValue

Mock = Mapping[str, JSONValue] | Sequence[Mapping[str, JSONValue]]
"""The output of a step, or its outputs round by round."""


class Trouble(StrEnum):
    """How a step goes wrong (saga-semantics §14)."""

    FAILED = "FAILED"
    """Every attempt fails and certainly changed nothing."""
    UNKNOWN = "UNKNOWN"
    """Nobody can say of any attempt whether it took effect."""
    IN_FLIGHT = "IN_FLIGHT"
    """It never answers, and the run is stopped meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One step run that goes wrong."""

    within: tuple[str, ...] = ()
    """Positions of the SUB_WORKFLOW steps that lead to its execution."""
    position: str
    trouble: Trouble


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much is played; what is left out is told in the result."""

    points: int = 100
    """Step runs that are failed one by one."""
    rounds_per_step: int = 3
    """Of a step in a loop: its first rounds, the last one among them."""
    pairs: int = 40
    """Pairs of step runs that are failed together."""
    paths: int = 8
    """Ways through the switches that are played to reach every step."""
    loop_rounds: int = 20
    """Rounds after which a loop's condition is taken to be false."""
    attempts: int = 30
    """Failures of one step run after which it is taken to be tried for ever."""
    decisions_per_scenario: int = 4_000
    decisions: int = 60_000
    questions: int = 1_000


@dataclass(slots=True, kw_only=True)
class Budget:
    """What is left of the work that one simulation may do."""

    limits: Limits = field(default_factory=Limits)
    decisions: int = 0
    questions: int = 0
    is_over: bool = False

    @property
    def is_spent(self) -> bool:
        """Tell whether nothing more may be played."""
        return (
            self.is_over
            or self.decisions >= self.limits.decisions
            or self.questions >= self.limits.questions
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What holds for all scenarios of one simulation."""

    input: Mapping[str, JSONValue] = field(default_factory=dict)
    mocks: Mapping[str, Mock] = field(default_factory=dict)
    """Outputs by reference name; undo, probe and confirm steps have names of their own."""
    starts_at: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    """Moment zero of every play; moments of the definition are as far away as they are from it."""
    failures_persist: bool = True
    """A step that goes wrong does so again after a return to a savepoint."""
