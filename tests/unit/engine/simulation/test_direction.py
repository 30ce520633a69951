"""Savepoints, blocks and pivots in simulations (saga-semantics §11)."""

from typing import Any

from tests.unit.engine.definitions import saga, switch, task, undone
from tests.unit.engine.simulation.carried_out import references, scenario, simulated

HERE = task("here", "NOOP", savepoint=True)
TRYING = saga(
    undone("a"),
    HERE,
    undone("b"),
    undone("c"),
    settings={"onFailure": "FORWARD", "maxRetries": 2},
)


def epochs(row: dict[str, Any]) -> list[tuple[str, int]]:
    return [(entry["taskReferenceName"], entry["epoch"]) for entry in row["entries"]]


def test_run_goes_back_to_its_savepoint_as_often_as_it_may_and_then_undoes_all():
    row = scenario(simulated(TRYING), "c")

    assert [(each["taskReferenceName"], each["epoch"]) for each in row["returns"]] == [
        ("here", 2),
        ("here", 3),
    ]
    assert epochs(row) == [("b", 1), ("b", 2), ("b", 3), ("a", 1)]
    assert (row["finalState"], row["direction"]) == ("COMPENSATED", "BACKWARD")
    # One second before the first return, two before the second one.
    assert row["timeToUndone"]["atLeastSeconds"] == 3.0


def test_failure_that_does_not_persist_is_over_after_the_first_return():
    row = scenario(simulated(TRYING, persist=False), "c")

    assert [each["number"] for each in row["returns"]] == [1]
    assert references(row) == ["b"]
    assert (row["finalState"], row["direction"]) == ("COMPLETED", "FORWARD")


def test_optional_block_is_undone_and_left_behind():
    block = switch("s", "x", {"x": [undone("b1"), undone("b2")]}, saga={}, optional=True)

    row = scenario(simulated(saga(undone("a"), block, undone("z"))), "b2")

    assert references(row) == ["b1"]
    assert row["finalState"] == "COMPLETED"


PAST = saga(
    undone("a"),
    task("p", effect="PIVOT", retryCount=0),
    task("r", effect="RETRIABLE", retryCount=0),
    undone("z"),
)


def test_pivot_turns_the_direction():
    answer = simulated(PAST)

    before, after = scenario(answer, "p"), scenario(answer, "z")
    assert (references(before), before["direction"]) == (["a"], "BACKWARD")
    assert (references(after), after["direction"]) == ([], "FORWARD")
    assert after["finalState"] == "NEEDS_ATTENTION"
    assert [row["taskReferenceName"] for row in after["stays"]] == ["p", "r", "a"]


def test_retriable_step_past_a_pivot_is_tried_for_ever():
    row = scenario(simulated(PAST), "r")

    assert row["triedForEver"] == ["r"]
    assert (row["finalState"], row["direction"]) == ("RUNNING", "FORWARD")


def test_doubt_about_a_pivot_is_a_question():
    row = scenario(simulated(PAST), "p", "UNKNOWN")

    assert [question["question"] for question in row["questions"]] == ['Did "p" happen?']
    assert (row["finalState"], row["entries"]) == ("COMPLETED", [])


def test_run_past_a_pivot_is_not_stopped_by_hand():
    row = scenario(simulated(PAST), "r", "IN_FLIGHT")

    assert [question["kind"] for question in row["questions"]] == ["OVERRIDE"]
    assert (row["finalState"], row["entries"]) == ("RUNNING", [])


def test_what_the_definition_itself_undoes_is_no_part_of_a_scenario():
    back = task("back", "COMPENSATE", inputParameters={"step": "b"})

    answer = simulated(saga(undone("a"), undone("b"), back, undone("z")))

    assert references(scenario(answer, "z")) == ["a"]
    assert references(scenario(answer, "b")) == ["a"]
