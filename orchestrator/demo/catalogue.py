"""The demo workflows as files: definitions, and the sample inputs that show each way to end."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent

NAMES = (
    # What is called as a sub-workflow stands before its caller, which is published with its number.
    "invoice_item",
    "access_removal",
    "order_fulfilment",
    "travel_booking",
    "access_offboarding",
    "invoice_run",
    "support_agent",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """An input to start from, with what comes of it."""

    name: str
    description: str
    ends: str
    """State in which the run ends, or in which it waits for a person."""
    input: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoWorkflow:
    """One workflow of the demo."""

    name: str
    document: Mapping[str, Any]
    samples: Sequence[Sample]


def workflows() -> tuple[DemoWorkflow, ...]:
    """Read all of them, in an order in which they can be published."""
    return tuple(
        DemoWorkflow(
            name=name,
            document=_read("definitions", name),
            samples=tuple(Sample(**sample) for sample in _read("samples", name)),
        )
        for name in NAMES
    )


def _read(folder: str, name: str) -> Any:
    return json.loads((_FOLDER / folder / f"{name}.json").read_text(encoding="utf-8"))
