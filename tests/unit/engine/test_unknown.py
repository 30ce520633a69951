"""Outcomes that nobody knows: probe, retry, undo, ask (§3), and late results (§12)."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.engine.outcomes import Failed, Outcome, Succeeded, Unknown
from orchestrator.engine.snapshot import (
    Claimed,
    PauseSet,
    StepDue,
    StepSettled,
    UndoRequested,
)
from orchestrator.engine.states import Direction
from tests.unit.engine.definitions import fork, saga, task, undone, work
from tests.unit.engine.driver import Run, World

WHO_KNOWS = Unknown(reason="who knows")
YES = Succeeded(output={"applied": True, "output": {"id": 7}})
NO = Succeeded(output={"applied": False})
UNSURE = Succeeded(output={"applied": None})
UNSAFE = {"safeIfNotApplied": False}


def start(*, undo: dict[str, Any] | None = None, **keys: Any) -> Run:
    """Start `a`, whose outcome becomes unknown, before `b`."""
    run = World().start(saga(undone("a", undo=undo, **keys), undone("b")))
    run.work("a", WHO_KNOWS)
    return run


def test_probe_that_says_applied_completes_the_step_with_its_output():
    run = start(probe=task("look"))
    assert (run.state, run.states(), run.ledger()) == (
        "RUNNING",
        {"a": "UNKNOWN"},
        {"a": "UNCERTAIN"},
    )

    run.work("look", YES)

    assert run.states() == {"a": "COMPLETED", "b": "SCHEDULED"}
    assert run.step("a").output == {"id": 7}
    assert run.ledger()["a"] == "ARMED"


def test_probe_that_says_not_applied_lets_the_step_be_retried():
    run = start(probe=task("look"), retryCount=1)
    run.work("look", NO)
    assert run.states() == {"a": "RETRY_WAIT"}

    run.world.pass_time(60)
    run.work("a", Failed(reason="no"))

    assert (run.state, run.ledger()) == ("FAILED", {"a": "VOID"})


def test_probe_that_says_not_applied_fails_a_step_without_retries():
    run = start(probe=task("look"))

    run.work("look", NO)

    assert (run.state, run.states(), run.ledger()) == ("FAILED", {"a": "FAILED"}, {"a": "VOID"})


def test_optional_step_that_did_not_happen_lets_the_run_go_on():
    run = start(probe=task("look"), optional=True)

    run.work("look", NO)

    assert run.states() == {"a": "FAILED", "b": "SCHEDULED"}
    assert run.ledger()["a"] == "VOID"


@pytest.mark.parametrize("answer", [UNSURE, Failed(reason="no"), WHO_KNOWS])
def test_probe_that_does_not_know_goes_on_to_the_next_way(answer: Outcome):
    run = start(probe=task("look"), retryCount=1)

    run.work("look", answer)

    assert run.states() == {"a": "RETRY_WAIT"}
    assert run.ledger() == {"a": "UNCERTAIN"}


def test_probe_whose_worker_goes_away_does_not_know():
    run = start(probe=task("look"))
    look = run.step("look", Direction.PROBE)
    run.feed(Claimed(step_run_id=look.id, worker="w"))
    due_at = run.step("look", Direction.PROBE).due_at
    assert due_at is not None
    run.world.now = due_at

    run.feed(StepDue(step_run_id=look.id))

    assert run.state == "COMPENSATING"


def test_probe_begins_though_the_run_is_paused_and_is_handed_out_later():
    run = World().start(saga(undone("a", probe=task("look"))))
    run.feed(Claimed(step_run_id=run.step("a").id, worker="w"))
    run.feed(PauseSet(paused=True, actor="op"))
    run.end(run.step("a"), WHO_KNOWS)
    look = run.step("look", Direction.PROBE)
    assert run.feed(Claimed(step_run_id=look.id, worker="w")).refused == (look.id,)

    run.feed(PauseSet(paused=False, actor="op"))
    run.work("look", YES)

    assert run.state == "COMPLETED"


def test_probe_of_an_http_step_is_read_from_the_body():
    look = task(
        "look", "HTTP", inputParameters={"http_request": {"uri": "http://x", "method": "GET"}}
    )
    run = World(queues={("HTTP", "look"): "http"}).start(saga(undone("a", probe=look)))
    run.work("a", WHO_KNOWS)

    run.work("look", Succeeded(output={"response": {"body": {"applied": True}}}))

    assert run.states() == {"a": "COMPLETED"}


def test_retry_comes_before_the_undo_by_default():
    run = start(retryCount=1)
    assert run.states() == {"a": "RETRY_WAIT"}

    run.world.pass_time(60)
    run.work("a")

    assert run.states() == {"a": "COMPLETED", "b": "SCHEDULED"}


def test_failed_retry_does_not_settle_what_the_first_attempt_did():
    run = start(retryCount=1)
    run.world.pass_time(60)

    run.work("a", Failed(reason="no", terminal=True))

    assert (run.states(), run.ledger()) == ({"a": "UNKNOWN"}, {"a": "DELAYED"})


@pytest.mark.parametrize(
    ("ways", "undo", "states", "state"),
    [
        (["COMPENSATE", "RETRY"], {}, {"a": "UNKNOWN"}, "COMPENSATING"),
        (["ASK"], {}, {"a": "UNKNOWN"}, "NEEDS_ATTENTION"),
        (["COMPENSATE"], UNSAFE, {"a": "UNKNOWN"}, "NEEDS_ATTENTION"),
        (["RETRY", "ASK"], {}, {"a": "RETRY_WAIT"}, "RUNNING"),
        ([], {}, {"a": "UNKNOWN"}, "NEEDS_ATTENTION"),
    ],
)
def test_ways_are_taken_in_the_order_given(
    ways: list[str], undo: dict[str, Any], states: dict[str, str], state: str
):
    run = start(undo=undo, onUnknown=ways, retryCount=1)

    assert (run.states(), run.state) == (states, state)


def test_undo_of_an_unknown_outcome_waits_until_the_call_cannot_land():
    run = start()
    assert (run.state, run.ledger()) == ("COMPENSATING", {"a": "DELAYED"})

    run.world.pass_time(29)
    assert run.claimable() == []
    run.world.pass_time(1)
    run.work("un_a")

    assert (run.state, run.ledger()) == ("COMPENSATED", {"a": "COMPENSATED"})


def test_settle_delay_may_be_said():
    definition = saga(undone("a"), settings={"unknownSettleDelaySeconds": 5})
    run = World().start(definition)
    run.work("a", WHO_KNOWS)

    run.world.pass_time(5)

    assert run.ledger() == {"a": "READY"}


def test_undo_that_reads_the_output_is_asked_about():
    reads = {"tasks": [task("un_a", inputParameters={"id": "${a.output.id}"})]}
    run = start(undo=reads)

    assert run.state == "NEEDS_ATTENTION"


def test_no_effect_leaves_no_doubt():
    run = World().start(saga(work("a", retryCount=0)))

    run.work("a", WHO_KNOWS)

    assert (run.state, run.states()) == ("FAILED", {"a": "FAILED"})


def test_irreversible_step_is_listed_as_perhaps_happened():
    lasting = task("mail", effect="IRREVERSIBLE", retryCount=0)
    run = World().start(saga(undone("a"), lasting))
    run.work("a")

    run.work("mail", WHO_KNOWS)

    assert run.state == "COMPENSATING"
    assert run.plans[0].command.cannot_be_undone == (
        {
            "stepId": run.step("mail").id,
            "taskReferenceName": "mail",
            "iteration": 0,
            "effect": "IRREVERSIBLE",
            "note": "may have happened",
        },
    )


def test_unknown_pivot_is_asked_about():
    run = World().start(saga(undone("a"), task("p", effect="PIVOT", retryCount=0)))
    run.work("a")

    run.work("p", WHO_KNOWS)

    assert (run.state, run.ledger()) == ("NEEDS_ATTENTION", {"a": "ARMED"})


def test_optional_unknown_step_is_not_asked_about_until_there_is_a_plan():
    run = start(undo=UNSAFE, optional=True)
    assert run.states() == {"a": "UNKNOWN", "b": "SCHEDULED"}

    run.work("b", Failed(reason="no"))
    assert (run.state, run.plans) == ("NEEDS_ATTENTION", [])
    step = run.step("a")
    run.feed(StepSettled(step_run_id=step.id, applied=True, actor="eve", reason=""))

    assert (run.state, run.ledger()) == ("COMPENSATING", {"a": "READY", "b": "VOID"})


def test_optional_unknown_step_whose_author_wants_a_person_is_asked_about_though_its_undo_is_safe():
    run = start(onUnknown=["ASK"], optional=True)

    run.work("b", Failed(reason="no"))

    assert (run.state, run.plans) == ("NEEDS_ATTENTION", [])
    assert run.execution.frontier["questions"] == [run.step("a").id]


def test_request_to_undo_asks_first_what_happened():
    run = start(undo=UNSAFE, optional=True)
    run.work("b")
    assert run.state == "COMPLETED"

    run.feed(UndoRequested(actor="op", reason="please"))
    assert run.state == "NEEDS_ATTENTION"
    step = run.step("a")
    run.feed(StepSettled(step_run_id=step.id, applied=False, actor="eve", reason=""))

    assert (run.state, run.ledger()) == ("COMPENSATING", {"a": "VOID", "b": "READY"})


def test_optional_unknown_branch_end_does_not_fail_the_join():
    branches = fork("f", [undone("a", optional=True)], [work("c")])
    run = World().start(saga(branches))
    run.work("a", WHO_KNOWS)

    run.work("c")

    assert run.states()["f_join"] == "COMPLETED_WITH_ERRORS"
    assert run.state == "COMPLETED"


def test_partial_failure_is_undone_and_not_retried():
    run = World().start(saga(undone("a", retryCount=3)))

    run.work("a", Failed(reason="half", partial=True))

    assert run.states() == {"a": "FAILED"}
    assert (run.state, run.ledger()) == ("COMPENSATING", {"a": "READY"})


def test_doubt_that_outlives_the_stop_is_probed_while_stopping():
    branches = fork("f", [undone("a", probe=task("look"))], [work("z", retryCount=0)])
    run = World().start(saga(branches))
    run.work("a", WHO_KNOWS)
    run.work("z", Failed(reason="no"))
    assert run.state == "STOPPING"

    run.work("look", YES)

    assert (run.states()["a"], run.ledger()) == ("COMPLETED", {"a": "READY"})


def test_probe_that_nobody_answers_ends_with_the_quiesce_timeout():
    branches = fork("f", [undone("a", probe=task("look"))], [work("z", retryCount=0)])
    run = World().start(saga(branches))
    run.work("a", WHO_KNOWS)
    run.work("z", Failed(reason="no"))

    run.world.pass_time(60)

    assert run.state == "COMPENSATING"


def test_probe_that_begins_at_the_quiesce_timeout_has_its_time():
    branches = fork("f", [undone("a", probe=task("look"))], [work("z", retryCount=0)])
    run = World().start(saga(branches))
    run.feed(Claimed(step_run_id=run.step("a").id, worker="w"))
    run.work("z", Failed(reason="no"))

    run.world.pass_time(60)
    assert (run.state, run.states()["a"]) == ("STOPPING", "UNKNOWN")
    run.world.pass_time(60)

    assert run.state == "COMPENSATING"


def permissive(**keys: Any) -> Run:
    """Start a permissive `a` of unknown outcome beside `c`."""
    branches = fork("f", [undone("a", permissive=True, **keys), undone("b")], [undone("c")])
    run = World().start(saga(branches))
    run.work("a", WHO_KNOWS)
    return run


def test_permissive_unknown_step_counts_when_nothing_else_can_move():
    """§3: until then the run goes on, also after the step itself."""
    run = permissive()
    assert (run.state, run.states()["a"], run.states()["b"]) == ("RUNNING", "UNKNOWN", "SCHEDULED")

    run.work("b")
    assert run.state == "RUNNING"
    run.work("c")

    assert (run.state, run.execution.outcome) == ("COMPENSATING", "FAILED")
    assert run.execution.failure is not None
    assert run.execution.failure["errorClass"] == "UNKNOWN"
    assert run.ledger() == {"a": "PLANNED", "b": "READY", "c": "READY"}


def test_permissive_unknown_step_that_happened_after_all_is_no_failure():
    run = permissive(undo=UNSAFE)
    step = run.step("a")
    run.feed(StepSettled(step_run_id=step.id, applied=True, actor="eve", reason="seen"))

    run.work("b")
    run.work("c")

    assert (run.state, run.ledger()["a"]) == ("COMPLETED", "ARMED")


def test_permissive_unknown_step_that_did_not_happen_fails_the_run_at_its_end():
    run = permissive(undo=UNSAFE)
    step = run.step("a")
    run.feed(StepSettled(step_run_id=step.id, applied=False, actor="eve", reason="looked"))
    assert run.state == "RUNNING"

    run.work("b")
    run.work("c")

    assert (run.state, run.ledger()["a"]) == ("COMPENSATING", "VOID")


def test_permissive_unknown_step_is_asked_about_before_the_plan():
    run = permissive(undo=UNSAFE)
    run.work("b")
    run.work("c")
    assert (run.state, run.plans) == ("NEEDS_ATTENTION", [])

    step = run.step("a")
    run.feed(StepSettled(step_run_id=step.id, applied=True, actor="eve", reason="seen"))

    assert (run.state, run.ledger()["a"]) == ("COMPENSATING", "PLANNED")


def test_permissive_branch_end_that_happened_after_all_does_not_fail_the_join():
    branches = fork("f", [undone("a", permissive=True, undo=UNSAFE)], [work("c")])
    run = World().start(saga(branches))
    run.work("a", WHO_KNOWS)
    step = run.step("a")
    run.feed(StepSettled(step_run_id=step.id, applied=True, actor="eve", reason="seen"))

    run.work("c")

    assert (run.states()["f_join"], run.state) == ("COMPLETED", "COMPLETED")


def test_answer_carries_the_output_that_the_undo_reads():
    """§3, point 4: an undo that reads output is asked about instead of being called with holes."""
    reads = {"tasks": [task("un_a", inputParameters={"id": "${a.output.id}"})]}
    run = start(undo=reads)
    step = run.step("a")
    answer = StepSettled(
        step_run_id=step.id, applied=True, actor="eve", reason="seen", output={"id": 7}
    )

    run.feed(answer)
    run.work("un_a")

    assert run.step("un_a", Direction.COMPENSATION).input == {"id": 7}
    assert run.feed(answer).refused == (step.id,)
    told = [event.data for event in run.events if event.type == "step.answered"]
    assert told == [told[0]]
    assert (told[0]["by"], told[0]["applied"]) == ("eve", True), "invariant 20"
