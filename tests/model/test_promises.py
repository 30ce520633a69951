"""The checks that the machine makes can fail: each is shown a moment that breaks its promise."""

import dataclasses
from typing import Any

import pytest

from tests.model import promises
from tests.model.paths import Place, Way
from tests.model.view import SeenEntry, SeenPlan, SeenRun, SeenStep


def place(ref: str) -> Place:
    """Place steps one after the other, by their letter."""
    return Place(turns=((Way.PART, ord(ref)),), ref=ref)


def moment(
    state: str = "RUNNING",
    *,
    steps: dict[str, str] | None = None,
    entries: dict[str, str] | None = None,
    **other: Any,
) -> SeenRun:
    """Show a run whose steps and entries stand in these states."""
    seen = {
        ref: SeenStep(ref, place(ref), 1, found, f"f:{ref}")
        for ref, found in (steps or dict.fromkeys(entries or {}, "COMPLETED")).items()
    }
    ledger = {
        ref: SeenEntry(ref, ref, place(ref), found, 0, 0, ref, "AUTOMATIC")
        for ref, found in (entries or {}).items()
    }
    given = {
        "outcome": None,
        "failure": None,
        "epoch": 1,
        "fence": 0,
        "paused": False,
        "plan": None,
        "plans": 0,
    }
    return SeenRun(state=state, steps=seen, entries=ledger, **given | other)


def plan(*entries: str, edges: tuple[tuple[str, str], ...] = ()) -> SeenPlan:
    """Show a plan in force."""
    return SeenPlan("p", "FAILURE", frozenset(entries), frozenset(edges), "hash")


def numbers(broken: list[str]) -> set[str]:
    """Return the numbers of what is broken."""
    return {sentence.partition(":")[0] for sentence in broken}


def test_a_sound_moment_breaks_nothing():
    run = moment(entries={"a": "ARMED", "b": "ARMED"})

    assert promises.at_rest(run) == []
    assert promises.from_to(run, run) == []


def test_invariant_02_two_entries_of_one_step_run_are_seen():
    run = moment(entries={"a": "ARMED"})
    twin = dataclasses.replace(run.entries["a"], id="again")
    run = dataclasses.replace(run, entries={**run.entries, "again": twin})

    assert "2" in numbers(promises.at_rest(run))


@pytest.mark.parametrize(
    ("step", "entry"), [("FAILED", "ARMED"), ("COMPLETED", "VOID"), ("UNKNOWN", "TENTATIVE")]
)
def test_invariant_03_an_entry_that_does_not_fit_its_step_is_seen(step: str, entry: str):
    assert "3" in numbers(promises.at_rest(moment(steps={"a": step}, entries={"a": entry})))


def test_invariant_03_a_snapshot_that_changes_is_seen():
    was = moment(entries={"a": "ARMED"})
    entry = dataclasses.replace(was.entries["a"], snapshot="other")

    assert "3" in numbers(promises.from_to(was, dataclasses.replace(was, entries={"a": entry})))


@pytest.mark.parametrize(
    ("first", "then"),
    [("COMPENSATED", "PLANNED"), ("VOID", "ARMED"), ("RESOLVED_MANUALLY", "READY")],
)
def test_invariant_05_a_settled_entry_that_moves_is_seen(first: str, then: str):
    was, now = moment(entries={"a": first}), moment(entries={"a": then})

    assert "5" in numbers(promises.from_to(was, now))


def test_invariant_07_a_plan_in_a_circle_is_seen():
    run = moment(
        "COMPENSATING",
        entries={"a": "PLANNED", "b": "PLANNED"},
        plan=plan("a", "b", edges=(("a", "b"), ("b", "a"))),
    )

    assert "7" in numbers(promises.at_rest(run))


def test_invariant_08_an_undo_that_does_not_wait_is_seen():
    run = moment(
        "COMPENSATING",
        entries={"a": "RUNNING", "b": "PLANNED"},
        plan=plan("a", "b", edges=(("a", "b"),)),
    )

    assert "8" in numbers(promises.at_rest(run))


def test_invariant_11_a_plan_beside_a_step_in_flight_is_seen():
    run = moment(
        "COMPENSATING",
        steps={"a": "COMPLETED", "b": "DISPATCHED"},
        entries={"a": "PLANNED"},
        plan=plan("a"),
    )

    assert "11" in numbers(promises.at_rest(run))


@pytest.mark.parametrize("left", ["SKIPPED", "ARMED", "SEALED", "RESOLVED_MANUALLY"])
def test_invariant_15_a_run_that_calls_itself_compensated_too_early_is_seen(left: str):
    run = moment("COMPENSATED", entries={"a": left, "b": "COMPENSATED"})

    assert "15" in numbers(promises.at_rest(run))


@pytest.mark.parametrize("open_", sorted(promises.BLOCKS_THE_END))
def test_invariant_16_a_run_that_ends_over_an_open_entry_is_seen(open_: str):
    assert "16" in numbers(promises.at_rest(moment("FAILED", entries={"a": open_})))


def test_invariant_18_a_partial_end_with_nothing_left_is_seen():
    run = moment("PARTIALLY_COMPENSATED", entries={"a": "COMPENSATED"})

    assert "18" in numbers(promises.at_rest(run))


def test_invariant_21_an_outcome_that_undo_overwrites_is_seen():
    was = moment("COMPENSATING", outcome="FAILED", failure={"message": "no"})
    now = moment("COMPENSATED", outcome="COMPLETED", failure=None)

    assert "21" in numbers(promises.from_to(was, now))


def test_invariant_22_a_dispatch_while_stopping_is_seen():
    was = moment("STOPPING", steps={"a": "SCHEDULED"})
    now = moment("STOPPING", steps={"a": "DISPATCHED"})

    assert "22" in numbers(promises.from_to(was, now))


@pytest.mark.parametrize("change", [{"plans": 1}, {"epoch": 2}, {"state": "STOPPING"}])
def test_invariant_22_an_old_fence_is_seen(change: dict[str, Any]):
    was = moment(entries={})

    assert "22" in numbers(promises.from_to(was, dataclasses.replace(was, **change)))


def test_invariant_23_a_plan_that_reaches_over_the_pivot_is_seen():
    was = moment(entries={"a": "ARMED", "c": "ARMED"})
    now = moment("COMPENSATING", entries={"a": "PLANNED", "c": "PLANNED"}, plan=plan("a", "c"))

    broken = list(promises.pivot_guard(place("b"), was, now))

    assert [sentence[:2] for sentence in broken] == ["23"]


def test_invariant_25_a_planned_undo_that_is_dropped_is_seen():
    was, now = moment("COMPENSATING", entries={"a": "READY"}), moment(entries={"a": "ARMED"})

    assert "25" in numbers(promises.from_to(was, now))


def test_invariant_26_a_key_that_comes_back_is_seen():
    was = moment(steps={"a": "FAILED"})
    again = SeenStep("a2", place("a"), 2, "SCHEDULED", "f:a")
    now = dataclasses.replace(was, epoch=2, fence=1, steps={**was.steps, "a2": again})

    assert "26" in numbers(promises.from_to(was, now))


def test_invariant_37_an_undo_that_is_done_without_a_try_is_seen():
    was = moment("COMPENSATING", entries={"a": "RETRY_WAIT"})

    broken = promises.from_to(was, moment("COMPENSATED", entries={"a": "COMPENSATED"}))

    assert "37" in numbers(broken)
