"""A service call is made again when the database says that it lost a race or a connection.

Every service may be called twice with the same keys (reliability.md §4, §5.5): a COMMIT may raise
and still have happened, and the second call then finds the traces of the first.
"""

import functools
import logging
import random
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from django.db import InterfaceError, OperationalError, connection

from orchestrator import metrics

logger = logging.getLogger(__name__)

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")

MOST_RETRIES = 3
_LOST_RACES = frozenset({"40P01", "55P03", "40001"})
_LOST_CONNECTIONS = frozenset({"57P01", "57P02", "57P03", "08000", "08003", "08006"})


def retried(call: Callable[_Parameters, _Result]) -> Callable[_Parameters, _Result]:
    """Make a whole service call again, at most 3 times, after 20 to 200 ms."""

    @functools.wraps(call)
    def wrapper(*args: _Parameters.args, **kwargs: _Parameters.kwargs) -> _Result:
        for tried in range(MOST_RETRIES + 1):
            try:
                return call(*args, **kwargs)
            except (OperationalError, InterfaceError) as error:
                if tried == MOST_RETRIES or connection.in_atomic_block or not _may_pass(error):
                    raise
                metrics.TRANSACTION_RETRIES.labels(reason=_reason(error)).inc()
                logger.warning(
                    "transaction_retried",
                    extra={"call": call.__qualname__, "error": str(error)[:200]},
                )
                connection.close_if_unusable_or_obsolete()
                time.sleep(random.uniform(0.02, 0.2))  # noqa: S311 - jitter
        raise AssertionError("unreachable")

    return wrapper


def _reason(error: Exception) -> str:
    """Return one of a few words, for the metric."""
    state = getattr(error.__cause__, "sqlstate", None)
    is_race = state in _LOST_RACES if state is not None else "locked" in str(error).lower()
    return "race" if is_race else "connection"


def _may_pass(error: Exception) -> bool:
    state = getattr(error.__cause__, "sqlstate", None)
    if state is not None:
        return state in _LOST_RACES or state in _LOST_CONNECTIONS
    text = str(error).lower()
    lost = ("locked", "connection", "server closed", "terminating", "broken pipe", "timeout")
    return any(word in text for word in lost)
