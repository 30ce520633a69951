"""From start to end: claims, results, retries, forks, loops, children, timers."""

import pytest

from orchestrator import tasks
from orchestrator.engine.outcomes import Succeeded
from orchestrator.models import Attempt, Execution, StepRun, Timer
from orchestrator.services import attempts
from orchestrator.services.advance import KEEP_NONE
from orchestrator.services.attempts import Result
from tests.factories.definitions import child, fork, loop, outside, plain, reversible, saga, task
from tests.fakes import fails, loses, loses_after_effect, refuses
from tests.runtime import Runtime


def test_a_run_goes_from_start_to_end(runtime: Runtime) -> None:
    definition = saga(
        "orders", reversible("a"), reversible("b"), outputParameters={"got": "${a.output.id}"}
    )

    execution = runtime.run(definition)

    key = f"f:{execution.pk}:a:e1"
    assert (execution.state, execution.outcome) == ("COMPLETED", "COMPLETED")
    assert execution.output == {"got": f"a-{key}"}
    assert runtime.states(execution) == {"a": "COMPLETED", "b": "COMPLETED"}
    assert runtime.ledger(execution) == {"a": "ARMED", "b": "ARMED"}
    assert runtime.shop.keys("a") == {key}
    assert runtime.shop.standing() == ["a", "b"]
    assert runtime.events(execution) == [
        "execution.started",
        "step.scheduled",
        "step.dispatched",
        "step.completed",
        "step.scheduled",
        "step.dispatched",
        "step.completed",
        "execution.completed",
    ]


def test_a_step_is_claimed_and_its_result_recorded_by_hand(runtime: Runtime) -> None:
    execution = runtime.start(saga("orders", reversible("a"), reversible("b")))
    [scheduled] = StepRun.objects.filter(execution=execution)

    [work] = attempts.claim(step_run_id=str(scheduled.pk), queue="default", worker="w1")
    claimed = StepRun.objects.get(pk=scheduled.pk)
    nothing = attempts.claim(step_run_id=str(scheduled.pk), queue="default", worker="w2")
    followed = attempts.record_outcomes(
        results=[Result(work=work, outcome=Succeeded(output={"x": 1}))], keep=KEEP_NONE
    )

    assert (scheduled.state, scheduled.entry_state) == ("SCHEDULED", "TENTATIVE")
    assert (claimed.state, claimed.entry_state) == ("DISPATCHED", "TENTATIVE")
    assert nothing == []
    assert followed == []
    assert (work.idempotency_key, work.number) == (f"f:{execution.pk}:a:e1", 1)
    assert runtime.states(execution) == {"a": "COMPLETED", "b": "SCHEDULED"}
    attempt = Attempt.objects.get(pk=work.attempt_id)
    assert (attempt.state, attempt.worker, attempt.number) == ("SUCCEEDED", "w1", 1)


def test_a_celery_message_runs_the_step_and_what_follows_it(runtime: Runtime) -> None:
    execution = runtime.start(saga("orders", reversible("a"), reversible("b")))
    [first] = StepRun.objects.filter(execution=execution)

    runtime.deliver(first)

    assert runtime.read(execution).state == "COMPLETED"
    assert runtime.shop.names() == ["a", "b"]


def test_a_message_delivered_again_does_nothing(runtime: Runtime) -> None:
    execution = runtime.start(saga("orders", reversible("a")))
    [first] = StepRun.objects.filter(execution=execution)

    runtime.deliver(first)
    after_one = runtime.read(execution)
    runtime.deliver(first)
    tasks.advance_execution.apply(args=(str(execution.pk),), kwargs={"v": 1})

    assert runtime.shop.names() == ["a"]
    assert runtime.read(execution).revision == after_one.revision


@pytest.mark.parametrize("version", [0, 2, 99])
def test_a_message_of_an_unknown_version_is_dropped(runtime: Runtime, version: int) -> None:
    execution = runtime.start(saga("orders", reversible("a")))
    [first] = StepRun.objects.filter(execution=execution)

    runtime.deliver(first, v=version)

    assert runtime.states(execution) == {"a": "SCHEDULED"}
    assert runtime.shop.calls == []


def test_a_failing_step_is_tried_again_with_the_same_key(runtime: Runtime) -> None:
    runtime.shop.will("a", fails, fails)

    execution = runtime.start(saga("orders", reversible("a", retries=3, delay=5)))
    runtime.work()
    waiting = runtime.states(execution)
    runtime.work_for(11)

    assert waiting == {"a": "RETRY_WAIT"}
    assert runtime.read(execution).state == "COMPLETED"
    assert [call.attempt for call in runtime.shop.calls] == [1, 2, 3]
    assert len(runtime.shop.keys("a")) == 1
    tries = Attempt.objects.filter(execution_id=execution.pk).order_by("number")
    assert [row.state for row in tries] == ["FAILED", "FAILED", "SUCCEEDED"]
    assert len({row.pk for row in tries}) == 3


def test_a_retry_is_not_made_before_it_is_due(runtime: Runtime) -> None:
    runtime.shop.will("a", fails)
    execution = runtime.start(saga("orders", reversible("a", retries=1, delay=30)))

    runtime.work_for(29)
    early = runtime.shop.names()
    runtime.work_for(2)

    assert early == ["a"]
    assert runtime.shop.names() == ["a", "a"]
    assert runtime.read(execution).state == "COMPLETED"


def test_a_failed_run_is_undone_in_reverse_order(runtime: Runtime) -> None:
    runtime.shop.will("c", refuses)

    execution = runtime.run(saga("orders", reversible("a"), reversible("b"), reversible("c")))

    assert (execution.state, execution.outcome) == ("COMPENSATED", "FAILED")
    assert (execution.failure or {})["taskReferenceName"] == "c"
    assert runtime.ledger(execution) == {"a": "COMPENSATED", "b": "COMPENSATED", "c": "VOID"}
    assert runtime.shop.names() == ["a", "b", "c", "undo_b", "undo_a"]
    assert runtime.shop.standing() == []
    plan = execution.plans.get()
    assert (plan.state, len(plan.entries), plan.trigger) == ("SETTLED", 2, "FAILURE")


def test_an_undo_keeps_its_key_over_retries_of_its_own(runtime: Runtime) -> None:
    runtime.shop.will("b", refuses)
    runtime.shop.will("undo_a", fails, fails)

    execution = runtime.start(saga("orders", reversible("a"), reversible("b")))
    runtime.work_for(4)

    entry = runtime.steps(execution)["a"]
    assert runtime.read(execution).state == "COMPENSATED"
    assert runtime.shop.counts()["undo_a"] == 3
    assert runtime.shop.keys("undo_a") == {f"c:{entry.pk}:r0"}
    assert entry.undo_attempts == 2
    assert entry.attempt == 1


def test_an_undo_that_fails_for_good_waits_for_a_person(runtime: Runtime) -> None:
    runtime.shop.will("c", refuses)
    runtime.shop.will("undo_b", refuses)

    execution = runtime.run(saga("orders", reversible("a"), reversible("b"), reversible("c")))

    assert execution.state == "NEEDS_ATTENTION"
    assert runtime.ledger(execution) == {"a": "PLANNED", "b": "COMPENSATION_FAILED", "c": "VOID"}
    assert "undo_a" not in runtime.shop.names()


def test_an_unknown_outcome_is_tried_again_and_then_undone(runtime: Runtime) -> None:
    runtime.shop.always("b", loses_after_effect)

    execution = runtime.start(saga("orders", reversible("a"), reversible("b", retries=1)))
    runtime.work_for(3)

    assert runtime.read(execution).state == "COMPENSATED"
    assert runtime.states(execution)["b"] == "UNKNOWN"
    assert runtime.ledger(execution) == {"a": "COMPENSATED", "b": "COMPENSATED"}
    assert runtime.shop.standing() == []
    assert runtime.shop.counts()["b"] == 2


@pytest.mark.parametrize(
    ("behaviour", "state"), [(loses_after_effect, "COMPLETED"), (loses, "COMPENSATED")]
)
def test_a_probe_settles_what_is_unknown(runtime: Runtime, behaviour, state: str) -> None:
    runtime.shop.will("b", behaviour)

    execution = runtime.start(
        saga("orders", reversible("a"), reversible("b", probe=task("probe_b")))
    )
    runtime.work_for(3)

    assert runtime.read(execution).state == state
    assert runtime.shop.counts()["probe_b"] == 1
    assert runtime.shop.standing() == (["a", "b"] if state == "COMPLETED" else [])


def test_a_lost_lease_is_an_unknown_attempt(runtime: Runtime) -> None:
    execution = runtime.start(saga("orders", reversible("a", retries=1)))
    [step] = StepRun.objects.filter(execution=execution)
    [lost] = attempts.claim(step_run_id=str(step.pk), queue="default", worker="dead")
    runtime.work_for(60)
    held = runtime.states(execution)

    runtime.work_for(20)

    assert held == {"a": "DISPATCHED"}
    assert runtime.read(execution).state == "COMPLETED"
    assert runtime.shop.keys("a") == {lost.idempotency_key}
    rows = Attempt.objects.filter(execution_id=execution.pk).order_by("number")
    assert [row.number for row in rows] == [1, 2]
    assert rows[1].state == "SUCCEEDED"


def test_a_fork_of_two_hundred_is_joined(runtime: Runtime) -> None:
    names = [f"s{number}" for number in range(200)]
    runtime.handle(*names)
    definition = saga("wide", *fork("all", *([reversible(name)] for name in names)))

    execution = runtime.run(definition)

    assert execution.state == "COMPLETED"
    assert sorted(runtime.shop.names()) == sorted(names)
    assert set(runtime.states(execution).values()) == {"COMPLETED"}
    assert execution.frontier.get("joins", {}) == {}


def test_a_fork_of_two_hundred_is_undone(runtime: Runtime) -> None:
    names = [f"s{number}" for number in range(200)]
    runtime.handle(*names)
    runtime.shop.will("a", refuses)
    definition = saga(
        "wide", *fork("all", *([reversible(name)] for name in names)), reversible("a")
    )

    execution = runtime.run(definition)

    assert execution.state == "COMPENSATED"
    assert runtime.shop.standing() == []
    assert runtime.shop.counts()["undo_s7"] == 1


def test_every_round_of_a_loop_has_its_own_entry(runtime: Runtime) -> None:
    runtime.shop.will("b", refuses)

    execution = runtime.run(saga("rounds", loop("l", 3, reversible("a")), reversible("b")))

    assert execution.state == "COMPENSATED"
    assert runtime.ledger(execution) == {
        "a@1": "COMPENSATED",
        "a@2": "COMPENSATED",
        "a@3": "COMPENSATED",
        "b": "VOID",
    }
    assert len(runtime.shop.keys("a")) == 3
    undone = [call.forward_key for call in runtime.shop.calls if call.name == "undo_a"]
    assert undone == [f"f:{execution.pk}:a@{number}:e1" for number in (3, 2, 1)]


def test_a_child_is_created_reports_and_is_undone_with_its_parent(runtime: Runtime) -> None:
    runtime.publish(saga("packing", reversible("a"), reversible("b")))
    runtime.shop.will("c", refuses)

    parent = runtime.run(saga("orders", child("pack", "packing"), reversible("c")))

    inner = Execution.objects.get(parent_id=parent.pk)
    assert (parent.state, inner.state) == ("COMPENSATED", "COMPENSATED")
    assert (inner.root_id, inner.workflow_name) == (parent.pk, "packing")
    assert inner.outcome == "COMPLETED"
    assert runtime.shop.names() == ["a", "b", "c", "undo_b", "undo_a"]
    assert runtime.shop.standing() == []


def test_a_child_that_fails_undoes_itself_and_fails_its_parent(runtime: Runtime) -> None:
    runtime.publish(saga("packing", reversible("a"), reversible("b")))
    runtime.shop.will("b", refuses)

    parent = runtime.run(saga("orders", reversible("c"), child("pack", "packing")))

    inner = Execution.objects.get(parent_id=parent.pk)
    assert (inner.state, inner.outcome) == ("COMPENSATED", "FAILED")
    assert (parent.state, parent.outcome) == ("COMPENSATED", "FAILED")
    assert runtime.shop.names() == ["c", "a", "b", "undo_a", "undo_c"]


def test_a_wait_ends_when_its_time_has_come_and_not_before(runtime: Runtime) -> None:
    wait = task("pause", "WAIT", inputParameters={"duration": "30 seconds"})
    execution = runtime.start(plain("waits", wait, outside("a")))

    runtime.work_for(29)
    early = runtime.states(execution)
    timers = Timer.objects.filter(execution=execution).count()
    runtime.work_for(2)

    assert early == {"pause": "WAITING"}
    assert timers == 1
    assert runtime.read(execution).state == "COMPLETED"
    assert Timer.objects.filter(execution=execution).count() == 0


def test_the_deadline_of_a_run_stops_and_undoes_it(runtime: Runtime) -> None:
    wait = task("pause", "WAIT", inputParameters={"duration": "1 hour"})
    definition = saga("slow", reversible("a"), wait, timeoutSeconds=60, timeoutPolicy="TIME_OUT_WF")
    execution = runtime.start(definition)

    runtime.work_for(59)
    before = runtime.read(execution).state
    runtime.work_for(2)

    assert before == "RUNNING"
    ended = runtime.read(execution)
    assert (ended.state, ended.outcome) == ("COMPENSATED", "TIMED_OUT")
    assert runtime.shop.standing() == []


def test_a_child_given_by_definition_may_come_first(runtime: Runtime) -> None:
    """The start itself enters it, before the parent's row is stored."""
    inner = plain("inner", task("only", "NOOP"))
    step = task(
        "child", "SUB_WORKFLOW", subWorkflowParam={"name": "inner", "workflowDefinition": inner}
    )

    execution = runtime.run(plain("outer", step))

    assert execution.state == "COMPLETED"
    assert Execution.objects.get(parent_id=execution.pk).state == "COMPLETED"
