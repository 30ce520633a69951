"""What the simulator tells of each failure: order, people, what stays (saga-semantics §14)."""

from typing import Any

from orchestrator.engine.commands import Question
from orchestrator.engine.simulation.setup import Limits
from orchestrator.engine.snapshot import Answer
from tests.unit.engine.definitions import (
    child,
    dynamic,
    fork,
    loop,
    plain,
    saga,
    switch,
    task,
    undone,
    work,
)
from tests.unit.engine.simulation.carried_out import pair, references, scenario, simulated

APPROVAL: dict[str, Any] = {"policy": "APPROVAL", "approval": {"groups": ["finance"], "quorum": 2}}


def mail(reference: str = "mail") -> dict[str, Any]:
    return task(reference, effect="IRREVERSIBLE", retryCount=0)


def keyed(answer: dict[str, Any], outcome: str = "FAILED") -> dict[str, list[str]]:
    """Return the plan of each single failure by where it fails."""
    return {
        row["failureAt"]: references(row)
        for row in answer["scenarios"]
        if row["outcome"] == outcome and row["also"] is None
    }


def test_single_failures_come_first_in_order_of_the_definition():
    answer = simulated(saga(undone("a"), fork("f", [undone("b")], [undone("c")]), undone("d")))

    told = [(row["failureAt"], row["outcome"]) for row in answer["scenarios"] if not row["also"]]
    assert told == [
        *((reference, outcome) for reference in "abcd" for outcome in ("FAILED", "UNKNOWN")),
        *((reference, "IN_FLIGHT") for reference in "abcd"),
    ]
    assert all(row["also"] for row in answer["scenarios"][len(told) :])


def test_sequence_is_undone_backwards_and_a_failed_step_is_not_in_its_plan():
    answer = simulated(saga(undone("a"), mail(), undone("b", undo=APPROVAL), undone("c")))

    assert keyed(answer) == {"a": [], "mail": ["a"], "b": ["a"], "c": ["b", "a"]}
    assert scenario(answer, "c")["cannotBeUndone"] == ["mail"]
    assert scenario(answer, "mail")["cannotBeUndone"] == []
    (asked,) = scenario(answer, "c")["approvals"]
    assert (asked["taskReferenceName"], asked["groups"], asked["quorum"]) == ("b", ["finance"], 2)
    assert scenario(answer, "mail")["approvals"] == []
    assert scenario(answer, "a")["finalState"] == "FAILED"
    assert scenario(answer, "c")["finalState"] == "COMPENSATED"
    assert [row["taskReferenceName"] for row in scenario(answer, "c")["stays"]] == ["mail"]


def test_order_inside_forks_and_loops():
    forked = saga(undone("a"), fork("f", [undone("b1"), undone("b2")], [undone("c1")]), undone("d"))
    looped = saga(undone("a"), loop("l", [1, 2], [undone("x"), undone("y")]), undone("z"))

    row = scenario(simulated(forked), "d")
    waits = {entry["taskReferenceName"]: entry["waitsFor"] for entry in row["entries"]}
    assert waits == {"b2": [], "c1": [], "b1": ["b2"], "a": ["b1", "c1"]}
    assert [
        (entry["taskReferenceName"], entry["iteration"])
        for entry in scenario(simulated(looped), "z")["entries"]
    ] == [("y", 2), ("x", 2), ("y", 1), ("x", 1), ("a", 0)]


def test_rounds_of_a_loop_are_failed_one_by_one_up_to_a_limit():
    answer = simulated(saga(loop("l", list(range(6)), [undone("x")])))

    rounds = [
        row["iteration"]
        for row in answer["scenarios"]
        if row["outcome"] == "FAILED" and row["also"] is None
    ]
    assert rounds == [1, 2, 6]
    assert answer["cut"] == ["3 more rounds or steps are like those that were failed."]


def test_branches_that_the_input_does_not_take_are_played_too():
    switched = switch(
        "s", "x", {"x": [undone("x1")], "y": [undone("y1")]}, defaultCase=[undone("other")]
    )
    answer = simulated(saga(undone("a"), switched, undone("z")))

    assert keyed(answer) == {"a": [], "x1": ["a"], "y1": ["a"], "other": ["a"], "z": ["x1", "a"]}
    assert scenario(answer, "y1")["branches"] == {"s": "y"}
    assert scenario(answer, "z")["branches"] == {}
    assert answer["notReached"] == []


def test_step_behind_the_end_of_the_run_is_told_as_not_reached():
    end = task("end", "TERMINATE", inputParameters={"terminationStatus": "COMPLETED"})
    answer = simulated(saga(undone("a"), end, undone("never")))

    assert answer["notReached"] == ["never"]
    assert answer["path"]["finalState"] == "COMPLETED"


def test_child_is_undone_inside_the_plan_of_its_parent():
    kid = saga(undone("k1"), undone("k2"), name="kid")
    answer = simulated(saga(undone("a"), child("sub", "kid"), undone("d")), kid)

    assert keyed(answer) == {
        "a": [],
        "k1": ["a"],
        "k2": ["k1", "a"],
        "d": ["k2", "k1", "sub", "a"],
    }
    assert scenario(answer, "k2")["within"] == ["sub"]
    assert scenario(answer, "k2")["workflowName"] == "kid"
    assert scenario(answer, "d")["stays"] == []


def test_black_box_child_is_undone_as_a_whole():
    kid = saga(undone("k1"), mail("letter"), name="kid")
    box = {"tasks": [task("un_sub")], "safeIfNotApplied": True}
    answer = simulated(saga(child("sub", "kid", compensation=box), undone("d")), kid)

    row = scenario(answer, "d")
    assert references(row) == ["sub"]
    assert row["stays"] == []


def test_branches_of_a_dynamic_fork_are_failed_in_pairs():
    answer = simulated(saga(dynamic("f", [undone("p"), undone("q")])))

    assert keyed(answer) == {"p": ["q"], "q": ["p"]}
    assert references(pair(answer, "p", "FAILED", "q", "FAILED")) == []
    assert references(pair(answer, "p", "FAILED", "q", "UNKNOWN")) == ["q"]


def test_step_in_flight_when_another_one_fails_is_waited_for_and_then_undone():
    definition = saga(
        fork("f", [undone("p")], [undone("q")]), settings={"quiesceTimeoutSeconds": 7}
    )
    answer = simulated(definition)

    row = pair(answer, "p", "FAILED", "q", "IN_FLIGHT")
    assert references(row) == ["q"]
    assert row["entries"][0]["outcome"] == "UNKNOWN"
    # The time to be quiet, then the time until an undo of an unknown outcome may be called.
    assert row["timeToUndone"] == {"atLeastSeconds": 37.0, "waitsForPeople": False}


def test_step_in_flight_alone_is_one_at_which_the_run_is_stopped_by_hand():
    row = scenario(simulated(saga(undone("a"), undone("b"))), "b", "IN_FLIGHT")

    assert references(row) == ["b", "a"]
    assert row["runOutcome"] == "TERMINATED"
    assert row["finalState"] == "COMPENSATED"


def test_no_pairs_where_the_run_ends_with_the_first_failure():
    answer = simulated(saga(undone("a"), undone("b")))

    assert [row for row in answer["scenarios"] if row["also"]] == []


def test_steps_after_each_other_are_a_pair_where_the_run_goes_on():
    answer = simulated(saga(undone("a"), undone("b", optional=True), undone("c")))

    assert scenario(answer, "b")["finalState"] == "COMPLETED"
    assert scenario(answer, "b")["direction"] == "FORWARD"
    assert references(pair(answer, "b", "FAILED", "c", "FAILED")) == ["a"]
    assert references(pair(answer, "b", "UNKNOWN", "c", "FAILED")) == ["b", "a"]


def test_unknown_outcome_that_nothing_settles_is_a_question_to_a_person():
    answer = simulated(saga(undone("a"), undone("b", undo={"safeIfNotApplied": False})))

    row = scenario(answer, "b", "UNKNOWN")
    (question,) = row["questions"]
    assert (question["kind"], question["taskReferenceName"]) == ("OUTCOME", "b")
    assert (question["question"], question["assumed"]) == ('Did "b" happen?', "it happened")
    assert references(row) == ["b", "a"]
    assert row["timeToUndone"]["waitsForPeople"]


def test_probe_is_believed():
    probed = undone("b", probe=task("look"))
    told = {"look": {"applied": False}}

    row = scenario(simulated(saga(undone("a"), probed), mocks=told), "b", "UNKNOWN")

    assert references(row) == ["a"]
    assert row["questions"] == []


def test_undo_that_has_to_wait_makes_the_time_longer():
    definition = saga(undone("a"), undone("b"), settings={"unknownSettleDelaySeconds": 90})

    row = scenario(simulated(definition), "b", "UNKNOWN")

    assert row["timeToUndone"] == {"atLeastSeconds": 90.0, "waitsForPeople": False}


def test_retries_of_the_failing_step_count_into_the_time():
    policy = {"name": "b", "retryCount": 2, "retryLogic": "FIXED", "retryDelaySeconds": 10}
    answer = simulated(saga(undone("a"), undone("b", retryCount=2, taskDefinition=policy)))

    assert scenario(answer, "b")["timeToUndone"]["atLeastSeconds"] == 20.0


def test_manual_undo_is_a_question_and_stays():
    answer = simulated(saga(undone("a", undo={"policy": "MANUAL"}), undone("b")))

    row = scenario(answer, "b")
    assert [question["kind"] for question in row["questions"]] == ["MANUAL"]
    assert row["finalState"] == "PARTIALLY_COMPENSATED"
    assert row["stays"][0]["why"] == "was undone by a person, outside the engine"


def test_definition_that_asks_is_answered_with_undo():
    answer = simulated(saga(undone("a"), undone("b"), settings={"onFailure": "ASK"}))

    row = scenario(answer, "b")
    assert [question["kind"] for question in row["questions"]] == ["DIRECTION"]
    assert references(row) == ["a"]


def test_plan_that_a_person_starts_is_started_and_told():
    answer = simulated(saga(undone("a"), undone("b"), settings={"confirmPlan": "ALWAYS"}))

    row = scenario(answer, "b")
    assert [question["question"] for question in row["questions"]] == ["Start the undo?"]
    assert row["finalState"] == "COMPENSATED"


def test_definition_that_undoes_nothing_leaves_everything():
    answer = simulated(saga(undone("a"), undone("b"), settings={"onFailure": "NONE"}))

    row = scenario(answer, "b")
    assert (row["entries"], row["finalState"], row["direction"]) == ([], "FAILED", "NONE")
    assert [left["taskReferenceName"] for left in row["stays"]] == ["a"]


def test_waits_people_and_timers_take_no_real_time():
    hour = task("hour", "WAIT", inputParameters={"duration": "1 hours"})
    signal = task("signal", "WAIT")
    answer = simulated(saga(undone("a"), hour, signal, task("form", "HUMAN"), undone("z")))

    assert answer["path"]["finalState"] == "COMPLETED"
    assert answer["path"]["seconds"] == 3600.0
    assert references(scenario(answer, "z")) == ["a"]
    assert scenario(answer, "z")["timeToUndone"]["atLeastSeconds"] == 0.0


def test_loop_that_never_ends_is_cut():
    endless = task("l", "DO_WHILE", loopCondition="true", loopOver=[undone("x")])

    def evaluate(question: Question) -> Answer:
        return Answer(value=True)

    answer = simulated(saga(endless), evaluate=evaluate, limits=Limits(loop_rounds=4))

    assert answer["path"]["steps"] == ["x"] * 4
    assert any("A loop was ended after 4 rounds" in sentence for sentence in answer["cut"])


def test_play_without_end_is_cut():
    limits = Limits(decisions_per_scenario=30)
    endless = task("l", "DO_WHILE", loopCondition="true", loopOver=[undone("x")])

    answer = simulated(saga(endless), evaluate=lambda _: Answer(value=True), limits=limits)

    assert answer["path"]["finalState"] == "RUNNING"
    assert "The play was longer than a simulation follows." in answer["cut"]


def test_mocks_are_outputs_round_by_round():
    sent = {"charge": "${x.output.id}"}
    step = undone("x", undo={"tasks": [task("un_x", inputParameters=sent)], **APPROVAL})
    seen: list[Any] = []

    def evaluate(question: Question) -> Answer:
        seen.append(question.data)
        return Answer(value=False)

    rule = {"evaluatorType": "javascript", "expression": "$.output.id > 1"}
    step["compensation"] |= {"policy": "APPROVAL_IF", "approvalIf": rule}
    simulated(
        saga(loop("l", [1, 2], [step]), undone("z")),
        mocks={"x": [{"id": 1}, {"id": 2}]},
        evaluate=evaluate,
    )

    assert {data["output"]["id"] for data in seen} == {1, 2}


def test_schema_gives_the_output_where_no_mock_does():
    schema = {
        "data": {
            "type": "object",
            "properties": {"id": {"type": "string", "examples": ["ch_1"]}, "n": {"minimum": 3}},
        }
    }
    policy = {"name": "a", "outputSchema": schema}
    variable = task("v", "SET_VARIABLE", inputParameters={"id": "${a.output.id}"})
    seen: list[Any] = []

    def evaluate(question: Question) -> Answer:
        seen.append(question.data)
        return Answer(value=1)

    script = task(
        "i",
        "INLINE",
        inputParameters={
            "evaluatorType": "javascript",
            "expression": "1",
            "id": "${workflow.variables.id}",
        },
    )
    simulated(saga(work("a", taskDefinition=policy), variable, script), evaluate=evaluate)

    assert {data["id"] for data in seen} == {"ch_1"}


def test_failed_step_of_a_plain_definition_undoes_nothing():
    definition = {"name": "p", "version": 1, "tasks": [plain("a", retryCount=0), plain("b")]}

    answer = simulated(definition)

    assert scenario(answer, "a")["entries"] == []
    assert scenario(answer, "a")["finalState"] == "FAILED"


def test_budget_is_kept_and_told():
    tasks = [undone(f"s{number}") for number in range(30)]

    answer = simulated(saga(*tasks), limits=Limits(decisions=400))

    assert 0 < len(answer["scenarios"]) < 90
    assert answer["cut"][-1] == (
        "The simulation took too much work and was ended before all was played."
    )


def test_pairs_are_bounded_and_told():
    branches = [[undone(f"p{number}")] for number in range(5)]

    answer = simulated(saga(fork("f", *branches)), limits=Limits(pairs=3))

    assert len([row for row in answer["scenarios"] if row["also"]]) == 3 * 8
    assert answer["cut"] == ["7 pairs of steps were not failed together."]


def test_weak_points_are_the_single_failures_that_do_not_end_clean():
    answer = simulated(saga(undone("a"), mail(), undone("b", undo=APPROVAL), undone("c")))

    weak = {(row["taskReferenceName"], row["outcome"]) for row in answer["weakPoints"]}
    assert ("a", "FAILED") not in weak
    assert ("c", "FAILED") in weak
    assert answer["weakPoints"][-1]["reason"] == "mail stays"
    assert answer["summary"]["scenarios"] == len(answer["scenarios"])


def test_nothing_of_a_simulation_depends_on_when_it_is_made():
    definition = saga(undone("a"), fork("f", [undone("b")], [undone("c")]))

    assert simulated(definition) == simulated(definition)


def test_effect_with_an_id_is_the_runs_own():
    answer = simulated(saga(undone("a", effectId="${a.output.id}"), undone("b")))

    assert keyed(answer) == {"a": [], "b": ["a"]}
    assert scenario(answer, "b")["finalState"] == "COMPENSATED"
