"""Group commit: everybody gets the result of their own call, also beside a bad one."""

import threading
from typing import Any

import pytest

from orchestrator.services.together import AT_ONCE, Together


class Slow:
    """Runs batches, the first of them only when a test says so."""

    def __init__(self) -> None:
        self.begun, self.may_go_on = threading.Event(), threading.Event()
        self.batches: list[list[int]] = []

    def __call__(self, items: list[int]) -> list[int]:
        """Return the double of each; 13 cannot be doubled."""
        self.batches.append(list(items))
        if len(self.batches) == 1:
            self.begun.set()
            assert self.may_go_on.wait(20)
        if 13 in items:
            raise ValueError(items)
        return [item * 2 for item in items]


def _call_all(together: Together[int, int], slow: Slow, first: int, *rest: int) -> list[Any]:
    """Make one call, queue the others up behind it, and return what each came to."""
    results: list[Any] = [None] * (1 + len(rest))

    def call(index: int, item: int) -> None:
        try:
            results[index] = together.do(item)
        except Exception as error:  # noqa: BLE001 - looked at by the test
            results[index] = error

    threads = [threading.Thread(target=call, args=(0, first))]
    threads[0].start()
    assert slow.begun.wait(20)
    for index, item in enumerate(rest, start=1):
        threads.append(threading.Thread(target=call, args=(index, item)))
        threads[-1].start()
        while len(together._waiting) < index:
            pass
    slow.may_go_on.set()
    for thread in threads:
        thread.join(20)
    return results


def test_what_came_in_meanwhile_goes_together() -> None:
    slow = Slow()

    results = _call_all(Together(slow), slow, 1, 2, 3, 4)

    assert results == [2, 4, 6, 8]
    assert [len(batch) for batch in slow.batches] == [1, 3]


def test_equal_calls_each_get_a_result_however_many_there_are() -> None:
    slow = Slow()

    results = _call_all(Together(slow), slow, 1, *[7] * (AT_ONCE + 5))

    assert results == [2, *[14] * (AT_ONCE + 5)]
    assert [len(batch) for batch in slow.batches] == [1, AT_ONCE, 5]


def test_a_bad_call_spoils_only_itself() -> None:
    slow = Slow()

    results = _call_all(Together(slow), slow, 1, 2, 13, 3)

    assert [results[0], results[1], results[3]] == [2, 4, 6]
    with pytest.raises(ValueError, match="13"):
        raise results[2]
