"""What happens outside all runs and concerns those whose definition waits for it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Triggered:
    """An event that a trigger of the definition names has happened (T7)."""

    index: int
    """Which of `saga.triggers`."""
    event: str
    actor: str
