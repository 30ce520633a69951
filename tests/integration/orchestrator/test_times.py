"""Business times on rows: timers of waiting and of ended runs, moved by the ticker alone (§10)."""

from datetime import timedelta
from typing import Any

from orchestrator.engine.states import Direction
from orchestrator.models import Execution, StepRun, Timer
from orchestrator.selectors import executions as reads
from orchestrator.services import compensations, control
from tests.factories.definitions import outside, reversible, saga, task
from tests.runtime import Runtime

YEAR = 366 * 86400
CONFIRM = {"confirm": {"tasks": [task("ok")]}}


def completed(runtime: Runtime, *tasks: dict[str, Any], **settings: Any) -> Execution:
    runtime.handle("ok")
    run = runtime.run(saga("orders", *tasks, settings=settings))
    assert run.state == "COMPLETED"
    return run


def undo(run: Execution) -> None:
    compensations.request_compensation(actor=None, execution_id=run.pk, reason="not wanted")


def timers(run: Execution) -> dict[str, Any]:
    rows = Timer.objects.filter(execution=run)
    found = {row.purpose: row.due_at for row in rows}
    assert len(found) == rows.count()
    return found


def entry_of(run: Execution, reference: str = "a") -> dict[str, Any]:
    detail = reads.execution_detail(actor=None, execution_id=run.pk)
    return next(dict(row) for row in detail["ledger"] if row["taskReferenceName"] == reference)


def test_window_of_an_ended_run_closes_after_a_year_and_is_confirmed_once(
    runtime: Runtime,
) -> None:
    run = completed(runtime, reversible("a", window="P366D", **CONFIRM))
    closes = timers(run)["WINDOW"]
    assert entry_of(run)["undoableUntil"] is not None

    runtime.clock.advance(YEAR - 60)
    runtime.work()
    assert runtime.ledger(run) == {"a": "ARMED"}
    runtime.clock.advance(60)
    runtime.work()
    runtime.work_for(3)

    entry = runtime.steps(run)["a"]
    assert closes - entry.ended_at == timedelta(days=366)
    assert runtime.ledger(run) == {"a": "SEALED"}
    assert runtime.read(run).state == "COMPLETED"
    assert runtime.shop.counts()["ok"] == 1
    assert runtime.shop.keys("ok") == {f"k:{entry.pk}"}
    assert timers(run) == {}


def test_undo_waits_a_year_for_its_time(runtime: Runtime) -> None:
    due = runtime.clock.now() + timedelta(seconds=YEAR)
    times = {"notBefore": {"at": due.isoformat()}}
    run = completed(runtime, reversible("a", undo=times))
    undo(run)
    runtime.work()
    assert (runtime.ledger(run), timers(run)["ENTRY"]) == ({"a": "DELAYED"}, due)
    assert entry_of(run)["waitingFor"] == "its time"

    runtime.clock.advance(YEAR - 60)
    runtime.work()
    assert runtime.shop.counts()["undo_a"] == 0
    runtime.clock.advance(60)
    runtime.work()

    assert (runtime.read(run).state, runtime.shop.counts()["undo_a"]) == ("COMPENSATED", 1)


def test_variables_from_outside_move_the_one_timer(runtime: Runtime) -> None:
    start = runtime.clock.now()

    def at(hours: float) -> str:
        return (start + timedelta(hours=hours)).isoformat()

    times = {
        "notBefore": {"at": "${workflow.variables.at}", "lead": "PT1H"},
        "notAfter": {"at": "${compensation.variables.until}"},
    }
    run = completed(runtime, reversible("a", undo=times), outside("b", effect="NONE"))
    row = Execution.objects.filter(pk=run.pk)
    row.update(variables={"at": at(5), "until": at(10)})
    undo(run)
    runtime.work()
    assert timers(run)["ENTRY"] == start + timedelta(hours=4)

    for hours in (9, 3, 7):
        control.change_variables(actor=None, execution_id=run.pk, values={"at": at(hours)})
        assert timers(run)["ENTRY"] == start + timedelta(hours=hours - 1)
        assert timers(run)["NOT_AFTER"] == start + timedelta(hours=10)
    control.change_variables(actor=None, execution_id=run.pk, values={"at": at(0)})
    runtime.work()

    assert runtime.read(run).state == "COMPENSATED"
    assert timers(run) == {}


def test_undo_that_comes_too_late_is_a_persons(runtime: Runtime) -> None:
    times = {"notAfter": {"at": "${workflow.variables.until}"}}
    run = completed(runtime, reversible("a", undo=times))
    until = runtime.clock.now() + timedelta(hours=1)
    Execution.objects.filter(pk=run.pk).update(variables={"until": until.isoformat()})
    runtime.clock.advance(3600)
    undo(run)
    runtime.work()

    assert runtime.ledger(run) == {"a": "MANUAL"}
    assert runtime.shop.counts()["undo_a"] == 0


def test_sealed_entries_are_not_undone_on_request(runtime: Runtime) -> None:
    run = completed(runtime, reversible("a", window="PT1H"), reversible("b"))
    runtime.clock.advance(3600)

    # Nobody has looked at the clock yet, and still the plan leaves it out.
    shown = compensations.preview(actor=None, execution_id=run.pk)
    undo(run)
    runtime.work()

    assert [entry["taskReferenceName"] for entry in shown["entries"]] == ["b"]
    assert runtime.ledger(run) == {"a": "SEALED", "b": "COMPENSATED"}
    assert runtime.read(run).state == "PARTIALLY_COMPENSATED"


def test_deadline_of_the_undo_is_shown_before_and_after_it_passes(runtime: Runtime) -> None:
    times = {"policy": "MANUAL"}
    run = completed(runtime, reversible("a", undo=times), compensationDeadlineSeconds=60)
    undo(run)
    runtime.work()
    plan = reads.execution_detail(actor=None, execution_id=run.pk)["plan"]
    assert (plan["deadlineAt"] is not None, plan["deadlinePassedAt"]) == (True, None)

    runtime.clock.advance(60)
    runtime.work()

    plan = reads.execution_detail(actor=None, execution_id=run.pk)["plan"]
    assert plan["deadlinePassedAt"] is not None
    assert runtime.events(run).count("plan.deadline_passed") == 1
    assert runtime.ledger(run) == {"a": "MANUAL"}


def test_confirm_that_fails_for_good_is_told_and_changes_nothing(runtime: Runtime) -> None:
    runtime.handle("ok")

    def refuse(_shop: Any, _context: Any) -> None:
        raise ValueError("not now")

    runtime.shop.always("ok", refuse)
    run = runtime.run(saga("orders", reversible("a", **CONFIRM)))
    runtime.work_for(10)

    assert (runtime.read(run).state, runtime.ledger(run)) == ("COMPLETED", {"a": "SEALED"})
    assert runtime.shop.counts()["ok"] == 3
    assert runtime.events(run).count("entry.confirm_failed") == 1
    hook = StepRun.objects.get(execution=run, direction=Direction.CONFIRM)
    assert (hook.state, hook.attempt) == ("FAILED", 3)
