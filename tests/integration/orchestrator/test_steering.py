"""What people do about runs: pause, cancel, undo, retry, and what they may not do."""

from typing import Any

import pytest

from orchestrator.models import Execution, ExecutionEvent
from orchestrator.services import compensations, entry_acts, executions, run_retries
from orchestrator.services.errors import Conflict, Invalid, NotFound
from tests.factories.definitions import child, fork, outside, plain, reversible, saga, task
from tests.fakes import fails, loses_after_effect, refuses
from tests.runtime import Runtime, everything_stored

TWO = saga("orders", reversible("a"), reversible("b"))
WAITING = saga("orders", reversible("a"), task("ask", "HUMAN"), reversible("b"))


def _cancel(execution: Execution, **given: Any) -> None:
    values = {"compensate": True, "reason": "changed my mind", **given}
    executions.cancel_execution(actor=None, execution_id=execution.pk, **values)


def _undo(execution: Execution, **given: Any) -> None:
    values = {"reason": "returned", **given}
    compensations.request_compensation(actor=None, execution_id=execution.pk, **values)


def _stuck(runtime: Runtime) -> Execution:
    """Return a run whose undo of b has failed for good, with a waiting behind it."""
    runtime.shop.will("c", refuses)
    runtime.shop.will("undo_b", refuses)
    return runtime.run(saga("orders", reversible("a"), reversible("b"), reversible("c")))


# ---- pause --------------------------------------------------------------------------------------


def test_a_paused_run_dispatches_nothing_until_it_is_resumed(runtime: Runtime) -> None:
    execution = runtime.start(TWO)
    executions.pause_execution(actor=None, execution_id=execution.pk)
    executions.pause_execution(actor=None, execution_id=execution.pk)
    runtime.work_for(30)
    held = runtime.shop.names()

    executions.resume_execution(actor=None, execution_id=execution.pk)
    runtime.work()

    assert held == []
    assert runtime.read(execution).state == "COMPLETED"


def test_a_paused_undo_waits_too(runtime: Runtime) -> None:
    execution = runtime.run(TWO)
    _undo(execution)
    executions.pause_execution(actor=None, execution_id=execution.pk)
    runtime.work_for(30)
    held = runtime.shop.names()

    executions.resume_execution(actor=None, execution_id=execution.pk)
    runtime.work()

    assert held == ["a", "b"]
    assert runtime.read(execution).state == "COMPENSATED"


def test_a_timer_that_passes_in_a_pause_is_taken_after_it(runtime: Runtime) -> None:
    wait = task("pause", "WAIT", inputParameters={"duration": "5 seconds"})
    execution = runtime.start(saga("slow", wait, reversible("a")))
    executions.pause_execution(actor=None, execution_id=execution.pk)
    runtime.work_for(10)
    held = runtime.shop.names()

    executions.resume_execution(actor=None, execution_id=execution.pk)
    runtime.work_for(2)

    assert held == []
    assert runtime.read(execution).state == "COMPLETED"


# ---- cancel and undo ----------------------------------------------------------------------------


def test_cancel_undoes_what_was_done(runtime: Runtime) -> None:
    execution = runtime.run(WAITING)

    _cancel(execution)
    runtime.work()

    ended = runtime.read(execution)
    assert (ended.state, ended.outcome) == ("COMPENSATED", "TERMINATED")
    assert runtime.shop.names() == ["a", "undo_a"]


def test_cancel_without_undo_leaves_what_was_done(runtime: Runtime) -> None:
    execution = runtime.run(WAITING)

    _cancel(execution, compensate=False)
    runtime.work()

    assert runtime.read(execution).state == "TERMINATED"
    assert runtime.ledger(execution) == {"a": "ARMED"}
    assert runtime.shop.standing() == ["a"]


def test_cancel_never_shortens_an_undo(runtime: Runtime) -> None:
    """Invariant 25."""
    runtime.shop.will("undo_b", fails)
    execution = runtime.run(TWO)
    _undo(execution)
    runtime.work()

    _cancel(execution, compensate=False)
    runtime.work_for(3)

    assert runtime.read(execution).state == "COMPENSATED"
    assert runtime.shop.standing() == []


def test_cancel_stops_a_child_and_undoes_both(runtime: Runtime) -> None:
    runtime.publish(saga("packing", reversible("b"), task("ask", "HUMAN")))
    execution = runtime.run(saga("orders", reversible("a"), child("pack", "packing")))

    _cancel(execution)
    runtime.work()

    inner = Execution.objects.get(parent_id=execution.pk)
    assert (runtime.read(execution).state, inner.state) == ("COMPENSATED", "COMPENSATED")
    assert runtime.shop.names() == ["a", "b", "undo_b", "undo_a"]


def test_the_preview_is_the_plan(runtime: Runtime) -> None:
    definition = saga(
        "orders", reversible("a"), *fork("f", [reversible("b")], [reversible("c")]), reversible("d")
    )
    execution = runtime.run(definition)

    shown = compensations.preview(actor=None, execution_id=execution.pk)
    _undo(execution)
    plan = runtime.read(execution).plans.get()

    assert (plan.hash, plan.entries, plan.edges) == (
        shown["hash"],
        shown["entries"],
        shown["edges"],
    )
    assert len(plan.entries) == 4


def test_a_completed_run_is_undone_on_request(runtime: Runtime) -> None:
    execution = runtime.run(TWO)

    _undo(execution)
    _undo(execution)
    runtime.work()

    ended = runtime.read(execution)
    assert (ended.state, ended.outcome) == ("COMPENSATED", "COMPLETED")
    assert runtime.shop.names() == ["a", "b", "undo_b", "undo_a"]
    assert ended.plans.count() == 1


def test_a_chosen_entry_is_undone_and_the_rest_later(runtime: Runtime) -> None:
    execution = runtime.run(TWO)
    steps = runtime.steps(execution)

    _undo(execution, entries=[str(steps["b"].pk)])
    runtime.work()
    first = runtime.read(execution).state, runtime.ledger(execution)
    _undo(execution)
    runtime.work()

    assert first == ("PARTIALLY_COMPENSATED", {"a": "ARMED", "b": "COMPENSATED"})
    assert runtime.read(execution).state == "COMPENSATED"
    assert runtime.shop.names() == ["a", "b", "undo_b", "undo_a"]


def test_an_entry_cannot_be_chosen_without_what_came_after_it(runtime: Runtime) -> None:
    execution = runtime.run(TWO)
    steps = runtime.steps(execution)
    before = everything_stored()

    with pytest.raises(Conflict) as refused:
        _undo(execution, entries=[str(steps["a"].pk)])

    assert refused.value.details["missing"] == [
        {"id": str(steps["b"].pk), "taskReferenceName": "b"}
    ]
    assert everything_stored() == before


# ---- stuck undos --------------------------------------------------------------------------------


def test_an_operator_has_a_failed_undo_tried_again(runtime: Runtime) -> None:
    execution = _stuck(runtime)
    entry = runtime.steps(execution)["b"]

    entry_acts.retry_entry(actor=None, entry_id=entry.pk, reason="mended")
    runtime.work()

    assert runtime.read(execution).state == "COMPENSATED"
    assert len(runtime.shop.keys("undo_b")) == 1
    assert runtime.shop.standing() == []


def test_an_operator_waives_a_failed_undo(runtime: Runtime) -> None:
    execution = _stuck(runtime)
    entry = runtime.steps(execution)["b"]

    entry_acts.skip_entry(actor=None, entry_id=entry.pk, reason="small sum")
    runtime.work()

    assert runtime.read(execution).state == "PARTIALLY_COMPENSATED"
    assert runtime.ledger(execution) == {"a": "COMPENSATED", "b": "SKIPPED", "c": "VOID"}
    assert runtime.shop.standing() == ["b"]


def test_an_operator_takes_an_undo_over_and_ends_it_by_hand(runtime: Runtime) -> None:
    execution = _stuck(runtime)
    entry = runtime.steps(execution)["b"]

    entry_acts.send_to_manual(actor=None, entry_id=entry.pk, reason="by phone")
    runtime.work()
    manual = runtime.ledger(execution)["b"], runtime.read(execution).state
    entry_acts.resolve_entry(actor=None, entry_id=entry.pk, reason="done", note="ticket 7")
    runtime.work()

    assert manual == ("MANUAL", "NEEDS_ATTENTION")
    assert runtime.read(execution).state == "PARTIALLY_COMPENSATED"
    assert runtime.ledger(execution)["b"] == "RESOLVED_MANUALLY"


@pytest.mark.parametrize("reason", ["", "   "])
def test_an_act_without_a_reason_is_refused(runtime: Runtime, reason: str) -> None:
    execution = _stuck(runtime)
    entry = runtime.steps(execution)["b"]
    before = everything_stored()

    with pytest.raises(Invalid):
        entry_acts.skip_entry(actor=None, entry_id=entry.pk, reason=reason)

    assert everything_stored() == before


def test_a_person_answers_whether_it_happened(runtime: Runtime) -> None:
    runtime.shop.will("b", loses_after_effect)
    step = reversible("b", onUnknown=["ASK"])
    execution = runtime.run(saga("orders", reversible("a"), step))
    asked = runtime.read(execution).state
    unknown = runtime.steps(execution)["b"]

    entry_acts.settle_step(
        actor=None, execution_id=execution.pk, step_id=unknown.pk, applied=True, reason="seen"
    )
    runtime.work()

    assert asked == "NEEDS_ATTENTION"
    assert runtime.read(execution).state == "COMPENSATED"
    assert runtime.shop.standing() == []


# ---- retry of a run -----------------------------------------------------------------------------


def test_a_failed_plain_run_goes_on_from_its_failed_step(runtime: Runtime) -> None:
    runtime.shop.will("b", refuses)
    execution = runtime.run(plain("plainly", outside("a"), outside("b"), outside("c")))
    failed = runtime.read(execution).state

    run_retries.retry_execution(actor=None, execution_id=execution.pk)
    runtime.work()

    assert failed == "FAILED"
    assert runtime.read(execution).state == "COMPLETED"
    assert runtime.shop.names() == ["a", "b", "b", "c"]
    assert len(runtime.shop.keys("b")) == 1


def test_a_run_with_a_dispatched_undo_is_not_tried_again(runtime: Runtime) -> None:
    """Invariant 27."""
    execution = _stuck(runtime)
    before = everything_stored()

    with pytest.raises(Conflict):
        run_retries.retry_execution(actor=None, execution_id=execution.pk)

    assert everything_stored() == before


# ---- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "act",
    [
        _cancel,
        lambda run: executions.pause_execution(actor=None, execution_id=run.pk),
        lambda run: executions.resume_execution(actor=None, execution_id=run.pk),
        lambda run: run_retries.retry_execution(actor=None, execution_id=run.pk),
        lambda run: entry_acts.settle_step(
            actor=None,
            execution_id=run.pk,
            step_id=run.steprun_set.get(reference="a").pk,
            applied=True,
            reason="why not",
        ),
        lambda run: entry_acts.retry_entry(
            actor=None, entry_id=run.steprun_set.get(reference="a").pk, reason="why not"
        ),
        lambda run: _undo(run, reason=""),
        lambda run: _undo(run, entries=[]),
        lambda run: _undo(run, entries=[str(run.pk)]),
    ],
)
def test_what_cannot_be_done_to_a_completed_run_changes_nothing(runtime: Runtime, act) -> None:
    execution = runtime.run(TWO)
    before = everything_stored()

    with pytest.raises((Conflict, Invalid)):
        act(execution)

    assert everything_stored() == before


@pytest.mark.parametrize("key", ["nonsense", "01a209bb-6525-8a34-a457-a16a848ac445"])
def test_what_does_not_exist_is_not_found(runtime: Runtime, key: str) -> None:
    with pytest.raises(NotFound):
        executions.cancel_execution(actor=None, execution_id=key, compensate=True, reason="x")
    with pytest.raises(NotFound):
        entry_acts.retry_entry(actor=None, entry_id=key, reason="x")
    with pytest.raises(NotFound):
        compensations.preview(actor=None, execution_id=key)


def test_the_journal_has_no_gaps(runtime: Runtime) -> None:
    execution = _stuck(runtime)

    numbers = ExecutionEvent.objects.filter(execution_id=execution.pk).values_list("seq", flat=True)

    assert sorted(numbers) == list(range(1, len(numbers) + 1))
    assert runtime.read(execution).head == len(numbers)
