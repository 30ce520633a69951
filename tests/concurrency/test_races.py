"""Two who want the same at the same time: both orders, forced at the row they meet at."""

from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import User

from approvals import services as approvals
from approvals.models import ApprovalRequest, ApprovalVote
from orchestrator import metrics
from orchestrator.engine.outcomes import Failed, Succeeded
from orchestrator.handlers.base import Work
from orchestrator.models import Attempt, Execution, ExecutionEvent, StartKey, StepRun, Timer
from orchestrator.services import advance, attempts, executions, recovery
from orchestrator.services.advance import KEEP_NONE
from orchestrator.services.attempts import Result
from orchestrator.services.errors import Conflict
from tests.concurrency.conftest import at_once, race, race_for
from tests.factories.definitions import child, reversible, saga, task
from tests.fakes import refuses
from tests.runtime import Runtime

pytestmark = pytest.mark.postgresql

ORDERS = saga("orders", reversible("a", retries=2), reversible("b"))


def _claim(execution: Execution, reference: str = "a", worker: str = "w1") -> list[Work]:
    step = StepRun.objects.get(execution=execution, reference=reference)
    return attempts.claim(step_run_id=str(step.pk), queue="default", worker=worker)


def _record(work: Work, outcome: Any = None) -> list[Work]:
    result = Result(work=work, outcome=outcome or Succeeded(output={"n": 1}))
    return attempts.record_outcomes(results=[result], keep=KEEP_NONE)


def _cancel(execution: Execution) -> None:
    executions.cancel_execution(
        actor=None, execution_id=execution.pk, compensate=True, reason="no more"
    )


def _count(execution: Execution, event: str) -> int:
    return ExecutionEvent.objects.filter(execution_id=execution.pk, type=event).count()


# ---- claims -------------------------------------------------------------------------------------


def test_one_of_two_claims_gets_the_step(runtime: Runtime) -> None:
    execution = runtime.start(ORDERS)

    first, second = race_for(
        execution, partial(_claim, execution, worker="w1"), partial(_claim, execution, worker="w2")
    )

    assert (len(first), second) == (1, [])
    attempt = Attempt.objects.get(execution_id=execution.pk)
    assert (attempt.worker, attempt.poll_count) == ("w1", 1)
    assert _count(execution, "step.dispatched") == 1


def test_workers_share_what_is_due_without_a_step_twice(runtime: Runtime) -> None:
    runtime.publish(ORDERS)
    for _ in range(40):
        runtime.start_known("orders")

    def take_all(worker: str) -> list[str]:
        taken: list[str] = []
        for _ in range(30):
            works = attempts.claim_due(queue="default", limit=7, worker=worker)
            taken += [work.step_run_id for work in works]
        return taken

    shares = at_once(*(partial(take_all, worker) for worker in ("w1", "w2", "w3")))

    everything = [key for share in shares for key in share]
    assert len(everything) == len(set(everything)) == 40


def test_a_claim_before_the_stop_is_let_finish(runtime: Runtime) -> None:
    execution = runtime.start(ORDERS)

    claimed, stopped = race_for(execution, partial(_claim, execution), partial(_cancel, execution))
    stopping = runtime.read(execution)
    _record(claimed[0])
    runtime.work()

    assert stopped is None
    assert (stopping.state, stopping.fence) == ("STOPPING", 1)
    assert runtime.read(execution).state == "COMPENSATED"
    assert runtime.ledger(execution) == {"a": "COMPENSATED"}


def test_a_claim_after_the_stop_gets_nothing(runtime: Runtime) -> None:
    """Invariant 22."""
    execution = runtime.start(ORDERS)

    stopped, claimed = race_for(execution, partial(_cancel, execution), partial(_claim, execution))
    runtime.work()

    assert (stopped, claimed) == (None, [])
    assert _count(execution, "step.dispatched") == 0
    assert runtime.read(execution).state == "TERMINATED"
    assert runtime.ledger(execution) == {"a": "VOID"}


# ---- results ------------------------------------------------------------------------------------


def test_the_first_of_two_results_counts(runtime: Runtime) -> None:
    execution = runtime.start(ORDERS)
    [work] = _claim(execution)

    race_for(
        execution,
        partial(_record, work, Succeeded(output={"n": 1})),
        partial(_record, work, Failed(reason="no")),
    )

    step = runtime.steps(execution)["a"]
    assert (step.state, step.output) == ("COMPLETED", {"n": 1})
    assert (Attempt.objects.get(pk=work.attempt_id).late or {})["outcome"] == "Failed"
    assert _count(execution, "step.completed") == 1


def _let_lease_end(execution: Execution) -> None:
    StepRun.objects.filter(execution=execution, state="DISPATCHED").update(
        due_at="2020-01-01T00:00:00Z"
    )


def test_a_result_before_the_end_of_its_lease_counts(runtime: Runtime) -> None:
    execution = runtime.start(ORDERS)
    [work] = _claim(execution)
    _let_lease_end(execution)

    race_for(execution, partial(_record, work), recovery._expire)

    step = runtime.steps(execution)["a"]
    assert (step.state, step.attempt) == ("COMPLETED", 1)
    assert _count(execution, "step.late_result") == 0


def test_a_result_after_the_end_of_its_lease_is_late(runtime: Runtime) -> None:
    execution = runtime.start(ORDERS)
    [work] = _claim(execution)
    _let_lease_end(execution)

    race_for(execution, recovery._expire, partial(_record, work))
    lost = runtime.steps(execution)["a"]
    runtime.work()

    assert (lost.state, lost.attempt) == ("RETRY_WAIT", 2)
    assert (Attempt.objects.get(pk=work.attempt_id).late or {})["outcome"] == "Succeeded"
    assert runtime.read(execution).state == "COMPLETED"
    assert runtime.shop.keys("a") == {work.idempotency_key}


# ---- the ticker ---------------------------------------------------------------------------------


def test_two_tickers_fire_a_timer_once(runtime: Runtime) -> None:
    """Invariant 39."""
    wait = task("pause", "WAIT", inputParameters={"duration": "5 seconds"})
    execution = runtime.start(saga("waits", wait, reversible("a")))
    runtime.clock.advance(10)

    race_for(execution, recovery.tick, recovery.tick)

    assert _count(execution, "step.completed") == 1
    assert not Timer.objects.exists()
    assert runtime.states(execution) == {"pause": "COMPLETED", "a": "SCHEDULED"}


def test_two_tickers_lose_a_lease_once(runtime: Runtime) -> None:
    execution = runtime.start(ORDERS)
    _claim(execution)
    _let_lease_end(execution)

    race_for(execution, recovery._expire, recovery._expire)

    assert runtime.steps(execution)["a"].attempt == 2
    assert Attempt.objects.filter(execution_id=execution.pk).count() == 2


def test_advancing_twice_is_advancing_once(runtime: Runtime) -> None:
    runtime.publish(saga("packing", reversible("b")))
    runtime.start(saga("orders", child("pack", "packing")))
    inner = Execution.objects.get(workflow_name="packing")

    def go_on() -> None:
        advance.drive(inputs={}, due=[str(inner.pk)])

    race_for(inner, go_on, go_on)

    assert _count(inner, "execution.started") == 1
    assert _count(inner, "step.scheduled") == 1


def test_callers_of_many_executions_do_not_block_each_other_for_ever(runtime: Runtime) -> None:
    runtime.publish(ORDERS)
    ids = [str(runtime.start_known("orders").pk) for _ in range(12)]
    retries = [
        metrics.TRANSACTION_RETRIES.labels(reason=reason)._value.get()
        for reason in ("race", "connection")
    ]

    def go_on(order: list[str]) -> None:
        for _ in range(20):
            advance.drive(inputs={}, due=order)

    results = at_once(partial(go_on, ids), partial(go_on, ids[::-1]), partial(go_on, ids[::2]))

    assert results == [None, None, None]
    assert retries == [
        metrics.TRANSACTION_RETRIES.labels(reason=reason)._value.get()
        for reason in ("race", "connection")
    ]


# ---- starts -------------------------------------------------------------------------------------


def _start(number: int = 1) -> executions.Started:
    return executions.start_execution(
        actor=None, workflow_name="orders", input={"order": number}, idempotency_key="k"
    )


def test_two_starts_with_one_key_make_one_run(runtime: Runtime) -> None:
    version = runtime.publish(ORDERS)
    hold = (
        f"INSERT INTO {StartKey._meta.db_table} (workflow_id, key, execution_id, body_hash, "  # noqa: S608
        "created_at) VALUES (%s, 'k', gen_random_uuid(), '', now())"
    )

    first, second = race(hold, (version.workflow_id,), _start, _start)

    assert first.id == second.id
    assert [first.created, second.created].count(True) == 1
    assert Execution.objects.count() == 1


def test_the_loser_of_two_starts_with_other_bodies_is_refused(runtime: Runtime) -> None:
    version = runtime.publish(ORDERS)
    hold = (
        f"INSERT INTO {StartKey._meta.db_table} (workflow_id, key, execution_id, body_hash, "  # noqa: S608
        "created_at) VALUES (%s, 'k', gen_random_uuid(), '', now())"
    )

    results = race(hold, (version.workflow_id,), partial(_start, 1), partial(_start, 2))

    assert sorted(type(result).__name__ for result in results) == ["Conflict", "Started"]
    assert Execution.objects.count() == 1


def test_many_starts_with_one_key_make_one_run(runtime: Runtime) -> None:
    runtime.publish(ORDERS)

    results = at_once(*[_start] * 6)

    assert len({result.id for result in results}) == 1
    assert [result.created for result in results].count(True) == 1


# ---- parent and child ---------------------------------------------------------------------------


def _family(runtime: Runtime) -> tuple[Execution, Execution, Work]:
    """Return a parent, its child, and the child's last step in a worker's hands."""
    runtime.publish(saga("packing", reversible("b")))
    parent = runtime.start(saga("orders", child("pack", "packing"), reversible("c")))
    inner = Execution.objects.get(workflow_name="packing")
    advance.drive(inputs={}, due=[str(inner.pk)])
    [work] = _claim(inner, "b")
    runtime.shop.effects["b", work.idempotency_key] = "APPLIED"
    return parent, inner, work


def _is_undone(runtime: Runtime, parent: Execution, inner: Execution) -> None:
    runtime.work()
    states = runtime.read(parent).state, runtime.read(inner).state
    assert states == ("COMPENSATED", "COMPENSATED")
    assert runtime.shop.standing() == []
    assert runtime.shop.counts()["undo_b"] == 1


def test_a_child_ends_while_its_parent_is_about_to_stop(runtime: Runtime) -> None:
    parent, inner, work = _family(runtime)

    # The child's row is free, and it ends; only then the stop meets the parent's, which is held.
    race_for(parent, partial(_end_then_cancel, parent, work))

    _is_undone(runtime, parent, inner)


def _end_then_cancel(parent: Execution, work: Work) -> None:
    result = Result(work=work, outcome=Succeeded(output={}))
    attempts.record_outcomes(results=[result], keep=KEEP_NONE)
    _cancel(parent)


def test_a_parent_stops_while_its_child_is_about_to_end(runtime: Runtime) -> None:
    parent, inner, work = _family(runtime)

    race_for(inner, partial(_record, work), partial(_stop_and_go_on, parent))

    _is_undone(runtime, parent, inner)


def _stop_and_go_on(parent: Execution) -> None:
    """Stop the parent, and have everybody take what they were told."""
    _cancel(parent)
    recovery.tick()


def test_a_child_and_its_parent_end_and_stop_in_any_order(runtime: Runtime) -> None:
    parent, inner, work = _family(runtime)

    at_once(partial(_record, work), partial(_cancel, parent), recovery.tick)

    _is_undone(runtime, parent, inner)


# ---- approvers ----------------------------------------------------------------------------------


def _asked(runtime: Runtime, quorum: int) -> tuple[Execution, ApprovalRequest]:
    runtime.shop.will("b", refuses)
    held = reversible(
        "a", undo={"policy": "APPROVAL", "approval": {"quorum": quorum, "distinctFrom": []}}
    )
    execution = runtime.run(saga("orders", held, reversible("b")))
    return execution, ApprovalRequest.objects.get(execution_id=execution.pk)


def _vote(
    user: User, request: ApprovalRequest, decision: str = "APPROVE", revision: int = 1
) -> Any:
    return approvals.cast_vote(
        actor=user,
        approval_id=request.pk,
        revision=revision,
        decision=decision,
        reason="because",
    )


def _people(*names: str) -> list[User]:
    return [User.objects.create_superuser(name) for name in names]


@pytest.mark.parametrize("decisions", [("APPROVE", "REJECT_SKIP"), ("REJECT_SKIP", "APPROVE")])
def test_the_first_of_two_approvers_decides(runtime: Runtime, decisions: tuple[str, str]) -> None:
    execution, request = _asked(runtime, 1)
    ann, bob = _people("ann", "bob")

    first, second = race_for(
        execution,
        partial(_vote, ann, request, decisions[0]),
        partial(_vote, bob, request, decisions[1]),
    )
    runtime.work()

    assert isinstance(first, dict)
    assert isinstance(second, Conflict)
    assert ApprovalVote.objects.count() == 1
    undone = decisions[0] == "APPROVE"
    assert runtime.read(execution).state == ("COMPENSATED" if undone else "PARTIALLY_COMPENSATED")
    assert runtime.shop.counts().get("undo_a", 0) == int(undone)


def test_one_person_counts_once_however_fast(runtime: Runtime) -> None:
    """Invariant 31."""
    execution, request = _asked(runtime, 2)
    [ann] = _people("ann")

    race_for(execution, partial(_vote, ann, request), partial(_vote, ann, request))
    runtime.work()

    assert ApprovalVote.objects.count() == 1
    assert runtime.read(execution).state == "COMPENSATING"


def test_the_second_of_a_quorum_answers_what_is_there_now(runtime: Runtime) -> None:
    execution, request = _asked(runtime, 2)
    ann, bob = _people("ann", "bob")

    _, stale = race_for(execution, partial(_vote, ann, request), partial(_vote, bob, request))
    _vote(bob, request, revision=2)
    runtime.work()

    assert isinstance(stale, Conflict)
    assert runtime.read(execution).state == "COMPENSATED"
    assert runtime.shop.counts()["undo_a"] == 1
