"""The process inside the jail: gives up every right it does not need, then answers calls.

It is started isolated, with an empty environment, and holds nothing but its two pipes.
"""

from __future__ import annotations

import ctypes
import resource
import signal
import sys
from typing import TYPE_CHECKING, Any

from orchestrator.border.jail import frames, javascript, jq_program, schema
from orchestrator.border.jail.refusals import NoValue, ScriptRefused, ScriptTimeout

if TYPE_CHECKING:
    from types import FrameType

_INPUT, _OUTPUT = 0, 1
_MEMORY = 256 * 1024 * 1024
_LARGEST_RESULT = 256 * 1024
_CPU_SECONDS = 60
_PR_SET_NO_NEW_PRIVS = 38
_LONGEST_MESSAGE = 1_000
_MEMORY_MESSAGE = "The script used too much memory."


def main() -> None:
    """Answer calls until the pipe ends."""
    _warm_up()
    _close_the_door()
    frames.write(_OUTPUT, frames.pack({"ready": True}))
    while (call := frames.read(_INPUT)) is not None:
        frames.write(_OUTPUT, _packed(_answer(call)))


def _answer(call: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"value": _small_enough(_within(call["seconds"], call))}
    except NoValue as error:
        return {"kind": error.kind, "message": str(error)[:_LONGEST_MESSAGE]}
    except MemoryError:
        return {"kind": "error", "message": _MEMORY_MESSAGE, "spent": True}
    except Exception as error:  # noqa: BLE001 - whatever a user's text can raise in a library
        return {"kind": "error", "message": f"{type(error).__name__}: {error}"[:_LONGEST_MESSAGE]}


def _small_enough(text: str) -> str:
    if len(text) > _LARGEST_RESULT:
        raise ScriptRefused(f"The result takes more than {_LARGEST_RESULT} bytes.")
    return text


def _packed(answer: dict[str, Any]) -> bytes:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    spent = usage.ru_utime + usage.ru_stime > _CPU_SECONDS / 2
    return frames.pack({**answer, "spent": answer.get("spent", False) or spent})


def _within(seconds: float, call: dict[str, Any]) -> str:
    """Evaluate, and stop what runs in Python after so many seconds of computing.

    What runs in C does not look at signals; it has limits of its own, or the parent's clock.
    """
    try:
        signal.setitimer(signal.ITIMER_PROF, seconds)
        return _evaluate(call, seconds)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _evaluate(call: dict[str, Any], seconds: float) -> str:
    source, data, body = call["source"], call["data"], call["body"]
    match call["language"]:
        case "javascript":
            return javascript.evaluate(source, data, body=body, seconds=seconds)
        case "jq":
            return jq_program.evaluate(source, data, largest=_LARGEST_RESULT)
        case "schema":
            return schema.evaluate(source, data)
        case "syntax":
            javascript.check_syntax(source, body=body)
            return "null"
        case other:
            raise ScriptRefused(f"Nothing here evaluates {other!r}.")


def _warm_up() -> None:
    """Use every evaluator once, so that nothing is left to import when the door is closed."""
    samples = [
        ("javascript", "$.a > 0", '{"a": 1}'),
        ("javascript", "throw new Error('x')", "null"),
        ("syntax", "1 +", "null"),
        ("jq", ".a", '{"a": 1}'),
        ("jq", "error", "1"),
        ("schema", '{"type": "object", "properties": {"a": {"pattern": "^a$"}}}', '{"a": "b"}'),
        ("schema", '{"$ref": "#/$defs/x"}', "1"),
        ("schema", '{"type": 7}', "1"),
    ]
    signal.signal(signal.SIGPROF, _out_of_time)
    for language, source, data in samples:
        _answer(
            {"language": language, "source": source, "data": data, "body": False, "seconds": 5.0}
        )


def _close_the_door() -> None:
    limits = {
        resource.RLIMIT_AS: _MEMORY,
        resource.RLIMIT_NOFILE: 3,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NPROC: 0,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_CPU: _CPU_SECONDS,
    }
    for limit, value in limits.items():
        resource.setrlimit(limit, (value, value))
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_NO_NEW_PRIVS)")


def _out_of_time(_signal: int, _frame: FrameType | None) -> None:
    raise ScriptTimeout
