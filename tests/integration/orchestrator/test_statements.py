"""Hand-written SQL keeps every value as it was given, on both databases."""

import uuid
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from orchestrator.models import Execution, StepRun, Timer
from orchestrator.store import load, rows, statements
from orchestrator.store.statements import table_of
from tests.factories.definitions import reversible, saga
from tests.runtime import Runtime

MOMENT = datetime(2026, 5, 4, 12, 30, 59, 123456, tzinfo=UTC)
VALUES = [
    {},
    {"null": None, "list": [None, True, False], "empty": ""},
    {"text": "größer than `ticks` \"double\" 'single' \\ % %s {} ; -- 🦊 \u2028 \t\n"},
    {"numbers": [0, -1, 2**53 + 1, 0.1, 1e-9, 123456789.125]},
    {"deep": {"deeper": [{"deepest": [[[]]]}]}},
]


@pytest.fixture
def execution(runtime: Runtime) -> Execution:
    return runtime.start(saga("orders", reversible("a")))


def _row(execution: Execution, **given: Any) -> dict[str, Any]:
    own = statements.uuids([str(execution.pk)])
    [(_, run), *_] = load.step_runs("s.execution_id = %s", own)
    row = {name: getattr(run, name) for name in rows.STEP_COLUMNS}
    key = str(uuid.uuid4())
    return {**row, "execution_id": str(execution.pk), "id": key, "attempt_id": key, **given}


def _insert(execution: Execution, **given: Any) -> StepRun:
    row = _row(execution, **given)
    statements.insert(table_of(StepRun), [row])
    return StepRun.objects.get(pk=row["id"])


@pytest.mark.parametrize("value", VALUES)
def test_json_comes_back_as_it_was(execution: Execution, value: Any) -> None:
    stored = _insert(execution, input=value, output=value, variables=None)

    [(_, read)] = load.step_runs("s.id = %s", statements.uuids([str(stored.pk)]))

    assert (stored.input, stored.output, stored.variables) == (value, value, None)
    assert (read.input, read.output, read.variables) == (value, value, None)


def test_nothing_is_null_and_not_the_json_word(execution: Execution) -> None:
    stored = _insert(execution, output=None, amount=None)

    nulls = StepRun.objects.filter(pk=stored.pk, output__isnull=True, amount__isnull=True)

    assert nulls.exists()


def test_times_keep_their_microseconds_and_their_zone(execution: Execution) -> None:
    elsewhere = MOMENT.astimezone(timezone(timedelta(hours=5, minutes=30)))

    stored = _insert(execution, due_at=elsewhere, started_at=MOMENT, ended_at=None)
    [(_, read)] = load.step_runs("s.id = %s", statements.uuids([str(stored.pk)]))

    assert (stored.due_at, stored.started_at, stored.ended_at) == (MOMENT, MOMENT, None)
    assert (read.due_at, read.started_at, read.ended_at) == (MOMENT, MOMENT, None)
    assert StepRun.objects.filter(due_at__lte=MOMENT, pk=stored.pk).exists()
    assert not StepRun.objects.filter(due_at__lt=MOMENT, pk=stored.pk).exists()


def test_plain_columns_keep_their_types(execution: Execution) -> None:
    child = str(uuid.uuid4())
    stored = _insert(
        execution,
        reason="o'brien ünï 🦊",
        doubt=True,
        partial=False,
        settle_seq=None,
        priority=99,
        child_id=child,
        caused_by=("a", "b"),
        undo_next=None,
    )

    [(owner, read)] = load.step_runs("s.id = %s", statements.uuids([str(stored.pk)]))

    assert owner == str(execution.pk)
    assert (read.reason, read.doubt, read.partial) == ("o'brien ünï 🦊", True, False)
    assert (read.settle_seq, read.priority, read.child_id) == (None, 99, child)
    assert (read.caused_by, read.undo_next) == (("a", "b"), None)
    assert stored.child_id == uuid.UUID(child)


def test_rows_of_several_shapes_are_updated_each_in_its_own_columns(execution: Execution) -> None:
    first, second = _insert(execution, reason="one"), _insert(execution, reason="two")
    table = table_of(StepRun)

    statements.update(
        table,
        [
            {"id": str(first.pk), "output": {"x": None}, "due_at": MOMENT},
            {"id": str(second.pk), "reason": "changed", "output": None},
        ],
    )

    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.reason, first.output, first.due_at) == ("one", {"x": None}, MOMENT)
    assert (second.reason, second.output) == ("changed", None)


def test_an_upsert_leaves_one_row_per_key(execution: Execution) -> None:
    keys = ("execution_id", "purpose", "subject")
    table, key = table_of(Timer), str(execution.pk)

    def row(purpose: str, due_at: datetime) -> dict[str, Any]:
        return {"execution_id": key, "purpose": purpose, "subject": "", "due_at": due_at}

    later = MOMENT + timedelta(seconds=1)
    statements.upsert(table, [row("RUN", MOMENT), row("QUIESCE", MOMENT)], keys=keys)
    statements.upsert(table, [row("RUN", later)], keys=keys)
    statements.upsert(table, [], keys=keys)

    kept = Timer.objects.filter(execution=execution).values_list("purpose", "due_at")
    assert sorted(kept) == [("QUIESCE", MOMENT), ("RUN", later)]


def test_delete_takes_the_named_rows_only(execution: Execution) -> None:
    for purpose, subject in (("STEP", "1"), ("STEP", "2"), ("RUN", "1")):
        Timer.objects.create(execution=execution, purpose=purpose, subject=subject, due_at=MOMENT)
    key = str(execution.pk)

    statements.delete(
        table_of(Timer),
        [
            {"execution_id": key, "purpose": "STEP", "subject": "2"},
            {"execution_id": str(uuid.uuid4()), "purpose": "RUN", "subject": "1"},
        ],
    )
    statements.delete(table_of(Timer), [])

    kept = Timer.objects.filter(execution=execution).values_list("purpose", "subject")
    assert sorted(kept) == [("RUN", "1"), ("STEP", "1")]


def test_a_row_that_is_there_is_left_alone_when_conflicts_do_not_matter(
    execution: Execution,
) -> None:
    table = table_of(StepRun)
    stored = _insert(execution, reason="first")
    row = _row(execution, id=str(stored.pk), reason="second")

    statements.insert(table, [row], ignore_conflicts=True)
    statements.insert(table, [])

    stored.refresh_from_db()
    assert stored.reason == "first"
