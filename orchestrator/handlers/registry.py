"""Which handler does which step on which queue, and how one is run."""

from __future__ import annotations

import importlib
import inspect
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from orchestrator.engine.outcomes import Failed, Outcome, Succeeded, Unknown, Waiting
from orchestrator.engine.states import Direction
from orchestrator.failpoints import failpoint
from orchestrator.handlers import results
from orchestrator.handlers.base import TerminalError, UnknownOutcome, Work

if TYPE_CHECKING:
    from types import FrameType

DEFAULT_QUEUE = "default"
CALLS_QUEUE = "calls"
SIMPLE = "SIMPLE"

Perform = Callable[[Work], object]
_Function = TypeVar("_Function", bound=Callable[..., object])


class HandlerError(Exception):
    """A handler cannot be registered or its module cannot be loaded."""


class StepTimeout(BaseException):
    """The deadline of the step has passed.

    No `Exception`, so that a handler which catches all of those cannot swallow it.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Handler:
    """One registered handler."""

    name: str
    """Task name of the steps it does, or the task type it implements."""
    queue: str
    perform: Perform
    source: str
    """Module and name of the function, to tell two handlers of one name apart."""
    description: str
    keeps_deadline: bool = False
    """It ends in time by itself, wherever it runs."""


_by_name: dict[str, Handler] = {}
_by_type: dict[str, Handler] = {}


def step(name: str, queue: str = DEFAULT_QUEUE) -> Callable[[_Function], _Function]:
    """Register the decorated function as handler of the steps called `name`.

    It gets a `StepContext` in the parameter `context`, if it has one, and each key of the input
    that it declares as a parameter. What it returns becomes the output.
    """

    def register(function: _Function) -> _Function:
        perform = _call_with_declared_names(function, _parameters(name, function))
        _add(_by_name, _handler(name, queue, perform, function))
        return function

    return register


def task_type(name: str, queue: str = DEFAULT_QUEUE) -> Callable[[Perform], Perform]:
    """Register the decorated function as a built-in task type.

    It takes the `Work` and keeps its deadline by itself.
    """

    def register(function: Perform) -> Perform:
        _add(_by_type, replace(_handler(name, queue, function, function), keeps_deadline=True))
        return function

    return register


def get(name: str) -> Handler | None:
    """Return the handler of the steps called `name`, if this process has one."""
    return _by_name.get(name)


def find(task_type: str, name: str) -> Handler | None:
    """Return the handler of a step: by its type when that is built in, else by its name."""
    if task_type in _by_type:
        return _by_type[task_type]
    # As in Conductor, a SIMPLE task's type is its name, and an unknown type is a worker's too.
    return _by_name.get(name if task_type == SIMPLE else task_type)


def queue_of(task_type: str, name: str) -> str | None:
    """Return the Celery queue of a step; None leaves it to polling workers."""
    handler = find(task_type, name)
    return handler.queue if handler is not None else None


def queues() -> frozenset[str]:
    """Return every queue that some handler of this process uses."""
    return frozenset(handler.queue for handler in (*_by_name.values(), *_by_type.values()))


def load_modules(modules: Iterable[str]) -> None:
    """Import the modules that hold handlers, so that they register.

    Raises:
        HandlerError: One of them cannot be imported; the message names it.
    """
    for module in modules:
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise HandlerError(
                f"The handler module {module!r} cannot be loaded: {error}"
            ) from error


def run(work: Work) -> Outcome:
    """Do the work of one attempt and say what it came to.

    Lets no exception out but those that end the process: then nobody reports, and the lost lease
    says what is true, that the outcome is unknown.
    """
    handler = find(work.type, work.name)
    if handler is None:
        return Failed(reason=f"No handler for {work.name!r} ({work.type}) is loaded here.")
    is_undo = work.direction is Direction.COMPENSATION
    failpoint("undo_call.before" if is_undo else "call.before")
    outcome = _perform(handler, work)
    failpoint("undo_call.after" if is_undo else "call.after")
    if isinstance(outcome, Unknown) and not work.saga:
        return Failed(reason=outcome.reason, output=outcome.output, timed_out=outcome.timed_out)
    return outcome


def _perform(handler: Handler, work: Work) -> Outcome:
    try:
        with _deadline(0.0 if handler.keeps_deadline else work.deadline_seconds):
            result = handler.perform(work)
        return _outcome_of(result, work)
    except StepTimeout:
        reason = f"The handler was stopped after {work.deadline_seconds:g} seconds."
        return Unknown(reason=reason, timed_out=True)
    except TerminalError as error:
        return Failed(reason=_sentence(error), terminal=True)
    except UnknownOutcome as error:
        return Unknown(reason=_sentence(error))
    except Exception as error:  # noqa: BLE001 - the one place where any error has a meaning
        return _of_exception(error)


def _of_exception(error: Exception) -> Outcome:
    # Celery's soft limit can fall anywhere in the work; the class is billiard's, which the import
    # rule keeps out of here.
    if type(error).__name__ == "SoftTimeLimitExceeded":
        return Unknown(reason="The worker's time limit stopped the handler.", timed_out=True)
    return Failed(reason=_sentence(error))


def _outcome_of(result: object, work: Work) -> Outcome:
    if isinstance(result, Succeeded):
        settled = results.success(result.output)
    elif isinstance(result, Failed | Unknown | Waiting):
        return results.with_clean_output(result)
    else:
        settled = results.success(result)
    if work.async_complete and isinstance(settled, Succeeded):
        return Waiting(output=settled.output)
    return settled


def _sentence(error: Exception) -> str:
    text = str(error).strip()
    kind = type(error).__name__
    if isinstance(error, TerminalError | UnknownOutcome):
        return results.clean_reason(text or kind)
    return results.clean_reason(f"{kind}: {text}" if text else kind)


def _handler(name: str, queue: str, perform: Perform, function: Callable[..., object]) -> Handler:
    return Handler(
        name=name,
        queue=queue,
        perform=perform,
        source=f"{function.__module__}.{function.__qualname__}",
        description=inspect.getdoc(function) or "",
    )


def _add(table: dict[str, Handler], handler: Handler) -> None:
    known = table.get(handler.name)
    # The same function again is a reload of its module, not a clash.
    if known is not None and known.source != handler.source:
        raise HandlerError(
            f"{handler.name!r} has two handlers: {known.source} and {handler.source}."
        )
    table[handler.name] = handler


def _parameters(name: str, function: Callable[..., object]) -> Mapping[str, inspect.Parameter]:
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        raise HandlerError(f"The handler of {name!r} must be a plain function.")
    parameters = inspect.signature(function).parameters
    for parameter in parameters.values():
        if parameter.kind in {parameter.POSITIONAL_ONLY, parameter.VAR_POSITIONAL}:
            raise HandlerError(
                f"The handler of {name!r} takes {parameter.name!r} by position; "
                "inputs are handed over by name."
            )
    return parameters


def _call_with_declared_names(
    function: Callable[..., object], parameters: Mapping[str, inspect.Parameter]
) -> Perform:
    takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    named = [p for p in parameters.values() if p.kind is not p.VAR_KEYWORD]

    def perform(work: Work) -> object:
        given: dict[str, Any] = dict(work.input)
        arguments = (
            given if takes_all else {p.name: given[p.name] for p in named if p.name in given}
        )
        if "context" in parameters:
            arguments["context"] = work.context()
        missing = [p.name for p in named if p.default is p.empty and p.name not in arguments]
        if missing:
            raise TerminalError(f"The input lacks {', '.join(map(repr, missing))}.")
        return function(**arguments)

    return perform


@contextmanager
def _deadline(seconds: float) -> Iterator[None]:
    """Raise `StepTimeout` in the block after so many seconds.

    Signals reach the main thread only: in a pool of threads the work needs a deadline of its own,
    as the HTTP client has.
    """
    if seconds <= 0 or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGALRM, _stop)
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, seconds)
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    finally:
        signal.signal(signal.SIGALRM, before)


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise StepTimeout
