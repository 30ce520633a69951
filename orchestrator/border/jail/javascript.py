"""JavaScript in QuickJS: a fresh context per call, nothing in it but the language and `$`.

Runs inside the jail only. The limits set here are the polite ones: code that runs while an error
is turned into text, or a result into JSON, is under none of them, so the parent keeps a clock too.
"""

from __future__ import annotations

import json
import math
import re

# The package `quickjs` starts a thread when it is imported; threads are not allowed in here.
import _quickjs  # type: ignore[import-not-found]  # a compiled module without types

from orchestrator.border.jail.refusals import ScriptFailed, ScriptTimeout

_MEMORY = 32 * 1024 * 1024
_STACK = 256 * 1024
_LINE = re.compile(r"<input>:(\d+)")
_PARSED = "amends-parsed"
_EXACT = 2**53


def evaluate(source: str, data: str, *, body: bool, seconds: float) -> str:
    """Run a script on the data, both as text, and return its value as JSON."""
    context = _context(seconds)
    context.set("$", context.parse_json(data))
    return _run(context, _program(source, body=body))


def check_syntax(source: str, *, body: bool) -> None:
    """Raise `ScriptFailed` unless the script can be parsed. Runs nothing of it."""
    context = _context(1.0)
    # All of a script is parsed before its first statement runs, and this one ends it.
    program = f'throw "{_PARSED}"; {_program(source, body=body)}'
    try:
        _run(context, f'"use strict"; {program}')
    except ScriptFailed as error:
        if not str(error).startswith(_PARSED):
            raise


def _context(seconds: float) -> _quickjs.Context:
    context = _quickjs.Context()
    context.set_memory_limit(_MEMORY)
    context.set_time_limit(seconds)
    context.set_max_stack_size(_STACK)
    return context


def _program(source: str, *, body: bool) -> str:
    if body:
        return f'"use strict"; (function () {{ {source}\n}})()'
    return f'"use strict"; {source}'


def _run(context: _quickjs.Context, program: str) -> str:
    try:
        value = context.eval(program)
        return _as_json(value)
    except _quickjs.StackOverflow as error:
        raise ScriptFailed("The script calls itself too deeply.") from error
    except _quickjs.JSException as error:
        raise _failure(str(error)) from error
    except UnicodeDecodeError as error:
        raise ScriptFailed("The result holds half of a surrogate pair.") from error
    except (TypeError, ValueError) as error:
        raise ScriptFailed("The result cannot be written as JSON.") from error


def _as_json(value: object) -> str:
    if isinstance(value, _quickjs.Object):
        text = value.json()
        # A function or a symbol has no JSON, as `undefined` has none.
        return "null" if text is None else str(text)
    if isinstance(value, float):
        return _number(value)
    return json.dumps(value)


def _number(value: float) -> str:
    """Write a number as JavaScript does: no fraction where there is none, null for infinity."""
    if not math.isfinite(value):
        return "null"
    if value.is_integer() and abs(value) <= _EXACT:
        return str(int(value))
    return json.dumps(value)


def _failure(text: str) -> Exception:
    first, _, trace = text.partition("\n")
    if first.startswith("InternalError: interrupted"):
        return ScriptTimeout()
    line = _LINE.search(trace)
    return ScriptFailed(
        f"{first} (line {line[1]})" if line else first or "The script threw nothing."
    )
