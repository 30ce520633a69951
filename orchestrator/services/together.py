"""Group commit: what has come in while the last transition was written goes into the next one.

No timer: with nobody else there, a transition holds one caller's inputs and waits for nothing.
Under load many threads of a process share a transaction, a commit and its disk write
(architecture.md §5).
"""

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

AT_ONCE = 64
"""Callers in one transition: enough to share its cost, few enough to lock briefly."""


@dataclass(slots=True, eq=False)
class _Ticket(Generic[_Item, _Result]):
    """One caller's item, and what became of it."""

    item: _Item
    group: Hashable
    results: list[_Result] = field(default_factory=list)
    error: BaseException | None = None
    is_done: bool = False


class Together(Generic[_Item, _Result]):
    """Runs callers' items in batches: whoever is first in line takes all that have queued up.

    Args:
        run: Does a batch and returns a result for each item, in order. When it raises, the items of
            the batch are done one by one, so that a bad one spoils only its own call.
    """

    def __init__(self, run: Callable[[list[_Item]], list[_Result]]) -> None:
        self._run = run
        self._turn = threading.Lock()
        self._waiting: list[_Ticket[_Item, _Result]] = []
        self._guard = threading.Lock()

    def do(self, item: _Item, *, group: Hashable = None) -> _Result:
        """Have an item done, perhaps with others of its group; raises what doing it raised."""
        ticket: _Ticket[_Item, _Result] = _Ticket(item, group)
        with self._guard:
            self._waiting.append(ticket)
        with self._turn:
            # Whoever had the turn before may have taken this one along.
            if not ticket.is_done:
                self._take_turn(ticket)
        if ticket.error is not None:
            raise ticket.error
        return ticket.results[0]

    def _take_turn(self, first: _Ticket[_Item, _Result]) -> None:
        with self._guard:
            batch = [ticket for ticket in self._waiting if ticket.group == first.group][:AT_ONCE]
            if first not in batch:
                batch = [first, *batch[: AT_ONCE - 1]]
            self._waiting = [ticket for ticket in self._waiting if ticket not in batch]
        try:
            results = self._run([ticket.item for ticket in batch])
        except Exception:
            if len(batch) == 1:
                raise
            self._one_by_one(batch)
        else:
            for ticket, result in zip(batch, results, strict=True):
                ticket.results.append(result)
        finally:
            for ticket in batch:
                ticket.is_done = True

    def _one_by_one(self, batch: list[_Ticket[_Item, _Result]]) -> None:
        for ticket in batch:
            try:
                ticket.results.extend(self._run([ticket.item]))
            except Exception as error:  # noqa: BLE001 - handed to the caller it belongs to
                ticket.error = error
