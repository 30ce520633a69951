"""Undo that the definition asks for: events and moments (T7, saga-semantics §5)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from orchestrator.engine.occurrences import Triggered
from orchestrator.engine.outcomes import Failed, Succeeded, Unknown
from orchestrator.engine.snapshot import (
    Cancelled,
    Claimed,
    PlanConfirmed,
    PlanRejected,
    UndoRequested,
    VariablesSet,
)
from tests.unit.engine.definitions import saga, task, undone
from tests.unit.engine.driver import START, Run, World

NO = Failed(reason="no", terminal=True)
CANCELLED = {"event": "kafka:bookings"}


def started(
    *tasks: Any, triggers: list[dict[str, Any]], world: World | None = None, **given: Any
) -> Run:
    """Return a run of a definition with triggers."""
    settings = {"triggers": triggers, **given.pop("settings", {})}
    return (world or World()).start(saga(*tasks, settings=settings), **given)


def happen(run: Run, index: int = 0, actor: str = "ann") -> None:
    run.feed(Triggered(index=index, event="kafka:bookings", actor=actor))


def claimable(run: Run) -> list[str]:
    return sorted(step.reference for step in run.claimable())


def test_an_event_undoes_a_completed_run():
    run = started(undone("a"), undone("b"), triggers=[CANCELLED])
    run.work("a")
    run.work("b")
    happen(run)

    plan = run.plans[0].command
    assert (plan.trigger, plan.triggered_by) == ("TRIGGER", "ann")
    assert plan.reason == "the event kafka:bookings"
    run.work("un_b")
    run.work("un_a")
    assert (run.state, run.execution.outcome) == ("COMPENSATED", "COMPLETED")


def test_an_event_stops_a_run_that_goes_on():
    run = started(undone("a"), undone("b"), triggers=[CANCELLED])
    run.work("a")
    happen(run)
    assert (run.state, run.execution.outcome) == ("COMPENSATING", "TERMINATED")
    assert run.execution.failure is not None
    assert run.execution.failure["message"] == "the event kafka:bookings"
    run.work("un_a")
    assert run.state == "COMPENSATED"


def test_named_steps_are_undone_with_what_came_after_them():
    for stage in ("running", "completed"):
        run = started(
            undone("a"),
            undone("b"),
            undone("c"),
            undone("d"),
            triggers=[{**CANCELLED, "steps": ["b"]}],
        )
        for reference in "abc" if stage == "running" else "abcd":
            run.work(reference)
        happen(run)
        for reference in "cb" if stage == "running" else "dcb":
            run.work(f"un_{reference}")
        assert (run.state, run.ledger()["a"]) == ("PARTIALLY_COMPENSATED", "ARMED")


def test_named_steps_that_never_happened_stop_the_run_with_nothing_undone():
    run = started(undone("a"), undone("b"), triggers=[{**CANCELLED, "steps": ["b"]}])
    run.work("a")
    happen(run)
    assert (run.state, run.plans, run.ledger()["a"]) == ("TERMINATED", [], "ARMED")


def test_what_is_in_flight_settles_first():
    run = started(undone("a"), undone("b"), triggers=[CANCELLED])
    run.work("a")
    taken = run.claimable()[0]
    run.feed(Claimed(step_run_id=taken.id, worker="w"))
    happen(run)
    assert run.state == "STOPPING"
    happen(run)
    run.end(run.runs[taken.id], Succeeded())
    assert claimable(run) == ["un_b"]


def test_told_twice_it_happens_once():
    run = started(undone("a"), triggers=[CANCELLED])
    run.work("a")
    happen(run)
    assert run.feed(Triggered(index=0, event="kafka:bookings", actor="eve")).is_empty
    run.work("un_a")
    assert run.feed(Triggered(index=0, event="kafka:bookings", actor="eve")).is_empty
    assert len(run.plans) == 1


def test_a_run_that_stops_without_undo_is_undone_after_all():
    run = started(undone("a"), undone("b"), triggers=[CANCELLED], settings={"onFailure": "ASK"})
    run.work("a")
    run.work("b", NO)
    assert run.state == "NEEDS_ATTENTION"
    happen(run)
    run.work("un_a")
    assert run.state == "COMPENSATED"


def test_what_a_person_has_left_standing_is_left():
    run = started(undone("a"), undone("b"), triggers=[CANCELLED])
    run.work("a")
    run.feed(Cancelled(compensate=False, actor="boss", reason="leave it"))
    happen(run)
    assert (run.state, run.plans) == ("TERMINATED", [])


def test_an_event_adds_to_the_plan_that_runs():
    run = started(undone("a"), undone("b"), triggers=[CANCELLED])
    run.work("a")
    run.work("b")
    run.feed(UndoRequested(actor="op", reason="b", entries=frozenset({run.step("b").id})))
    happen(run)
    assert [plan.command.trigger for plan in run.plans] == ["REQUEST", "TRIGGER"]
    run.work("un_b")
    run.work("un_a")
    assert run.state == "COMPENSATED"


def test_a_plan_that_a_person_started_takes_in_nothing_unseen():
    """The event is taken once that plan has ended, with a plan of its own."""
    run = started(
        undone("a"), undone("b"), triggers=[CANCELLED], settings={"confirmPlan": "ALWAYS"}
    )
    run.work("a")
    run.work("b")
    run.feed(UndoRequested(actor="op", reason="b", entries=frozenset({run.step("b").id})))
    run.feed(PlanConfirmed(hash=run.plans[0].command.hash, actor="op", reason=""))
    happen(run)
    happen(run)
    assert (len(run.plans), run.ledger()["a"]) == (1, "ARMED")
    run.work("un_b")
    assert (run.state, len(run.plans)) == ("PLANNING", 2)
    run.feed(PlanRejected(hash=run.plans[1].command.hash, actor="boss", reason="no"))
    assert run.state == "PARTIALLY_COMPENSATED"


# ---- pivots -----------------------------------------------------------------------------------


def guarded(*triggers: dict[str, Any]) -> Run:
    point = task("point", "NOOP", savepoint=True)
    pivot = task("p", effect="PIVOT", retryCount=0)
    run = started(undone("a"), pivot, point, undone("b"), triggers=list(triggers))
    run.work("a")
    run.work("p")
    return run


def test_a_pivot_bounds_the_undo_of_a_completed_run():
    """Invariant 23."""
    run = guarded(CANCELLED)
    run.work("b")
    happen(run)
    run.work("un_b")
    assert (run.state, run.ledger()["a"]) == ("PARTIALLY_COMPENSATED", "ARMED")
    happen(run)
    assert run.events[-1].type == "trigger.ignored"
    assert (run.state, len(run.plans)) == ("PARTIALLY_COMPENSATED", 1)


def test_a_running_run_past_its_pivot_stops_and_calls_a_person():
    run = guarded(CANCELLED)
    happen(run)
    assert (run.state, run.plans) == ("NEEDS_ATTENTION", [])


def test_what_came_after_the_pivot_alone_needs_nobody():
    run = guarded({**CANCELLED, "steps": ["b"]})
    run.work("b")
    happen(run)
    run.work("un_b")
    assert run.state == "PARTIALLY_COMPENSATED"


def test_a_pivot_in_doubt_holds_the_trigger():
    """Invariant 24."""
    world = World()
    pivot = task("p", effect="PIVOT", retryCount=0, onUnknown=["ASK"])
    run = started(
        undone("a"), pivot, undone("b", savepoint=True), triggers=[CANCELLED], world=world
    )
    run.work("a")
    run.work("p", Unknown(reason="?"))
    happen(run)
    assert run.plans == []
    assert ("TRIGGER", "0") in run.timers


# ---- moments ----------------------------------------------------------------------------------


def at(seconds: int) -> str:
    return (START + timedelta(seconds=seconds)).isoformat()


def test_a_moment_undoes_the_run_when_it_comes():
    world = World()
    run = started(
        undone("a"), triggers=[{"at": "${workflow.input.until}"}], world=world, until=at(60)
    )
    run.work("a")
    assert run.state == "COMPLETED"
    world.pass_time(59)
    assert run.plans == []
    world.pass_time(1)
    assert run.plans[0].command.reason == f"its time has come: {at(60)}"
    run.work("un_a")
    assert (run.state, run.timers) == ("COMPENSATED", {})


def test_a_moment_moves_with_the_variables():
    """Invariant 40: one timer per trigger."""
    world = World()
    run = started(
        undone("a"), undone("b"), triggers=[{"at": "${workflow.variables.until}"}], world=world
    )
    assert run.timers == {}
    run.feed(VariablesSet(values={"until": at(60)}, actor="op"))
    run.feed(VariablesSet(values={"until": at(90)}, actor="op"))
    assert run.timers == {("TRIGGER", "0"): START + timedelta(seconds=90)}
    run.feed(VariablesSet(values={"until": None}, actor="op"))
    assert run.timers == {}


def test_a_moment_may_come_from_a_step():
    run = started(undone("a"), undone("b"), triggers=[{"at": "${a.output.until}", "steps": ["a"]}])
    assert run.timers == {}
    run.work("a", Succeeded(output={"until": at(5)}))
    assert run.timers == {("TRIGGER", "0"): START + timedelta(seconds=5)}


def test_a_moment_that_is_over_comes_at_once():
    world = World()
    run = started(undone("a"), triggers=[{"at": at(-60)}], world=world)
    world.pass_time(0)
    assert (run.state, run.execution.outcome) == ("TERMINATED", "TERMINATED")


@pytest.mark.parametrize("said", ["tomorrow", "2026-13-01T00:00:00Z", 5])
def test_a_moment_that_cannot_be_read_is_told_and_stops_nothing(said: Any):
    run = started(undone("a"), triggers=[{"at": "${workflow.input.until}"}], until=said)
    told = [event for event in run.events if event.type == "trigger.unreadable"]
    assert (len(told), run.timers) == (1, {})
    run.work("a")
    assert run.state == "COMPLETED"
