"""jq programs. Runs inside the jail only: jq knows no limits of time or memory."""

from __future__ import annotations

import json

import jq

from orchestrator.border.jail.jq_tokens import first_forbidden
from orchestrator.border.jail.refusals import ScriptFailed, ScriptRefused

_LONGEST_MESSAGE = 500


def evaluate(program: str, data: str, *, largest: int) -> str:
    """Run a program on the data, both as text, and return all outputs as a JSON list."""
    forbidden = first_forbidden(program)
    if forbidden is not None:
        raise ScriptRefused(f"{forbidden!r} is not allowed in a jq program.")
    outputs: list[str] = []
    size = 2
    try:
        for output in jq.compile(program).input_text(data):
            outputs.append(json.dumps(output, allow_nan=False))
            size += len(outputs[-1]) + 1
            if size > largest:
                raise ScriptRefused(f"The outputs take more than {largest} bytes.")
    except (ValueError, RecursionError) as error:
        raise ScriptFailed(_sentence(error)) from error
    return f"[{','.join(outputs)}]"


def _sentence(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text[:_LONGEST_MESSAGE]
