"""Business times of undos in simulations (saga-semantics §10)."""

from typing import Any

import pytest

from tests.unit.engine.definitions import saga, task, undone
from tests.unit.engine.simulation.carried_out import references, scenario, simulated

PASSED = {"notAfter": {"at": "2025-12-01T00:00:00Z"}}


def failed(*tasks: dict[str, Any]) -> dict[str, Any]:
    """Return the scenario in which the last step fails."""
    return scenario(simulated(saga(*tasks, undone("z"))), "z")


def test_undo_that_may_not_come_before_a_moment_waits_for_it():
    lead = {"notBefore": {"at": "2026-01-03T00:00:00Z", "lead": "PT24H"}}

    row = failed(undone("a", undo=lead))

    assert references(row) == ["a"]
    assert row["timeToUndone"] == {"atLeastSeconds": 86400.0, "waitsForPeople": False}


@pytest.mark.parametrize(
    ("undo", "asked", "state"),
    [
        ({}, ["MANUAL"], "RESOLVED_MANUALLY"),
        ({"onWindowClosed": "SKIP_WITH_APPROVAL"}, ["APPROVAL"], "SKIPPED"),
        ({"onWindowClosed": "ALTERNATE", "alternate": [task("other")]}, [], "COMPENSATED"),
    ],
)
def test_undo_that_comes_too_late_goes_its_other_way(undo, asked, state):
    row = failed(undone("a", undo=PASSED | undo))

    told = [question["kind"] for question in row["questions"]]
    assert told + ["APPROVAL"] * len(row["approvals"]) == asked
    assert [entry["state"] for entry in row["entries"]] == [state]


def test_step_whose_window_has_closed_stays():
    two_hours = task("w", "WAIT", inputParameters={"duration": "2 hours"})

    row = failed(undone("a", window="PT1H"), two_hours)

    assert row["entries"] == []
    assert row["stays"][0]["why"] == "could not be undone any more"
