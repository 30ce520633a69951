"""The step that decides: back before it, forward after it, nothing while nobody knows (§11)."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.engine.definition.model import TaskPolicy
from orchestrator.engine.outcomes import Failed, Succeeded, Unknown
from orchestrator.engine.snapshot import (
    AttemptEnded,
    Cancelled,
    Claimed,
    ParentSpoke,
    RetryRequested,
    StepSettled,
    UndoRequested,
)
from tests.unit.engine.definitions import child, fork, saga, task, terminate, undone, work
from tests.unit.engine.driver import Run, World

NO = Failed(reason="no")
WHO = Unknown(reason="no answer")
FAILS = work("z", retryCount=0)


def pivot(reference: str = "p", **keys: Any) -> dict[str, Any]:
    keys.setdefault("retryCount", 0)
    return task(reference, effect="PIVOT", **keys)


def retriable(reference: str = "r", **keys: Any) -> dict[str, Any]:
    return task(reference, effect="RETRIABLE", **keys)


def finish(run: Run, *order: str) -> None:
    for reference in order:
        run.work(reference)


def claimable(run: Run) -> list[str]:
    return sorted(step.reference for step in run.claimable())


def offered(run: Run) -> list[str]:
    """Return what a worker that asks for everything would get."""
    return sorted(
        step.reference
        for step in run.claimable()
        if not run._decided((Claimed(step_run_id=step.id, worker="w"),), {}, ()).refused
    )


def world(**policy: Any) -> World:
    found = World()
    found.policies["r"] = TaskPolicy(name="r", **policy)
    return found


# ---- before and after ------------------------------------------------------------------------


def test_before_it_has_completed_the_run_goes_back():
    run = World().start(saga(undone("a"), pivot(), undone("b")))
    run.work("a")
    run.work("p", NO)
    run.work("un_a")
    assert run.state == "COMPENSATED"


def test_after_it_only_what_came_after_is_undone():
    """Invariant 23."""
    run = World().start(saga(undone("a"), pivot(), undone("b"), FAILS))
    finish(run, "a", "p", "b")
    run.work("z", NO)
    assert claimable(run) == ["un_b"]
    run.work("un_b")
    assert (run.state, run.ledger()) == ("NEEDS_ATTENTION", {"a": "ARMED", "b": "COMPENSATED"})
    assert run.execution.outcome == "FAILED"


def test_after_it_a_savepoint_is_gone_back_to_and_not_beyond():
    """Invariant 23; the savepoint itself, though after the pivot, is not undone (§11)."""
    settings = {"onFailure": "FORWARD", "maxRetries": 1}
    steps = (undone("a"), pivot(), undone("s", savepoint=True), undone("b"), FAILS)
    run = World().start(saga(*steps, settings=settings))
    finish(run, "a", "p", "s", "b")
    run.work("z", NO)
    assert claimable(run) == ["un_b"]
    run.work("un_b")
    run.world.pass_time(60)
    assert (run.state, run.execution.epoch) == ("RUNNING", 2)
    assert (run.step("a").entry_state, run.step("s").entry_state) == ("ARMED", "ARMED")


def test_after_it_with_nothing_behind_a_person_is_called():
    run = World().start(saga(undone("a"), pivot(), FAILS))
    finish(run, "a", "p")
    run.work("z", NO)
    assert (run.state, run.plans) == ("NEEDS_ATTENTION", [])
    run.feed(RetryRequested(actor="op", reason="mended"))
    run.work("z")
    assert run.state == "COMPLETED"


@pytest.mark.parametrize(
    ("undone_after", "state"), [(True, "PARTIALLY_COMPENSATED"), (False, "FAILED")]
)
def test_dead_end_is_left_by_a_cancel_without_undo(*, undone_after: bool, state: str) -> None:
    middle = [undone("b")] if undone_after else []
    run = World().start(saga(undone("a"), pivot(), *middle, FAILS))
    finish(run, "a", "p", *(["b"] if undone_after else []))
    run.work("z", NO)
    if undone_after:
        run.work("un_b")
    run.feed(Cancelled(compensate=False, actor="op", reason="keep the bookings"))
    assert run.state == state
    assert run.ledger()["a"] == "ARMED"


def test_dead_end_is_left_by_an_undo_on_request():
    run = World().start(saga(undone("a"), pivot(), undone("b"), FAILS))
    finish(run, "a", "p", "b")
    run.work("z", NO)
    run.work("un_b")
    run.feed(UndoRequested(actor="op", reason="two of us say so"))
    run.work("un_a")
    assert run.state == "COMPENSATED"


def test_what_stands_beside_it_is_not_undone():
    """Invariant 23: the other branch is neither before nor after."""
    definition = saga(undone("a"), fork("f", [pivot()], [undone("b"), FAILS]))
    run = World().start(definition)
    finish(run, "a", "p", "b")
    run.work("z", NO)
    assert (run.state, claimable(run)) == ("NEEDS_ATTENTION", [])
    assert set(run.ledger().values()) == {"ARMED"}


def test_the_pivot_completed_last_counts():
    run = World().start(saga(pivot("p1"), undone("a"), pivot("p2"), undone("b"), FAILS))
    finish(run, "p1", "a", "p2", "b")
    run.work("z", NO)
    assert claimable(run) == ["un_b"]


def test_a_deadline_after_it_undoes_only_what_came_after():
    run = World().start(
        saga(
            undone("a"),
            pivot(),
            undone("b"),
            work("c"),
            timeoutSeconds=60,
            timeoutPolicy="TIME_OUT_WF",
        )
    )
    finish(run, "a", "p", "b")
    run.world.pass_time(60)
    run.work("un_b")
    assert (run.state, run.execution.outcome) == ("NEEDS_ATTENTION", "TIMED_OUT")


def test_terminate_after_it_undoes_only_what_came_after():
    run = World().start(saga(undone("a"), pivot(), undone("b"), terminate("t", "FAILED")))
    finish(run, "a", "p", "b", "un_b")
    assert (run.state, run.ledger()["a"]) == ("NEEDS_ATTENTION", "ARMED")


def test_a_child_with_a_completed_pivot_is_not_undone_by_itself():
    """Invariant 23: the parent's plan is an automatic trigger too (T6)."""
    found = World()
    found.register(saga(undone("x"), pivot(), undone("y"), name="kid"))
    run = found.start(saga(child("k", "kid"), FAILS))
    kid = next(each for each in found.all.values() if each is not run)
    finish(kid, "x", "p", "y")
    found.settle()
    run.work("z", NO)
    found.settle()
    assert claimable(kid) == ["un_y"]
    kid.work("un_y")
    found.settle()
    assert (kid.state, run.state) == ("NEEDS_ATTENTION", "COMPENSATING")
    kid.feed(UndoRequested(actor="op", reason="yes, all of it"))
    kid.work("un_x")
    found.settle()
    assert (kid.state, run.state) == ("COMPENSATED", "COMPENSATED")


# ---- retriable steps -------------------------------------------------------------------------


def test_retriable_steps_have_no_limit_after_it():
    found = world(retry_count=1, retry_delay_seconds=10)
    run = found.start(saga(pivot(), retriable()))
    run.work("p")
    for _ in range(20):
        run.work("r", NO)
        found.pass_time(10)
    assert run.state == "RUNNING"
    run.work("r")
    assert run.state == "COMPLETED"


def test_retriable_steps_have_their_ordinary_limit_before_it():
    found = world(retry_count=1, retry_delay_seconds=0)
    run = found.start(saga(undone("a"), retriable(), pivot()))
    run.work("a")
    run.work("r", NO)
    run.work("r", NO)
    assert run.state == "COMPENSATING"


def test_their_delay_is_capped_and_an_hour_raises_an_alarm():
    found = world(retry_count=1, retry_delay_seconds=3000)
    run = found.start(saga(pivot(), retriable()))
    run.work("p")
    for _ in range(6):
        run.work("r", NO)
        due_at = run.step("r").due_at
        assert due_at is not None
        assert (due_at - found.now).total_seconds() == 900
        found.pass_time(900)
    alarms = [event for event in run.events if event.type == "step.retrying_long"]
    assert len(alarms) == 1


def test_an_unknown_outcome_of_theirs_is_tried_until_known():
    found = world(retry_count=0, retry_delay_seconds=0)
    run = found.start(saga(pivot(), retriable()))
    run.work("p")
    for _ in range(5):
        run.work("r", WHO)
    run.work("r")
    assert run.state == "COMPLETED"


def test_a_terminal_error_ends_even_them():
    found = world(retry_count=5)
    run = found.start(saga(undone("a"), pivot(), retriable()))
    finish(run, "a", "p")
    run.work("r", Failed(reason="never", terminal=True))
    assert run.state == "NEEDS_ATTENTION"


# ---- nobody knows ----------------------------------------------------------------------------


def doubted() -> Run:
    """Leave a pivot unknown while another branch is at work and a third step waits."""
    definition = saga(
        undone("a"), fork("f", [pivot(), undone("b")], [undone("c"), work("d")], [undone("e")])
    )
    run = World().start(definition)
    run.work("a")
    busy = next(step for step in run.claimable() if step.reference == "c")
    run.feed(Claimed(step_run_id=busy.id, worker="w"))
    run.work("p", WHO)
    return run


def test_unknown_holds_both_directions():
    """Invariant 24."""
    run = doubted()
    assert (run.state, run.plans, offered(run)) == ("NEEDS_ATTENTION", [], [])
    # What is in flight may still report; nothing follows it.
    run.end(run.step("c"), Succeeded())
    assert (run.step("c").state, offered(run)) == ("COMPLETED", [])


def test_known_to_have_happened_the_run_goes_on():
    run = doubted()
    run.end(run.step("c"), Succeeded())
    run.feed(StepSettled(step_run_id=run.step("p").id, applied=True, actor="op", reason="seen"))
    assert run.state == "RUNNING"
    assert offered(run) == ["b", "d", "e"]
    finish(run, "b", "d", "e")
    assert run.state == "COMPLETED"


def test_known_not_to_have_happened_the_run_goes_back():
    run = doubted()
    run.end(run.step("c"), Succeeded())
    run.feed(StepSettled(step_run_id=run.step("p").id, applied=False, actor="op", reason="no"))
    assert (run.state, claimable(run)) == ("COMPENSATING", ["un_c"])


def test_a_late_answer_settles_it_too():
    run = doubted()
    step = run.step("p")
    run.feed(
        AttemptEnded(step_run_id=step.id, attempt_id=step.attempt_id, outcome=Succeeded(output={}))
    )
    assert run.state == "RUNNING"
    assert offered(run) == ["b", "e"]


def test_a_failure_beside_it_waits_for_the_answer():
    run = doubted()
    run.end(run.step("c"), NO)
    assert (run.state, run.plans) == ("NEEDS_ATTENTION", [])
    run.feed(StepSettled(step_run_id=run.step("p").id, applied=False, actor="op", reason="no"))
    assert run.state == "COMPENSATING"


def test_its_probe_is_asked_first_and_holds_the_others_meanwhile():
    """Invariant 24: only the probe, or a retry with the same key, is dispatched."""
    definition = saga(undone("a"), fork("f", [pivot(probe=task("q"))], [undone("c")]), undone("e"))
    run = World().start(definition)
    run.work("a")
    run.work("p", WHO)
    assert (run.state, offered(run)) == ("RUNNING", ["q"])
    run.work("q", Succeeded(output={"applied": True}))
    assert offered(run) == ["c"]
    finish(run, "c", "e")
    assert run.state == "COMPLETED"


def test_its_retry_keeps_the_key_and_holds_the_others_meanwhile():
    found = World()
    found.policies["p"] = TaskPolicy(name="p", retry_count=1, retry_delay_seconds=5)
    definition = saga(fork("f", [task("p", effect="PIVOT")], [undone("c")]))
    run = found.start(definition)
    key = run.step("p").id
    run.work("p", WHO)
    assert (run.state, offered(run)) == ("RUNNING", [])
    found.pass_time(5)
    assert offered(run) == ["p"]
    run.work("p")
    assert run.step("p").id == key
    assert offered(run) == ["c"]


def test_a_deadline_waits_for_the_answer():
    definition = saga(
        undone("a"), pivot(), work("b"), timeoutSeconds=60, timeoutPolicy="TIME_OUT_WF"
    )
    run = World().start(definition)
    run.work("a")
    run.work("p", WHO)
    run.world.pass_time(60)
    assert run.state == "NEEDS_ATTENTION"
    run.feed(StepSettled(step_run_id=run.step("p").id, applied=True, actor="op", reason="seen"))
    run.world.pass_time(0)
    assert (run.state, run.execution.outcome) == ("NEEDS_ATTENTION", "TIMED_OUT")
    assert run.ledger() == {"a": "ARMED"}


def test_unknown_while_the_run_stops_is_asked_before_any_plan():
    definition = saga(undone("a"), fork("f", [pivot()], [FAILS]))
    run = World().start(definition)
    run.work("a")
    busy = next(step for step in run.claimable() if step.reference == "p")
    run.feed(Claimed(step_run_id=busy.id, worker="w"))
    run.work("z", NO)
    assert run.state == "STOPPING"
    run.end(run.runs[busy.id], WHO)
    assert (run.state, run.plans) == ("NEEDS_ATTENTION", [])
    run.feed(StepSettled(step_run_id=busy.id, applied=True, actor="op", reason="seen"))
    assert (run.state, run.plans) == ("NEEDS_ATTENTION", [])
    assert run.ledger() == {"a": "ARMED"}


def test_a_parent_that_stops_waits_for_the_childs_pivot():
    found = World()
    found.register(saga(undone("x"), pivot(), name="kid"))
    run = found.start(saga(child("k", "kid")))
    kid = next(each for each in found.all.values() if each is not run)
    kid.work("x")
    kid.work("p", WHO)
    kid.feed(ParentSpoke(undo=True, stop=True, reason="parent"))
    assert kid.plans == []
    kid.feed(StepSettled(step_run_id=kid.step("p").id, applied=False, actor="op", reason="no"))
    assert (kid.state, claimable(kid)) == ("COMPENSATING", ["un_x"])
