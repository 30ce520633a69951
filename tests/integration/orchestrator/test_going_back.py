"""Savepoints, blocks and pivots over rows: what is loaded, kept and offered (§11)."""

from typing import Any

import pytest

from orchestrator.models import Execution, StepRun, Timer
from orchestrator.selectors import executions as selectors
from orchestrator.services import compensations, entry_acts, executions, run_retries
from orchestrator.services.errors import Conflict
from tests.factories.definitions import fork, outside, reversible, saga, task
from tests.fakes import loses, refuses
from tests.runtime import Runtime

AGAIN = {"onFailure": "FORWARD", "maxRetries": 2, "retryDelaySeconds": 0}
NAMES = ("a", "b", "c", "d", "e", "f", "g")


def shown(execution: Execution) -> dict[str, Any]:
    return selectors.execution_detail(actor=None, execution_id=execution.pk)


def chain(**settings: Any) -> dict[str, Any]:
    """Return seven steps, the first a savepoint; the last but one reads the second."""
    tasks = [reversible(name) for name in NAMES]
    tasks[0]["savepoint"] = True
    tasks[5]["inputParameters"]["seen"] = "${b.output.id}"
    return saga("chain", *tasks, settings={**AGAIN, **settings})


def test_a_long_run_goes_back_and_on_with_new_keys(runtime: Runtime) -> None:
    """Invariant 26, over more step runs than are loaded together."""
    runtime.handle(*NAMES)
    runtime.shop.will("g", refuses, refuses)

    execution = runtime.run(chain())

    assert (execution.state, execution.epoch) == ("COMPLETED", 3)
    assert runtime.shop.standing() == list(NAMES)
    assert runtime.shop.keys("b") == {f"f:{execution.pk}:b:e{epoch}" for epoch in (1, 2, 3)}
    last = StepRun.objects.get(execution=execution, reference="f", epoch=3)
    assert last.input["seen"] == f"b-f:{execution.pk}:b:e3"
    assert StepRun.objects.filter(execution=execution, cut_epoch__isnull=False).count() == 12
    detail = shown(execution)
    assert (detail["outcome"], detail["failure"], detail["epoch"]) == ("COMPLETED", None, 3)


def test_the_delay_before_a_retry_is_a_row(runtime: Runtime) -> None:
    runtime.handle(*NAMES)
    runtime.shop.will("g", refuses)
    execution = runtime.run(chain(retryDelaySeconds=30))

    timer = Timer.objects.get(execution=execution, purpose="SAVEPOINT")
    assert execution.epoch == 1
    assert "savepoint" in shown(execution)["waitingOn"]
    runtime.clock.advance((timer.due_at - runtime.clock.now()).total_seconds())
    runtime.work()

    assert runtime.read(execution).state == "COMPLETED"
    assert not Timer.objects.filter(execution=execution, purpose="SAVEPOINT").exists()


def test_the_undo_of_an_earlier_epoch_reads_what_was_then(runtime: Runtime) -> None:
    """The undo's snapshot is of its own epoch, whatever the next one has done (§8)."""
    tasks = [reversible(name) for name in NAMES]
    tasks[0]["savepoint"] = True
    undo = tasks[5]["compensation"]["tasks"][0]
    undo["inputParameters"]["of"] = "${b.output.id}"
    runtime.handle(*NAMES)
    runtime.shop.will("g", refuses)

    execution = runtime.run(saga("chain", *tasks, settings=AGAIN))

    undone = StepRun.objects.get(execution=execution, reference="undo_f")
    assert undone.input["of"] == f"b-f:{execution.pk}:b:e1"


def test_an_optional_block_is_left_behind(runtime: Runtime) -> None:
    runtime.handle("a", "b", "z", "c")
    runtime.shop.will("z", refuses)
    parts = fork("f", [reversible("b"), outside("z", effect="NONE")])
    parts[0] |= {"saga": {}, "optional": True}

    execution = runtime.run(saga("parts", reversible("a"), *parts, reversible("c")))

    assert execution.state == "COMPLETED"
    assert runtime.shop.standing() == ["a", "c"]


def doubtful(runtime: Runtime) -> Execution:
    """Leave a pivot unknown."""
    runtime.handle("a", "p", "b")
    runtime.shop.will("p", loses)
    pivot = outside("p", effect="PIVOT")
    after = outside("b", effect="RETRIABLE")
    return runtime.run(saga("decided", reversible("a"), pivot, after))


def test_a_pivot_nobody_knows_of_waits_for_a_named_answer(runtime: Runtime) -> None:
    """Invariant 24."""
    execution = doubtful(runtime)
    assert execution.state == "NEEDS_ATTENTION"
    assert "“p”" in shown(execution)["waitingOn"]

    step = StepRun.objects.get(execution=execution, reference="p")
    entry_acts.settle_step(
        actor=None, execution_id=execution.pk, step_id=step.pk, applied=True, reason="seen"
    )
    runtime.work()

    assert runtime.read(execution).state == "COMPLETED"
    assert runtime.ledger(execution) == {"a": "ARMED"}


def test_a_dead_end_says_what_to_do(runtime: Runtime) -> None:
    """Invariant 23."""
    runtime.handle("a", "p", "z")
    runtime.shop.will("z", refuses)
    tasks = (reversible("a"), outside("p", effect="PIVOT"), outside("z", effect="NONE"))
    execution = runtime.run(saga("decided", *tasks))

    assert (execution.state, runtime.shop.standing()) == ("NEEDS_ATTENTION", ["a", "p"])
    assert "pivot" in shown(execution)["waitingOn"]
    run_retries.retry_execution(actor=None, execution_id=execution.pk, reason="mended")
    runtime.work()
    assert runtime.read(execution).state == "COMPLETED"


def test_a_compensate_step_undoes_and_goes_on(runtime: Runtime) -> None:
    runtime.handle("a", "b", "c")
    back = task("back", "COMPENSATE", inputParameters={"step": "b", "reason": "not wanted"})

    execution = runtime.run(saga("back", reversible("a"), reversible("b"), back, reversible("c")))

    assert (execution.state, execution.outcome) == ("COMPLETED", "COMPLETED")
    assert runtime.shop.standing() == ["a", "c"]
    assert runtime.states(execution)["back"] == "COMPLETED"


def test_a_run_that_asks_is_answered_by_a_retry(runtime: Runtime) -> None:
    """`onFailure: ASK` (product.md §3)."""
    runtime.handle("a", "z")
    runtime.shop.will("z", refuses)
    failing = outside("z", effect="NONE")
    execution = runtime.run(saga("asks", reversible("a"), failing, settings={"onFailure": "ASK"}))
    assert execution.state == "NEEDS_ATTENTION"

    run_retries.retry_execution(actor=None, execution_id=execution.pk, reason="mended")
    runtime.work()

    assert runtime.read(execution).state == "COMPLETED"


def test_nothing_is_undone_by_a_cancel_while_a_pivot_is_in_doubt(runtime: Runtime) -> None:
    """Invariant 24."""
    execution = doubtful(runtime)
    with pytest.raises(Conflict, match="pivot"):
        executions.cancel_execution(
            actor=None, execution_id=execution.pk, compensate=True, reason="enough"
        )
    assert runtime.read(execution).state == "NEEDS_ATTENTION"


def test_a_run_that_asks_is_answered_by_an_undo(runtime: Runtime) -> None:
    """`onFailure: ASK`: `compensate` answers too (product.md §3)."""
    runtime.handle("a", "z")
    runtime.shop.always("z", refuses)
    failing = outside("z", effect="NONE")
    execution = runtime.run(saga("asks", reversible("a"), failing, settings={"onFailure": "ASK"}))

    compensations.request_compensation(actor=None, execution_id=execution.pk, reason="not worth it")
    runtime.work()

    assert runtime.read(execution).state == "COMPENSATED"
