"""Facts about an execution, in the past tense: what the journal keeps."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One fact; `type` is dotted and past tense: `step.completed`, `entry.armed`."""

    type: str
    reference: str = ""
    """Reference of the step it is about; of the step undone, where it is about an undo."""
    step_run_id: str | None = None
    data: dict[str, Any] = field(default_factory=dict)
