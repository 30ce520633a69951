"""What a handler gave back, made into an output that may be stored."""

from __future__ import annotations

import json
from dataclasses import replace

from django.core.serializers.json import DjangoJSONEncoder

from orchestrator.border.input import InputError, Limits, check, clean, clean_text
from orchestrator.engine.outcomes import (
    Failed,
    JSONObject,
    Outcome,
    Succeeded,
    Unknown,
    Waiting,
)

LARGEST_OUTPUT = 3 * 1024 * 1024
LONGEST_REASON = 2_000
_LIMITS = Limits(size=LARGEST_OUTPUT)


class UnusableOutput(Exception):
    """What a handler returned cannot be stored."""


def success(result: object) -> Outcome:
    """Return the outcome of a handler that came back normally.

    A dict is the output itself, nothing is an empty one, any other value stands under `result`.
    What cannot be stored fails the step; but the work was done, so it is a partial failure that
    is undone, and nobody does it again.
    """
    try:
        return Succeeded(output=_as_output(result))
    except UnusableOutput as error:
        return Failed(reason=str(error), terminal=True, partial=True)


def with_clean_output(outcome: Failed | Unknown | Waiting) -> Outcome:
    """Return the outcome with an output that can be stored, or without one."""
    if outcome.output is None:
        return outcome
    try:
        return replace(outcome, output=_as_output(outcome.output))
    except UnusableOutput:
        return replace(outcome, output=None)


def clean_reason(text: str) -> str:
    """Return a reason that any database takes and any page shows."""
    reason = clean_text(text)
    return reason if len(reason) <= LONGEST_REASON else f"{reason[: LONGEST_REASON - 1]}…"


def _as_output(result: object) -> JSONObject:
    wrapped = result if isinstance(result, dict) else {"result": result}
    try:
        text = json.dumps(
            {} if result is None else wrapped,
            cls=DjangoJSONEncoder,
            allow_nan=False,
            ensure_ascii=False,
        )
        output: JSONObject = clean(json.loads(text))
        check(output, limits=_LIMITS)
    except (TypeError, ValueError, RecursionError) as error:
        raise UnusableOutput(f"The handler's result is not JSON: {error}") from error
    except InputError as error:
        raise UnusableOutput(f"payload_too_large: {error.message}") from error
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > LARGEST_OUTPUT:
        raise UnusableOutput(
            f"payload_too_large: the output takes {size} bytes, {LARGEST_OUTPUT} are allowed."
        )
    return output
