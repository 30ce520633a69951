"""A retry that lets failed children go on in place (conductor/definitions.md §7.4, api.md §14)."""

from __future__ import annotations

from orchestrator.engine.outcomes import Failed
from orchestrator.engine.snapshot import Cancelled, RetryRequested, UndoRequested
from tests.unit.engine.definitions import Document, child, flow, plain, saga, undone, work
from tests.unit.engine.driver import Run, World

NO = Failed(reason="no")
X = plain("x", retryCount=0)


def start(inner: Document, *tasks: Document, is_plain: bool = False) -> Run:
    world = World()
    world.register(inner)
    return world.start(flow(*tasks) if is_plain else saga(*tasks, settings={"onFailure": "NONE"}))


def child_of(run: Run, reference: str = "s") -> Run:
    return run.world.all[str(run.step(reference).child_id)]


def retry(run: Run) -> None:
    run.feed(RetryRequested(actor="op", reason="mended", resume_children=True))
    run.world.settle()


def report(run: Run, reference: str, outcome: Failed | None = None) -> None:
    child_of(run).work(reference, outcome)
    run.world.settle()


def test_failed_child_goes_on_from_its_failed_step():
    run = start(flow(plain("a"), X, name="inner"), child("s", "inner"), is_plain=True)
    first = child_of(run)
    report(run, "a")
    report(run, "x", NO)
    assert (run.state, first.state) == ("FAILED", "FAILED")

    retry(run)
    assert (run.state, first.state, run.states()) == ("RUNNING", "RUNNING", {"s": "WAITING"})
    report(run, "x")

    assert child_of(run) is first
    assert (run.state, first.states()) == ("COMPLETED", {"a": "COMPLETED", "x": "COMPLETED"})
    assert run.step("s").attempt == 2


def test_entry_of_a_child_that_goes_on_is_armed_again():
    """Invariant 2: one entry per step run, also when the child's effects stayed."""
    inner = saga(undone("a"), work("x", retryCount=0), name="inner", settings={"onFailure": "NONE"})
    run = start(inner, undone("p"), child("s", "inner", retryCount=0))
    run.work("p")
    report(run, "a")
    report(run, "x", NO)
    assert (run.state, run.ledger()) == ("FAILED", {"p": "ARMED", "s": "ARMED"})

    retry(run)
    assert run.ledger()["s"] == "TENTATIVE"
    report(run, "x")
    assert (run.state, run.ledger()["s"]) == ("COMPLETED", "ARMED")

    run.feed(UndoRequested(actor="op", reason=""))
    run.world.settle()
    report(run, "un_a")
    run.work("un_p")
    assert (run.state, child_of(run).state) == ("COMPENSATED", "COMPENSATED")


def test_resumed_child_that_fails_again_fails_its_parent_again():
    run = start(flow(X, name="inner"), child("s", "inner"), is_plain=True)
    report(run, "x", NO)
    retry(run)

    report(run, "x", NO)

    assert (run.state, run.states()) == ("FAILED", {"s": "FAILED"})


def test_grandchildren_go_on_too():
    world = World()
    world.register(flow(X, name="leaf"))
    world.register(flow(child("l", "leaf"), name="mid"))
    run = world.start(flow(child("s", "mid")))
    mid = child_of(run)
    leaf = child_of(mid, "l")
    leaf.work("x", NO)
    world.settle()
    assert {run.state, mid.state, leaf.state} == {"FAILED"}

    retry(run)
    leaf.work("x")
    world.settle()

    assert {run.state, mid.state, leaf.state} == {"COMPLETED"}
    assert len(world.all) == 3


def test_terminated_child_goes_on_with_its_parent():
    run = start(flow(X, name="inner"), child("s", "inner"), is_plain=True)
    child_of(run).feed(Cancelled(compensate=False, actor="op", reason="enough"))
    run.world.settle()
    assert (run.state, run.states()) == ("TERMINATED", {"s": "CANCELLED"})

    retry(run)
    report(run, "x")

    assert run.state == "COMPLETED"


def test_child_that_cannot_go_on_any_more_says_so():
    """It was undone between the look of the service and the notice."""
    inner = saga(undone("a"), work("x", retryCount=0), name="inner", settings={"onFailure": "NONE"})
    run = start(inner, child("s", "inner", retryCount=0))
    report(run, "a")
    report(run, "x", NO)
    run.feed(RetryRequested(actor="op", reason="", resume_children=True))
    inside = child_of(run)
    held, inside.notices = inside.notices, []
    inside.feed(UndoRequested(actor="op", reason=""))
    inside.work("un_a")
    assert inside.state == "COMPENSATED"

    inside.notices += held
    run.world.settle()

    assert (run.state, run.ledger()) == ("FAILED", {"s": "COMPENSATED"})


def test_without_resuming_a_fresh_child_is_started():
    run = start(flow(X, name="inner"), child("s", "inner"), is_plain=True)
    first = child_of(run)
    report(run, "x", NO)

    run.feed(RetryRequested(actor="op", reason=""))

    assert child_of(run) is not first
