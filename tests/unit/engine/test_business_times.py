"""When an undo may be sent: `notBefore`, `notAfter` and what moves them (§10.2, §10.3)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.engine.outcomes import Failed, Succeeded, Unknown
from orchestrator.engine.snapshot import (
    Claimed,
    EntryActed,
    PauseSet,
    UndoRequested,
    VariablesSet,
    VerdictReached,
)
from orchestrator.engine.states import Direction, StepState
from tests.unit.engine.definitions import Document, saga, task, undone
from tests.unit.engine.driver import START, Run, World

UNDO = Direction.COMPENSATION
AT = "${workflow.variables.at}"
ALTERNATE = {"onWindowClosed": "ALTERNATE", "alternate": [task("fee_a")]}
SKIP = {"onWindowClosed": "SKIP_WITH_APPROVAL"}


def after(**time: float) -> str:
    """Return the moment that far from the start of the world, as text."""
    return (START + timedelta(**time)).isoformat()


def undoing(
    undo: Document, *, world: World | None = None, variables: Document | None = None
) -> Run:
    """Return a completed run of `p` and `a` that is being undone from the end."""
    document = saga(undone("p"), undone("a", undo=undo), variables=variables or {})
    run = (world or World()).start(document)
    run.work("p")
    run.work("a", Succeeded(output={"at": after(hours=5)}))
    run.feed(UndoRequested(actor="op", reason="undo it"))
    return run


def timers(run: Run, *purposes: str) -> dict[str, datetime]:
    """Return the live timers of the entry `a`."""
    key = run.step("a").id
    return {name: due for (name, subject), due in run.timers.items() if subject == key}


def sent(run: Run, reference: str = "un_a") -> bool:
    return any(
        step.reference == reference and step.state is StepState.SCHEDULED
        for step in run.runs.values()
    )


def set_at(run: Run, moment: Any) -> None:
    run.feed(VariablesSet(values={"at": moment}, actor="op"))


def verdict(run: Run, said: str) -> None:
    entry = run.step("a")
    assert entry.approval_id is not None
    run.feed(
        VerdictReached(entry_id=entry.id, approval_id=entry.approval_id, verdict=said, actor="ann")
    )


# ---- not before ------------------------------------------------------------------------------


def test_undo_waits_for_its_time_and_is_sent_then():
    run = undoing({"notBefore": {"at": after(hours=2)}})

    assert run.ledger() == {"p": "PLANNED", "a": "DELAYED"}
    assert run.step("a").entry_due_at == START + timedelta(hours=2)
    assert timers(run) == {"ENTRY": START + timedelta(hours=2)}
    run.world.pass_time(7199)
    assert run.ledger()["a"] == "DELAYED"
    run.world.pass_time(1)
    assert run.ledger()["a"] == "READY"
    run.work("un_a")
    run.work("un_p")

    assert run.state == "COMPENSATED"
    assert run.timers == {}


def test_undo_whose_time_is_over_goes_at_once():
    run = undoing({"notBefore": {"at": after(hours=-1)}})

    assert run.ledger()["a"] == "READY"
    assert sent(run)
    assert timers(run) == {}


def test_lead_is_elapsed_time_before_an_event_the_output_names():
    run = undoing({"notBefore": {"at": "${a.output.at}", "lead": "PT2H"}})

    assert run.step("a").entry_due_at == START + timedelta(hours=3)


def test_approval_comes_before_the_delay():
    run = undoing({"notBefore": {"at": after(hours=2)}, "policy": "APPROVAL"})
    assert run.ledger()["a"] == "AWAITING_APPROVAL"

    verdict(run, "APPROVED")

    assert run.ledger()["a"] == "DELAYED"
    run.world.pass_time(7200)
    assert run.ledger()["a"] == "READY"
    assert sent(run)


@pytest.mark.parametrize("reads", [AT, "${compensation.variables.at}"])
def test_invariant_40_moving_the_business_time_moves_the_one_timer(reads: str):
    run = undoing({"notBefore": {"at": reads}}, variables={"at": after(hours=2)})

    for hours in (5, 1, 3):
        set_at(run, after(hours=hours))
        assert timers(run) == {"ENTRY": START + timedelta(hours=hours)}
        assert run.step("a").entry_due_at == START + timedelta(hours=hours)

    set_at(run, after(hours=-1))
    assert sent(run)
    assert timers(run) == {}


def test_time_that_moves_away_holds_back_what_nobody_has_taken_yet():
    run = undoing({"notBefore": {"at": AT}}, variables={"at": after(hours=-1)})
    assert sent(run)

    set_at(run, after(hours=1))
    undo = run.step("un_a", UNDO)
    refused = run.feed(Claimed(step_run_id=undo.id, worker="w"))

    assert (refused.claimed, run.ledger()["a"]) == ((), "READY")
    assert undo.id in refused.refused
    assert timers(run) == {"ENTRY": START + timedelta(hours=1)}
    run.world.pass_time(3600)
    run.work("un_a")
    assert run.ledger()["a"] == "COMPENSATED"


def test_time_that_moves_does_not_disturb_an_undo_in_flight():
    run = undoing({"notBefore": {"at": AT}}, variables={"at": after(hours=-1)})
    undo = run.step("un_a", UNDO)
    run.feed(Claimed(step_run_id=undo.id, worker="w"))

    set_at(run, after(hours=1))

    assert run.ledger()["a"] == "RUNNING"
    run.end(run.runs[undo.id], Succeeded())
    assert run.ledger()["a"] == "COMPENSATED"


@pytest.mark.parametrize("moment", [None, "soon", 5, "2026-13-01", {"at": 1}])
def test_time_that_is_missing_or_none_refuses_the_undo_before_it_is_sent(moment: Any):
    run = undoing({"notBefore": {"at": AT}}, variables={"at": moment})

    entry = run.step("a")
    assert (run.ledger()["a"], run.state) == ("COMPENSATION_FAILED", "NEEDS_ATTENTION")
    assert entry.entry_reason.startswith("notBefore: ")
    assert not sent(run)


def test_time_that_was_missing_holds_the_undo_that_an_operator_retries():
    run = undoing({"notBefore": {"at": AT}}, variables={})
    set_at(run, after(hours=1))

    run.feed(EntryActed(entry_id=run.step("a").id, action="RETRY", actor="ann", reason="now set"))

    assert (run.ledger()["a"], sent(run)) == ("READY", False)
    assert timers(run) == {"ENTRY": START + timedelta(hours=1)}
    run.world.pass_time(3600)
    run.work("un_a")
    assert run.ledger()["a"] == "COMPENSATED"


def test_time_that_becomes_unreadable_refuses_a_delayed_undo():
    run = undoing({"notBefore": {"at": AT}}, variables={"at": after(hours=1)})

    set_at(run, None)

    assert run.ledger()["a"] == "COMPENSATION_FAILED"
    assert timers(run) == {}


def test_undo_of_an_unknown_outcome_waits_for_the_later_of_both_times():
    settings = {"unknownSettleDelaySeconds": 60}
    undo = {"notBefore": {"at": after(seconds=30)}}
    run = World().start(saga(undone("a", undo=undo), settings=settings))

    run.work("a", Unknown(reason="?"))

    assert run.ledger()["a"] == "DELAYED"
    assert run.step("a").entry_due_at == START + timedelta(seconds=60)
    assert timers(run) == {"ENTRY": START + timedelta(seconds=60)}


def test_wall_time_in_a_zone_is_looked_at_every_week():
    world = World()
    undo = {"notBefore": {"at": "2026-02-01T12:00:00", "zone": "Europe/Vienna"}}
    run = undoing(undo, world=world)
    due = datetime(2026, 2, 1, 11, tzinfo=UTC)
    assert run.step("a").entry_due_at == due

    for _ in range(4):
        looks = timers(run)["ENTRY"]
        assert looks == min(world.now + timedelta(days=7), due)
        world.pass_time((looks - world.now).total_seconds())
        assert run.ledger()["a"] == "DELAYED"
    world.pass_time((due - world.now).total_seconds())

    assert run.ledger()["a"] == "READY"


def test_undo_that_comes_due_while_paused_is_sent_at_the_end_of_the_pause():
    run = undoing({"notBefore": {"at": after(hours=1)}})
    run.feed(PauseSet(paused=True, actor="op"))

    run.world.pass_time(3600)
    assert (run.ledger()["a"], sent(run)) == ("READY", False)
    run.feed(PauseSet(paused=False, actor="op"))

    assert sent(run)


# ---- not after -------------------------------------------------------------------------------


def test_undo_that_nobody_took_in_time_is_left_to_a_person():
    run = undoing({"notAfter": {"at": after(hours=1)}})
    assert timers(run) == {"NOT_AFTER": START + timedelta(hours=1)}

    run.world.pass_time(3600)

    entry = run.step("a")
    assert (run.ledger()["a"], run.state) == ("MANUAL", "NEEDS_ATTENTION")
    assert "notAfter passed" in entry.entry_reason
    assert run.step("un_a", UNDO).state is StepState.CANCELLED
    assert timers(run) == {}
    assert run.execution.frontier["undo"]["flight"] == 0


def test_undo_that_was_tried_and_came_back_too_late_is_not_sent_another_way():
    undo = {"notAfter": {"at": after(hours=1)}, "retry": {"maximumAttempts": 1}, **ALTERNATE}
    run = undoing(undo)
    run.work("un_a", Failed(reason="no"))
    run.world.pass_time(3600)
    assert run.ledger()["a"] == "COMPENSATION_FAILED"

    run.feed(EntryActed(entry_id=run.step("a").id, action="RETRY", actor="ann", reason="again"))

    assert run.ledger()["a"] == "MANUAL"


def test_undo_in_flight_is_never_interrupted():
    run = undoing({"notAfter": {"at": after(hours=1)}})
    undo = run.step("un_a", UNDO)
    run.feed(Claimed(step_run_id=undo.id, worker="w"))

    run.world.now += timedelta(hours=2)
    run.fire()

    assert run.ledger()["a"] in ("RUNNING", "RETRY_WAIT")


def test_other_undo_is_sent_when_it_is_too_late_for_the_first():
    run = undoing({"notAfter": {"at": after(hours=1)}, **ALTERNATE})

    run.world.pass_time(3600)

    assert (run.ledger()["a"], sent(run), sent(run, "fee_a")) == ("READY", False, True)
    run.work("fee_a")
    run.work("un_p")
    assert (run.state, run.timers) == ("COMPENSATED", {})


def test_other_undo_needs_an_approval_of_its_own():
    undo = {"notAfter": {"at": after(hours=1)}, "policy": "APPROVAL", **ALTERNATE}
    run = undoing(undo)
    first = run.step("a").approval_id
    run.world.pass_time(3600)
    assert (run.ledger()["a"], run.step("a").approval_id) == ("AWAITING_APPROVAL", first)

    verdict(run, "APPROVED")

    second = run.step("a").approval_id
    assert run.ledger()["a"] == "AWAITING_APPROVAL"
    assert second not in (None, first)
    assert run.approvals[str(second)].endpoint == "fee_a"
    verdict(run, "APPROVED")
    run.work("fee_a")
    assert run.ledger()["a"] == "COMPENSATED"


def test_keys_of_both_undos_differ():
    key = {"key": "${compensation.key}"}
    undo = {
        "tasks": [task("un_a", inputParameters=key)],
        "notAfter": {"at": after(hours=1)},
        "onWindowClosed": "ALTERNATE",
        "alternate": [task("fee_a", inputParameters=key)],
    }
    run = undoing(undo)
    run.world.pass_time(3600)

    entry = run.step("a").id
    assert run.step("un_a", UNDO).input == {"key": f"c:{entry}:r0"}
    assert run.step("fee_a", UNDO).input == {"key": f"c:{entry}:r0:fee_a"}


@pytest.mark.parametrize(
    ("said", "becomes"), [("APPROVED", "SKIPPED"), ("SKIP", "SKIPPED"), ("MANUAL", "MANUAL")]
)
def test_people_are_asked_to_leave_what_is_too_late(said: str, becomes: str):
    run = undoing({"notAfter": {"at": after(hours=1)}, **SKIP})

    run.world.pass_time(3600)
    entry = run.step("a")
    asked = run.approvals[str(entry.approval_id)]
    assert run.ledger()["a"] == "AWAITING_APPROVAL"
    assert "too late to undo" in asked.approval["instructions"]
    verdict(run, said)

    assert run.ledger()["a"] == becomes
    assert not sent(run)


def test_silence_never_skips_what_is_too_late():
    run = undoing({"notAfter": {"at": after(hours=1)}, **SKIP})

    run.world.pass_time(400 * 86400)

    assert run.ledger()["a"] == "AWAITING_APPROVAL"


def test_undo_that_is_too_late_from_the_start_asks_nobody_to_approve_it():
    run = undoing({"notAfter": {"at": after(hours=-1)}, "policy": "APPROVAL"})

    assert (run.ledger()["a"], run.approvals) == ("MANUAL", {})


def test_moving_the_end_moves_its_timer_and_lets_the_undo_live():
    run = undoing({"notAfter": {"at": AT}}, variables={"at": after(hours=1)})

    set_at(run, after(hours=3))
    assert timers(run) == {"NOT_AFTER": START + timedelta(hours=3)}
    run.world.pass_time(7200)
    assert run.ledger()["a"] == "READY"
    set_at(run, after(hours=1))

    assert run.ledger()["a"] == "MANUAL"
    assert run.step("un_a", UNDO).state is StepState.CANCELLED


def test_end_that_comes_while_delayed_closes_the_undo():
    run = undoing({"notBefore": {"at": after(hours=2)}, "notAfter": {"at": after(hours=1)}})
    assert timers(run) == {
        "ENTRY": START + timedelta(hours=2),
        "NOT_AFTER": START + timedelta(hours=1),
    }

    run.world.pass_time(3600)

    assert run.ledger()["a"] == "MANUAL"
    assert timers(run) == {}


def test_undo_by_hand_is_bound_to_no_time():
    run = undoing({"notAfter": {"at": after(hours=-1)}, "policy": "MANUAL"})

    assert (run.ledger()["a"], timers(run)) == ("MANUAL", {})


# ---- the deadline of the undo ----------------------------------------------------------------


def test_deadline_of_the_undo_alarms_once_and_stops_nothing():
    settings = {"compensationDeadlineSeconds": 60}
    run = World().start(saga(undone("a"), settings=settings))
    run.work("a")
    run.feed(UndoRequested(actor="op", reason="undo it"))
    assert run.timers["DEADLINE", ""] == START + timedelta(seconds=60)

    run.world.pass_time(400)

    alarms = [event for event in run.events if event.type == "plan.deadline_passed"]
    assert [alarm.data["left"] for alarm in alarms] == [1]
    assert "overdue" in run.execution.frontier["undo"]
    run.work("un_a")
    assert (run.state, run.timers) == ("COMPENSATED", {})


def test_undo_in_time_raises_no_alarm():
    run = World().start(saga(undone("a")))
    run.work("a")
    run.feed(UndoRequested(actor="op", reason="undo it"))
    run.work("un_a")

    run.world.pass_time(2 * 86400)

    assert not [event for event in run.events if event.type == "plan.deadline_passed"]


# ---- whatever happens ------------------------------------------------------------------------

HOURS = st.integers(-48, 400)
MOVES = st.lists(
    st.one_of(
        st.tuples(st.just("pass"), st.integers(1, 200)),
        st.tuples(st.just("first"), HOURS),
        st.tuples(st.just("last"), HOURS),
        st.tuples(st.just("pause"), st.booleans()),
        st.tuples(st.just("claim"), st.none()),
    ),
    max_size=20,
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(HOURS, HOURS, MOVES)
def test_invariants_39_and_40_hold_whatever_moves(first: int, last: int, moves: list[Any]):
    undo = {
        "notBefore": {"at": "${workflow.variables.first}", "zone": "Europe/Vienna"},
        "notAfter": {"at": "${workflow.variables.last}"},
    }
    times = {"first": first, "last": last}
    run = undoing(undo, variables={name: after(hours=hours) for name, hours in times.items()})
    for move, value in moves:
        if move == "pass":
            run.world.pass_time(value * 3600)
        elif move in times:
            times[move] = value
            run.feed(VariablesSet(values={move: after(hours=value)}, actor="op"))
        elif move == "pause":
            run.feed(PauseSet(paused=value, actor="op"))
        else:
            _claim(run, times)
        _check_times(run, times)


def _claim(run: Run, times: dict[str, int]) -> None:
    """Take whatever undo can be taken: never before its time, never after it."""
    now = run.world.now
    for step in run.claimable():
        claimed = run.feed(Claimed(step_run_id=step.id, worker="w")).claimed
        if claimed and step.reference == "un_a":
            assert START + timedelta(hours=times["first"]) <= now
            assert now < START + timedelta(hours=times["last"])


def _check_times(run: Run, times: dict[str, int]) -> None:
    now, set_now = run.world.now, timers(run)
    if run.ledger()["a"] == "DELAYED":
        assert set_now == {name: START + timedelta(hours=times[key]) for name, key in _ROWS}
        assert now < set_now["ENTRY"]
        assert now < set_now["NOT_AFTER"]
    if run.ledger()["a"] in ("MANUAL", "COMPENSATED"):
        assert set_now == {}


_ROWS = (("ENTRY", "first"), ("NOT_AFTER", "last"))
