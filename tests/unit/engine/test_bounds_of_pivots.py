"""Which pivot bounds an undo, and what lies beyond it (saga-semantics §11)."""

from __future__ import annotations

from orchestrator.engine.compensation import pivots
from orchestrator.engine.outcomes import Failed
from tests.unit.engine.definitions import fork, saga, task, undone
from tests.unit.engine.driver import Run, World


def pivot(reference: str):
    return task(reference, effect="PIVOT", retryCount=0)


def last(run: Run) -> str | None:
    found = pivots.last_pivot(run.runs, run.node)
    return found.reference if found else None


def beyond(run: Run, reference: str) -> set[str]:
    found = pivots.beyond(run.runs, run.step(reference))
    return {run.runs[key].reference for key in found}


def test_a_pivot_counts_once_it_has_completed():
    run = World().start(saga(undone("a"), pivot("p"), undone("b")))
    run.work("a")
    assert last(run) is None
    run.work("p")
    assert last(run) == "p"


def test_a_failed_pivot_decides_nothing():
    run = World().start(saga(undone("a"), pivot("p")))
    run.work("a")
    run.work("p", Failed(reason="no"))
    assert last(run) is None


def test_the_last_completed_of_several_counts():
    run = World().start(saga(pivot("p"), undone("a"), pivot("q"), undone("b")))
    for reference in ("p", "a", "q"):
        run.work(reference)
    assert last(run) == "q"
    assert beyond(run, "q") == {"b"}


def test_what_ran_beside_a_pivot_is_not_beyond_it():
    run = World().start(saga(undone("a"), fork("f", [pivot("p"), undone("b")], [undone("c")])))
    for reference in ("a", "p", "b"):
        run.work(reference)
    assert beyond(run, "p") == {"b"}
    run.work("c")
    assert beyond(run, "p") == {"b", "f_join"}
