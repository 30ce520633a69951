"""Selected rows into the values that decisions know: executions and step runs."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from orchestrator.engine.snapshot import ExecutionView, StepRun
from orchestrator.engine.states import (
    Direction,
    EntryState,
    ExecutionState,
    ForwardResult,
    StepState,
)
from orchestrator.models import Execution
from orchestrator.models import StepRun as StepRow
from orchestrator.store import wire
from orchestrator.store.statements import table_of

STEP_COLUMNS = tuple(name for name in StepRun.__slots__ if name != "is_light")
LIGHT_COLUMNS = tuple(
    name for name in STEP_COLUMNS if name not in {"input", "output", "variables", "dynamic"}
)
EXECUTION_COLUMNS = tuple(ExecutionView.__slots__)
_EXTRA_COLUMNS = ("version_id", "task_policies")
_ALL_COLUMNS = (*EXECUTION_COLUMNS, *_EXTRA_COLUMNS)


def execution_list(prefix: str = "") -> str:
    """Return the select list that `execution_from` reads."""
    return table_of(Execution).select(_ALL_COLUMNS, prefix)


def execution_from(row: Sequence[Any]) -> tuple[ExecutionView, int, dict[str, Any]]:
    """Return an execution, its version's id, and the TaskDefs it keeps."""
    readers = table_of(Execution).readers(_ALL_COLUMNS)
    values = dict(zip(_ALL_COLUMNS, _read(row, readers), strict=True))
    version_id, task_policies = (values.pop(name) for name in _EXTRA_COLUMNS)
    values["state"] = ExecutionState(values["state"])
    if values["outcome"] is not None:
        values["outcome"] = ForwardResult(values["outcome"])
    for name in ("paused", "is_saga"):
        values[name] = bool(values[name])
    return ExecutionView(**values), version_id, task_policies


def select_runs(condition: str, *, light: bool = False) -> str:
    """Return the statement for the step runs, called `s`, that a condition selects."""
    table = table_of(StepRow)
    columns = table.select(_step_columns(light=light), "s.")
    return f"SELECT {columns} FROM {table.name} s WHERE {condition}"  # noqa: S608


def runs_from(found: wire.Rows, *, light: bool = False) -> list[tuple[str, StepRun]]:
    """Return (execution id, step run) of what `select_runs` has found."""
    columns = _step_columns(light=light)
    readers = table_of(StepRow).readers(columns)
    return [_step_run(columns, _read(row, readers), light=light) for row in found]


@cache
def _step_columns(*, light: bool) -> tuple[str, ...]:
    return ("execution_id", *(LIGHT_COLUMNS if light else STEP_COLUMNS))


def _read(row: Sequence[Any], readers: tuple[tuple[int, Callable[[Any], Any]], ...]) -> list[Any]:
    values = list(row)
    for index, reader in readers:
        values[index] = reader(values[index])
    return values


def _step_run(columns: Sequence[str], row: list[Any], *, light: bool) -> tuple[str, StepRun]:
    values = dict(zip(columns[1:], row[1:], strict=True))
    values["state"] = StepState(values["state"])
    values["direction"] = Direction(values["direction"])
    if values["entry_state"] is not None:
        values["entry_state"] = EntryState(values["entry_state"])
    values["caused_by"] = tuple(values["caused_by"])
    if values["undo_next"] is not None:
        values["undo_next"] = tuple(values["undo_next"])
    for name in ("doubt", "partial"):
        values[name] = bool(values[name])
    return row[0], StepRun(**values, is_light=light)
