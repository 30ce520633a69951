"""Forward recovery: undo to a savepoint, then forward again in a new epoch (saga-semantics §11)."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.engine.outcomes import Failed, Succeeded, Unknown
from orchestrator.engine.snapshot import (
    AttemptEnded,
    Cancelled,
    Claimed,
    EntryActed,
    PauseSet,
    UndoRequested,
)
from orchestrator.engine.states import Direction
from tests.unit.engine.definitions import (
    child,
    dynamic,
    fork,
    loop,
    saga,
    switch,
    task,
    undone,
    work,
)
from tests.unit.engine.driver import Run, World

NO = Failed(reason="no")
TERMINAL = Failed(reason="never", terminal=True)
AGAIN = {"onFailure": "FORWARD", "maxRetries": 1, "retryDelaySeconds": 0}


def point(reference: str = "s") -> dict[str, Any]:
    """Build a savepoint that is nothing else."""
    return task(reference, "NOOP", savepoint=True)


def undo(run: Run, reference: str) -> None:
    run.work(f"un_{reference}")


def outcome(run: Run) -> str | None:
    return run.execution.outcome


def claimable(run: Run) -> list[str]:
    return sorted(step.reference for step in run.claimable())


def finish(run: Run, *order: str) -> None:
    for reference in order:
        run.work(reference)


def test_goes_back_to_the_savepoint_and_on_with_new_keys():
    """Invariant 26: only when all after S is settled, and with ids that were never used."""
    run = World().start(saga(undone("a", savepoint=True), undone("b"), undone("c"), settings=AGAIN))
    finish(run, "a", "b")
    first = run.step("b").id
    run.work("c", NO)

    assert (run.state, claimable(run)) == ("COMPENSATING", ["un_b"])
    assert outcome(run) == "FAILED"
    undo(run, "b")
    assert (run.state, run.execution.epoch) == ("RUNNING", 2)
    assert outcome(run) is None
    assert claimable(run) == ["b"]
    assert run.step("b").id != first
    finish(run, "b", "c")
    assert run.state == "COMPLETED"
    assert run.step("a").epoch == 1


def test_retries_are_limited_then_all_is_undone():
    run = World().start(saga(undone("a", savepoint=True), undone("b"), undone("c"), settings=AGAIN))
    finish(run, "a", "b")
    run.work("c", NO)
    undo(run, "b")
    run.work("b")
    run.work("c", NO)
    undo(run, "b")
    undo(run, "a")

    assert (run.state, run.execution.epoch) == ("COMPENSATED", 2)


def test_nothing_to_undo_goes_back_at_once():
    run = World().start(saga(undone("a", savepoint=True), work("b", retryCount=0), settings=AGAIN))
    run.work("a")
    run.work("b", NO)

    assert (run.state, run.execution.epoch, run.plans) == ("RUNNING", 2, [])
    run.work("b")
    assert run.state == "COMPLETED"


def test_delay_doubles_with_every_retry():
    settings = {**AGAIN, "maxRetries": 2, "retryDelaySeconds": 10}
    world = World()
    run = world.start(saga(point(), undone("b"), settings=settings))
    run.work("b", NO)
    assert (run.state, claimable(run)) == ("STOPPING", [])
    world.pass_time(9)
    assert run.execution.epoch == 1
    world.pass_time(1)
    assert (run.state, run.execution.epoch) == ("RUNNING", 2)
    run.work("b", NO)
    world.pass_time(19)
    assert run.execution.epoch == 2
    world.pass_time(1)
    assert run.execution.epoch == 3
    run.work("b")
    assert run.state == "COMPLETED"
    assert not run.timers


@pytest.mark.parametrize(
    ("end", "classes", "goes_back"),
    [
        (NO, ["FAILED"], True),
        (TERMINAL, ["FAILED"], False),
        (TERMINAL, ["FAILED_TERMINAL"], True),
        (Unknown(reason="?", timed_out=True), ["TIMED_OUT"], True),
        (Unknown(reason="?"), ["TIMED_OUT"], False),
        (Unknown(reason="?"), ["UNKNOWN"], True),
    ],
)
def test_only_listed_error_classes_are_worth_it(
    end: Any, classes: list[str], *, goes_back: bool
) -> None:
    world = World()
    settings = {**AGAIN, "retryOn": classes, "unknownSettleDelaySeconds": 0}
    run = world.start(saga(point(), undone("b"), settings=settings))
    run.work("b", end)
    for step in run.claimable():
        if step.direction is Direction.COMPENSATION:
            run.work(step.reference)

    assert (run.execution.epoch == 2) is goes_back, run.state


def test_variables_are_restored_but_those_to_keep():
    settings = {**AGAIN, "keep": ["tries"]}
    definition = saga(
        point(),
        task("v", "SET_VARIABLE", inputParameters={"seen": "yes", "tries": 1}),
        work("b", retryCount=0, inputParameters={"seen": "${workflow.variables.seen}"}),
        settings=settings,
        variables={"seen": "no", "tries": 0},
    )
    run = World().start(definition)
    run.work("b", NO)

    assert run.execution.epoch == 2
    retried = next(event for event in run.events if event.type == "savepoint.retried")
    assert retried.data["epoch"] == 2
    # The second epoch has set them anew; what was restored shows in the journal's order.
    assert run.execution.variables == {"seen": "yes", "tries": 1}


def test_keep_holds_what_is_set_only_after_the_savepoint():
    settings = {**AGAIN, "keep": ["kept"]}
    definition = saga(
        point(),
        switch(
            "w",
            "${workflow.variables.kept}",
            {"1": [], "0": [task("v", "SET_VARIABLE", inputParameters={"kept": 1, "lost": 1})]},
        ),
        work("b", retryCount=0),
        settings=settings,
        variables={"kept": 0, "lost": 0},
    )
    run = World().start(definition)
    assert run.execution.variables == {"kept": 1, "lost": 1}
    run.work("b", NO)

    assert run.execution.epoch == 2
    assert run.execution.variables == {"kept": 1, "lost": 0}


def test_what_was_cut_off_is_not_read_any_more():
    settings = {**AGAIN, "keep": ["way"]}
    definition = saga(
        point(),
        switch(
            "w",
            "${workflow.variables.way}",
            {"first": [work("x"), task("v", "SET_VARIABLE", inputParameters={"way": "second"})]},
        ),
        work("b", retryCount=0, inputParameters={"x": "${x.output.of}"}),
        settings=settings,
        variables={"way": "first"},
    )
    run = World().start(definition)
    run.work("x")
    assert run.step("b").input == {"x": "x"}
    run.work("b", NO)

    assert run.step("b").epoch == 2
    assert run.step("b").input == {"x": None}


def test_a_savepoint_in_a_branch_concerns_that_branch():
    definition = saga(
        undone("a"),
        fork("f", [undone("b", savepoint=True), undone("c"), undone("d")], [undone("e")]),
        undone("g"),
        settings=AGAIN,
    )
    run = World().start(definition)
    finish(run, "a", "b", "c")
    taken = next(step for step in run.claimable() if step.reference == "e")
    run.feed(Claimed(step_run_id=taken.id, worker="w"))
    run.work("d", NO)

    assert (run.state, claimable(run)) == ("COMPENSATING", ["un_c"])
    # Results of the other branch count as usual; nothing new begins.
    run.end(run.step("e"), Succeeded())
    assert run.step("e").state == "COMPLETED"
    undo(run, "c")
    assert claimable(run) == ["c"]
    finish(run, "c", "d", "g")
    assert (run.state, run.execution.epoch) == ("COMPLETED", 2)
    assert run.ledger()["e"] == "ARMED"


def test_other_branches_dispatch_nothing_until_the_run_goes_on():
    definition = saga(
        fork(
            "f", [undone("b", savepoint=True), undone("c"), undone("d")], [undone("e"), work("h")]
        ),
        settings=AGAIN,
    )
    run = World().start(definition)
    finish(run, "b", "c")
    run.work("d", NO)
    waiting = run.step("e")
    decision = run.feed(Claimed(step_run_id=waiting.id, worker="w"))
    assert decision.refused == (waiting.id,)
    undo(run, "c")
    finish(run, "e", "h", "c", "d")
    assert run.state == "COMPLETED"


def test_a_join_that_has_ended_waits_again():
    """The savepoint stands in a branch, the failure after the JOIN."""
    definition = saga(
        fork("f", [undone("b", savepoint=True), undone("c")], [undone("e")]),
        undone("g"),
        settings=AGAIN,
    )
    run = World().start(definition)
    finish(run, "b", "c", "e")
    run.work("g", NO)
    assert claimable(run) == ["un_c"]
    undo(run, "c")
    assert claimable(run) == ["c"]
    assert run.step("f_join").state == "WAITING"
    run.work("c")
    run.work("g")
    assert run.state == "COMPLETED"
    assert run.ledger()["e"] == "ARMED"


def test_a_savepoint_at_the_end_of_a_branch():
    definition = saga(
        fork("f", [undone("b", savepoint=True)], [undone("e")]), undone("g"), settings=AGAIN
    )
    run = World().start(definition)
    finish(run, "e", "b")
    run.work("g", NO)
    assert (run.execution.epoch, claimable(run)) == (2, ["g"])
    run.work("g")
    assert run.state == "COMPLETED"


def test_a_join_of_a_dynamic_fork_waits_again():
    definition = saga(
        dynamic("f", [undone("b", savepoint=True), undone("e")]),
        undone("g"),
        settings=AGAIN,
    )
    run = World().start(definition)
    finish(run, "b", "e")
    run.work("g", NO)
    assert (run.execution.epoch, claimable(run)) == (2, ["g"])
    run.work("g")
    assert run.state == "COMPLETED"


def test_a_failure_beside_is_taken_once_the_part_is_undone():
    definition = saga(
        undone("a"),
        fork("f", [undone("b", savepoint=True), undone("c"), undone("d")], [undone("e")]),
        settings=AGAIN,
    )
    run = World().start(definition)
    finish(run, "a", "b", "c")
    taken = next(step for step in run.claimable() if step.reference == "e")
    run.feed(Claimed(step_run_id=taken.id, worker="w"))
    run.work("d", NO)
    run.end(run.step("e"), NO)
    assert run.state == "COMPENSATING"
    undo(run, "c")

    # The other branch's failure finds no savepoint before it: all is undone.
    assert run.execution.outcome == "FAILED"
    while run.claimable():
        run.work(run.claimable()[0].reference)
    assert run.state == "COMPENSATED"
    assert set(run.ledger().values()) == {"COMPENSATED", "VOID"}


def test_a_savepoint_in_a_loop_goes_back_to_its_round():
    definition = saga(
        loop("l", [1, 2, 3], undone("b", savepoint=True), undone("c")),
        undone("g"),
        settings={**AGAIN, "maxRetries": 5},
    )
    run = World().start(definition)
    finish(run, "b", "c", "b")
    run.work("c", NO)
    assert (run.execution.epoch, claimable(run)) == (2, ["c"])
    assert run.step("c").position == "c@2"
    finish(run, "c", "b", "c")
    assert run.step("l").state == "COMPLETED"
    run.work("g", NO)
    # The loop had ended: it is open again in its last round.
    undo(run, "c")
    assert (run.execution.epoch, claimable(run)) == (3, ["c"])
    assert run.step("l").state == "WAITING"
    run.work("c")
    run.work("g")
    assert run.state == "COMPLETED"
    output = run.step("l").output or {}
    assert output["iteration"] == 3
    assert [sorted(output[str(number)]) for number in (1, 2, 3)] == [["b", "c"]] * 3


def test_an_effect_that_stays_forbids_going_forward_again():
    run = World().start(
        saga(
            undone("a"),
            undone("s", savepoint=True),
            undone("b"),
            work("c", retryCount=0),
            settings=AGAIN,
        )
    )
    finish(run, "a", "s", "b")
    run.work("c", NO)
    run.work("un_b", TERMINAL)
    assert run.state == "NEEDS_ATTENTION"
    run.feed(EntryActed(entry_id=run.step("b").id, action="SKIP", actor="op", reason="let it be"))
    # Not all after the savepoint is undone: the whole run goes back instead.
    finish(run, "un_s", "un_a")
    assert (run.state, run.execution.epoch) == ("PARTIALLY_COMPENSATED", 1)


def test_what_is_left_may_be_accepted():
    settings = {**AGAIN, "acceptPartial": True}
    run = World().start(saga(point(), undone("b"), work("c", retryCount=0), settings=settings))
    run.work("b")
    run.work("c", NO)
    run.work("un_b", TERMINAL)
    run.feed(EntryActed(entry_id=run.step("b").id, action="SKIP", actor="op", reason="let it be"))
    assert (run.state, run.execution.epoch, claimable(run)) == ("RUNNING", 2, ["b"])


def test_cancelled_while_a_part_is_undone():
    run = World().start(
        saga(undone("a", savepoint=True), undone("b"), work("c", retryCount=0), settings=AGAIN)
    )
    finish(run, "a", "b")
    run.work("c", NO)
    run.feed(Cancelled(compensate=True, actor="op", reason="enough"))
    undo(run, "b")
    assert (run.state, run.execution.outcome) == ("COMPENSATING", "TERMINATED")
    undo(run, "a")
    assert (run.state, run.execution.epoch) == ("COMPENSATED", 1)


def test_an_undo_asked_for_while_a_part_is_undone_stops_the_whole_run():
    """Invariant 11: what is in flight beside the part settles first."""
    definition = saga(
        undone("a"),
        fork("f", [undone("b", savepoint=True), undone("c"), undone("d")], [undone("e")]),
        settings=AGAIN,
    )
    run = World().start(definition)
    finish(run, "a", "b", "c")
    taken = next(step for step in run.claimable() if step.reference == "e")
    run.feed(Claimed(step_run_id=taken.id, worker="w"))
    run.work("d", NO)
    run.feed(UndoRequested(actor="op", reason="all of it"))
    run.feed(Cancelled(compensate=False, actor="op", reason="no, leave it"))
    undo(run, "c")
    assert run.state == "STOPPING"
    run.end(run.step("e"), Succeeded())
    while run.claimable():
        run.work(run.claimable()[0].reference)
    assert (run.state, run.execution.epoch) == ("COMPENSATED", 1)


def test_cancelled_before_the_retry():
    world = World()
    run = world.start(
        saga(
            undone("a", savepoint=True),
            work("c", retryCount=0),
            settings={**AGAIN, "retryDelaySeconds": 60},
        )
    )
    run.work("a")
    run.work("c", NO)
    run.feed(Cancelled(compensate=True, actor="op", reason="enough"))
    undo(run, "a")
    assert run.state == "COMPENSATED"
    assert not run.timers


def test_paused_runs_go_back_after_the_pause():
    world = World()
    run = world.start(saga(point(), undone("b"), settings={**AGAIN, "retryDelaySeconds": 10}))
    run.work("b", NO)
    run.feed(PauseSet(paused=True, actor="op"))
    world.pass_time(20)
    assert run.execution.epoch == 1
    run.feed(PauseSet(paused=False, actor="op"))
    assert (run.execution.epoch, claimable(run)) == (2, ["b"])


def test_a_deadline_goes_back_to_the_last_savepoint():
    world = World()
    definition = saga(
        undone("a", savepoint=True),
        work("b"),
        settings=AGAIN,
        timeoutSeconds=60,
        timeoutPolicy="TIME_OUT_WF",
    )
    run = world.start(definition)
    run.work("a")
    world.pass_time(60)
    assert (run.state, run.execution.epoch, claimable(run)) == ("RUNNING", 2, ["b"])
    world.pass_time(60)
    assert run.execution.outcome == "TIMED_OUT"
    undo(run, "a")
    assert run.state == "COMPENSATED"


def test_a_child_after_the_savepoint_is_undone_and_started_anew():
    world = World()
    world.register(saga(undone("x"), name="kid"))
    run = world.start(saga(point(), child("k", "kid"), work("c", retryCount=0), settings=AGAIN))
    kid = next(each for key, each in world.all.items() if each is not run)
    kid.work("x")
    world.settle()
    run.work("c", NO)
    world.settle()
    kid.work("un_x")
    world.settle()
    assert (kid.state, run.execution.epoch) == ("COMPENSATED", 2)
    assert len(world.all) == 3


def test_late_result_of_a_cut_step_changes_only_its_entry():
    run = World().start(
        saga(
            point(),
            undone("b", onUnknown=["COMPENSATE"]),
            settings={**AGAIN, "unknownSettleDelaySeconds": 0},
        )
    )
    step = next(step for step in run.claimable())
    run.feed(Claimed(step_run_id=step.id, worker="w"))
    run.end(run.runs[step.id], Unknown(reason="?"))
    undo(run, "b")
    assert run.execution.epoch == 2
    run.feed(AttemptEnded(step_run_id=step.id, attempt_id=step.attempt_id, outcome=Succeeded()))
    assert run.runs[step.id].entry_state == "LATE_EFFECT"
    assert claimable(run) == ["b"]
