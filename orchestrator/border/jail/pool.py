"""The children of this process that are kept warm, and the one way to have scripts evaluated."""

from __future__ import annotations

import atexit
import json
import os
import threading
from typing import TYPE_CHECKING, Any, cast

from orchestrator import metrics
from orchestrator.border.input import clean
from orchestrator.border.jail.process import (
    ChildDied,
    ChildTimeout,
    JailProcess,
    JailUnavailable,
)
from orchestrator.border.jail.scripts import (
    Budget,
    ErrorKind,
    Language,
    ScriptCall,
    ScriptResult,
    failure,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.engine.canonical import JSONValue

MOST_CHILDREN = 4
LARGEST_SOURCE = 64 * 1024
LARGEST_SCHEMA = 256 * 1024
LARGEST_DATA = 8 * 1024 * 1024
_WAIT_FOR_CHILD = 60.0
_COMPUTING = {Budget.CONDITION: 0.25, Budget.STEP: 4.0}
_UNTIL_KILLED = {Budget.CONDITION: 1.0, Budget.STEP: 4.5}


class _Pool:
    """Idle children, and a count of how many there may be."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[JailProcess] = []
        self._free = threading.BoundedSemaphore(MOST_CHILDREN)

    def evaluate(self, calls: Sequence[ScriptCall]) -> list[ScriptResult]:
        if not self._free.acquire(timeout=_WAIT_FOR_CHILD):
            raise JailUnavailable("All script jails are busy.")
        try:
            return [self._evaluate(call) for call in calls]
        finally:
            self._free.release()

    def close(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for child in idle:
            child.kill()

    def abandon(self) -> None:
        for child in self._idle:
            child.abandon()

    def _evaluate(self, call: ScriptCall) -> ScriptResult:
        refusal = _refusal(call)
        if refusal is not None:
            return refusal
        message = _message(call)
        if len(message["data"]) > LARGEST_DATA:
            return failure(ErrorKind.REFUSED, f"The data take more than {LARGEST_DATA} bytes.")
        try:
            return _result(self._ask(message, _UNTIL_KILLED[call.budget]))
        except ChildTimeout:
            metrics.JAIL_KILLS.labels(reason="timeout").inc()
            return failure(ErrorKind.TIMEOUT, "The script ran out of time and was stopped.")
        except ChildDied:
            metrics.JAIL_KILLS.labels(reason="died").inc()
            return failure(ErrorKind.ERROR, "The script used too much memory and was stopped.")

    def _ask(self, message: dict[str, Any], seconds: float) -> dict[str, Any]:
        try:
            return self._ask_once(message, seconds)
        except ChildDied:
            # It may have died of what it did before, or been killed from outside; scripts have no
            # effects, so a fresh child may try the same one again.
            return self._ask_once(message, seconds)

    def _ask_once(self, message: dict[str, Any], seconds: float) -> dict[str, Any]:
        with self._lock:
            child = self._idle.pop() if self._idle else None
        child = child or _started()
        answer = child.ask(message, seconds=seconds)
        if child.is_spent:
            child.kill()
        else:
            with self._lock:
                self._idle.append(child)
        return answer


_current = _Pool()


def evaluate(calls: Sequence[ScriptCall]) -> list[ScriptResult]:
    """Evaluate scripts one after the other and return their results in the same order.

    Safe to call from any thread. Blocks, so never call it with a row lock held.

    Raises:
        JailUnavailable: Nothing could be evaluated; it may work later.
    """
    return _current.evaluate(calls)


def check_syntax(source: str, *, body: bool = False) -> str | None:
    """Return what is wrong with a JavaScript text, or None. Runs nothing of it."""
    call = ScriptCall(language=Language.SYNTAX, source=source, body=body, budget=Budget.CONDITION)
    (result,) = evaluate([call])
    return result.error.message if result.error is not None else None


def warm() -> None:
    """Start a child ahead of the first call, which would otherwise wait for it."""
    evaluate([ScriptCall(language=Language.SYNTAX, source="")])


def close() -> None:
    """End the idle children of this process."""
    _current.close()


def _after_fork() -> None:
    # The children belong to the parent process; their pipes must not stay open here, or they
    # would not notice its end. The locks may have been held by a thread that is not here.
    global _current
    inherited, _current = _current, _Pool()
    inherited.abandon()


atexit.register(close)
os.register_at_fork(after_in_child=_after_fork)


def _started() -> JailProcess:
    metrics.JAIL_RESTARTS.inc()
    return JailProcess()


def _refusal(call: ScriptCall) -> ScriptResult | None:
    largest = LARGEST_SCHEMA if call.language is Language.SCHEMA else LARGEST_SOURCE
    if len(call.source) > largest:
        return failure(ErrorKind.REFUSED, f"The script is longer than {largest} characters.")
    return None


def _message(call: ScriptCall) -> dict[str, Any]:
    return {
        "language": call.language.value,
        "source": call.source,
        "data": json.dumps(call.data, allow_nan=False),
        "body": call.body,
        "seconds": _COMPUTING[call.budget],
    }


def _result(answer: dict[str, Any]) -> ScriptResult:
    if "value" not in answer:
        return failure(ErrorKind(answer["kind"]), clean(str(answer["message"])))
    try:
        value = cast("JSONValue", json.loads(answer["value"]))
    except (ValueError, RecursionError):
        return failure(ErrorKind.ERROR, "The result is not JSON that can be kept.")
    return ScriptResult(value=clean(value))
