"""How long a step can be undone, and what confirms it (saga-semantics §2.3, §10.4)."""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.engine.compensation import plan
from orchestrator.engine.outcomes import Failed, Succeeded, Unknown
from orchestrator.engine.snapshot import (
    Cancelled,
    Claimed,
    PauseSet,
    PlanRejected,
    UndoRequested,
    VariablesSet,
)
from orchestrator.engine.states import Direction, EntryState, ExecutionState, StepState
from tests.unit.engine.definitions import Document, fork, loop, saga, task, undone, work
from tests.unit.engine.driver import START, Run, World
from tests.unit.engine.player import Player

CONFIRM = Direction.CONFIRM
HOOK: Document = {"confirm": {"tasks": [task("ok_a")]}}
TWO: Document = {"confirm": {"tasks": [task("ok_a"), task("ok2_a")]}}


def completed(*tasks: Document, **keys: Any) -> Run:
    """Return a run of these steps, all of which succeeded."""
    run = World().start(saga(*tasks, **keys))
    for each in tasks:
        run.work(each["taskReferenceName"])
    return run


def confirms(run: Run) -> list[str]:
    return [step.reference for step in run.runs.values() if step.direction is CONFIRM]


def request(run: Run) -> None:
    run.feed(UndoRequested(actor="op", reason="undo it"))


def told(run: Run, kind: str) -> int:
    return len([event for event in run.events if event.type == kind])


# ---- closing ---------------------------------------------------------------------------------


def test_window_closes_after_the_run_has_ended_and_is_confirmed_once():
    run = completed(undone("a", window="P14D", **HOOK))
    assert (run.state, run.ledger()) == ("COMPLETED", {"a": "ARMED"})
    assert run.timers == {("WINDOW", run.step("a").id): START + timedelta(days=14)}

    run.world.pass_time(14 * 86400)
    assert (run.state, run.ledger()) == ("COMPLETED", {"a": "SEALED"})
    run.work("ok_a")
    run.world.pass_time(400 * 86400)

    assert confirms(run) == ["ok_a"]
    assert (told(run, "entry.sealed"), told(run, "entry.confirmed")) == (1, 1)
    assert run.timers == {}


def test_invariant_39_a_window_never_closes_early_and_still_closes_after_a_year():
    run = completed(undone("a", window="P365D", **HOOK))

    run.world.pass_time(365 * 86400 - 1)
    assert run.ledger() == {"a": "ARMED"}
    run.world.pass_time(1)

    assert run.ledger() == {"a": "SEALED"}


def test_window_counts_from_the_completion_of_its_own_step_run():
    body = undone("a", window="PT1H")
    run = World().start(saga(loop("l", [1, 2], body)))
    run.work("a")
    run.world.pass_time(1800)
    run.work("a")

    run.world.pass_time(1800)
    assert run.ledger() == {"a@1": "SEALED", "a@2": "ARMED"}
    run.world.pass_time(1800)

    assert run.ledger() == {"a@1": "SEALED", "a@2": "SEALED"}


def test_window_may_be_a_moment_that_the_output_names():
    until = (START + timedelta(hours=3)).isoformat()
    run = World().start(saga(undone("a", window="${a.output.until}")))

    run.work("a", Succeeded(output={"until": until}))

    assert run.timers == {("WINDOW", run.step("a").id): START + timedelta(hours=3)}


@pytest.mark.parametrize("until", [None, "later", 5])
def test_window_that_cannot_be_read_leaves_the_step_undoable(until: Any):
    run = World().start(saga(undone("a", window="${a.output.until}")))

    run.work("a", Succeeded(output={"until": until}))

    assert (run.ledger(), run.timers) == ({"a": "ARMED"}, {})
    assert told(run, "entry.window_unreadable") == 1


def test_invariant_40_a_change_of_variables_moves_a_window():
    until = "${workflow.variables.until}"
    run = World().start(saga(undone("a", window=until, **HOOK), work("b"), undone("c")))
    run.feed(VariablesSet(values={"until": _after(hours=2)}, actor="op"))
    run.work("a")
    key = ("WINDOW", run.step("a").id)

    for hours in (5, 3):
        run.feed(VariablesSet(values={"until": _after(hours=hours)}, actor="op"))
        assert run.timers == {key: START + timedelta(hours=hours)}
    run.feed(VariablesSet(values={"until": _after(hours=-1)}, actor="op"))

    assert (run.ledger()["a"], run.timers) == ("SEALED", {})
    assert confirms(run) == ["ok_a"]


def _after(**time: float) -> str:
    return (START + timedelta(**time)).isoformat()


def test_entry_of_unknown_outcome_is_not_sealed():
    steps = undone("a", window="PT1H", optional=True, **HOOK)
    run = World().start(saga(steps, work("b")))
    run.work("a", Unknown(reason="?"))

    run.world.pass_time(7200)

    assert (run.ledger(), confirms(run)) == ({"a": "UNCERTAIN"}, [])


# ---- plans -----------------------------------------------------------------------------------


def test_invariant_41_sealed_entries_are_in_no_plan():
    run = completed(undone("a", window="PT1H"), undone("b"))
    run.world.pass_time(3600)

    request(run)

    assert [entry["taskReferenceName"] for entry in run.plans[0].command.entries] == ["b"]
    run.work("un_b")
    assert (run.state, run.ledger()) == (
        "PARTIALLY_COMPENSATED",
        {"a": "SEALED", "b": "COMPENSATED"},
    )


def test_window_that_nobody_has_closed_in_time_counts_all_the_same():
    run = completed(undone("a", window="PT1H", **HOOK), undone("b"))
    run.world.now += timedelta(hours=2)
    preview = plan.make(run.runs, run.node, now=run.world.now)

    request(run)

    assert run.plans[0].command.hash == preview.hash
    assert run.ledger() == {"a": "SEALED", "b": "READY"}
    assert confirms(run) == ["ok_a"]


def test_entry_in_a_plan_is_not_sealed():
    run = completed(undone("a", window="PT1H", **HOOK), undone("b"))
    request(run)
    assert ("WINDOW", run.step("a").id) not in run.timers

    run.world.pass_time(7200)
    run.work("un_b")
    run.work("un_a")

    assert (run.state, confirms(run)) == ("COMPENSATED", [])


def test_run_that_fails_after_the_window_has_nothing_to_undo():
    run = World().start(saga(undone("a", window="PT1H"), work("b", retryCount=0)))
    run.work("a")
    run.world.pass_time(3600)

    run.work("b", Failed(reason="no", terminal=True))

    assert (run.state, run.ledger()) == ("FAILED", {"a": "SEALED"})


@pytest.mark.parametrize(("hours", "state"), [(1, "SEALED"), (0.5, "ARMED")])
def test_rejected_plan_gives_back_what_its_window_says(hours: float, state: str):
    steps = undone("a", window="PT1H", **HOOK)
    run = completed(steps, settings={"confirmPlan": "ALWAYS"})
    request(run)
    run.world.pass_time(hours * 3600)
    assert (run.state, run.ledger()) == ("PLANNING", {"a": "PLANNED"})

    run.feed(PlanRejected(hash=run.plans[0].command.hash, actor="ann", reason="no"))

    assert (run.state, run.ledger()) == ("COMPLETED", {"a": state})
    assert confirms(run) == (["ok_a"] if state == "SEALED" else [])
    if state == "ARMED":
        run.world.pass_time(1800)
        assert run.ledger() == {"a": "SEALED"}


# ---- confirming ------------------------------------------------------------------------------


def test_confirm_alone_waits_for_the_completion_of_the_run():
    run = World().start(saga(undone("a", **HOOK), work("b")))
    run.work("a")
    run.world.pass_time(400 * 86400)
    assert (run.ledger(), confirms(run)) == ({"a": "ARMED"}, [])

    run.work("b")

    assert (run.state, run.ledger(), confirms(run)) == ("COMPLETED", {"a": "SEALED"}, ["ok_a"])


def test_run_that_fails_confirms_nothing():
    run = World().start(saga(undone("a", **HOOK), work("b", retryCount=0)))
    run.work("a")
    run.work("b", Failed(reason="no", terminal=True))
    run.work("un_a")

    assert (run.state, confirms(run)) == ("COMPENSATED", [])


def test_many_entries_are_confirmed_some_at_a_time():
    rounds = 230
    run = World().start(saga(loop("l", list(range(rounds)), undone("a", **HOOK))))
    for _ in range(rounds):
        run.work("a")
    assert run.state == "COMPLETED"
    assert len(confirms(run)) == 100

    run.world.pass_time(0)
    run.world.pass_time(0)

    assert len(confirms(run)) == rounds
    assert set(run.ledger().values()) == {"SEALED"}
    assert run.timers == {}


def test_steps_of_a_hook_come_one_after_the_other():
    run = completed(undone("a", **TWO))
    assert confirms(run) == ["ok_a"]

    run.work("ok_a")
    run.work("ok2_a")

    assert (confirms(run), told(run, "entry.confirmed")) == (["ok_a", "ok2_a"], 1)


def test_hook_reads_the_snapshot_of_its_step_and_its_own_key():
    inputs = {"id": "${a.output.of}", "key": "${compensation.key}"}
    hook = {"confirm": {"tasks": [task("ok_a", inputParameters=inputs)]}}

    run = completed(undone("a", **hook))

    assert run.step("ok_a", CONFIRM).input == {"id": "a", "key": f"k:{run.step('a').id}"}


def test_hook_is_retried_as_an_undo_is_and_its_failure_is_told():
    retry = {"retry": {"maximumAttempts": 3, "initialIntervalSeconds": 4}}
    run = completed(undone("a", undo=retry, **HOOK))
    for _ in range(2):
        run.work("ok_a", Failed(reason="no"))
        assert run.step("ok_a", CONFIRM).state is StepState.RETRY_WAIT
        run.world.pass_time(16)

    run.work("ok_a", Unknown(reason="?"))

    assert (run.state, run.ledger()) == ("COMPLETED", {"a": "SEALED"})
    assert (told(run, "entry.confirm_failed"), run.step("a").undo_attempts) == (1, 0)


def test_hook_whose_worker_goes_away_is_tried_again():
    run = completed(undone("a", **HOOK))
    run.feed(Claimed(step_run_id=run.step("ok_a", CONFIRM).id, worker="w"))

    run.world.pass_time(100)

    assert run.step("ok_a", CONFIRM).state is StepState.RETRY_WAIT


def test_window_closes_while_paused_and_the_hook_waits_for_the_end_of_the_pause():
    inner = {"confirm": {"tasks": [task("set", "SET_VARIABLE", inputParameters={"ok": 1})]}}
    run = World().start(saga(undone("a", window="PT1H", **inner), work("b")))
    run.work("a")
    run.feed(PauseSet(paused=True, actor="op"))

    run.world.pass_time(3600)
    assert (run.ledger(), confirms(run)) == ({"a": "SEALED"}, [])
    run.feed(PauseSet(paused=False, actor="op"))

    assert (confirms(run), run.execution.variables) == (["set"], {"ok": 1})


def test_confirms_do_not_hold_up_the_run():
    run = World().start(saga(undone("a", window="PT1H", **HOOK), work("b")))
    run.work("a")
    run.world.pass_time(3600)
    run.feed(Claimed(step_run_id=run.step("ok_a", CONFIRM).id, worker="w"))

    run.work("b")
    assert run.state == "COMPLETED"
    run.end(run.step("ok_a", CONFIRM), Succeeded())

    assert told(run, "entry.confirmed") == 1


# ---- whatever happens ------------------------------------------------------------------------


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 2**32), st.integers(0, 80))
def test_invariants_39_and_41_hold_whatever_happens(seed: int, steps: int):
    """No plan has what is sealed, nothing is sealed early or in a plan, hooks begin once."""
    hours = [1, 3, 100]
    tasks = [
        undone(f"s{number}", window=f"PT{hour}H", confirm={"tasks": [task(f"ok{number}")]})
        for number, hour in enumerate(hours)
    ]
    tasks.append(undone("end", confirm={"tasks": [task("ok_end")]}))
    world = World()
    run = world.start(saga(tasks[0], fork("f", [tasks[1]], [tasks[2]]), tasks[3]))
    player = Player(world, Random(seed))  # noqa: S311 - a game, not a secret
    closes: dict[str, datetime] = {}
    for _ in range(steps):
        before = run.ledger()
        player.step()
        _check_windows(run, before, closes)
        if player.random.random() < 0.1:
            world.pass_time(1800)
        if player.random.random() < 0.05:
            run.feed(Cancelled(compensate=True, actor="op", reason=""))
    player.finish()
    assert len(confirms(run)) == len(set(confirms(run)))


def _check_windows(run: Run, before: dict[str, str], closes: dict[str, datetime]) -> None:
    for position, state in run.ledger().items():
        step = run.step(position)
        if state == EntryState.ARMED and step.entry_due_at is not None:
            closes.setdefault(position, step.entry_due_at)
        if state == EntryState.SEALED and before.get(position) != state:
            assert before.get(position) in (EntryState.ARMED, EntryState.TENTATIVE, None)
            is_over = closes.get(position, START) <= run.world.now
            assert is_over
            assert position != "end" or run.state is ExecutionState.COMPLETED
    for stored in run.plans:
        chosen = {entry["taskReferenceName"] for entry in stored.command.entries}
        sealed = {name for name, state in before.items() if state == EntryState.SEALED}
        assert stored.state != "ACTIVE" or not chosen & sealed
