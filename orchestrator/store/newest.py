"""The newest step run of a reference, now or as it was before another step: what `${…}` reads.

What a savepoint retry has cut off does not count any more for the epochs that began without it
(saga-semantics §11).
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from django.db import connection

from orchestrator.engine.snapshot import StepRun
from orchestrator.engine.states import Direction
from orchestrator.models import StepRun as StepRow
from orchestrator.store import statements
from orchestrator.store.statements import table_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Newest:
    """Which step run is wanted: the newest one that counts."""

    execution_id: str
    reference: str
    below: int | None = None
    """Scheduled before this sequence number."""
    epoch: int | None = None
    """As a step run of this epoch sees it: what later epochs have cut off was still there."""


def among(runs: Iterable[StepRun], one: Newest) -> list[tuple[str, StepRun]]:
    """Find it among the step runs of an execution that are all there."""
    fitting = [
        run
        for run in runs
        if run.reference == one.reference
        and run.direction is Direction.FORWARD
        and (one.below is None or run.seq < one.below)
        and (run.cut_epoch is None or run.cut_epoch > (one.epoch or run.cut_epoch))
    ]
    found = max(fitting, key=lambda run: run.seq, default=None)
    return [(one.execution_id, found)] if found else []


def conditions(wanted: Sequence[Newest]) -> list[tuple[str, list[Any]]]:
    """Return what selects them from the table `s`, with parameters: one look-up per reference."""
    if connection.vendor == "sqlite":
        return [_on_sqlite(one) for one in wanted]
    table = table_of(StepRow)
    condition = (
        f"s.id IN (SELECT newest.id FROM json_to_recordset(%s::json) "  # noqa: S608
        "AS wanted(execution_id uuid, reference text, below integer, epoch integer) "
        f"CROSS JOIN LATERAL (SELECT inner_run.id FROM {table.name} inner_run "
        "WHERE inner_run.execution_id = wanted.execution_id "
        "AND inner_run.reference = wanted.reference AND inner_run.direction = 'FORWARD' "
        "AND (wanted.below IS NULL OR inner_run.seq < wanted.below) "
        "AND (inner_run.cut_epoch IS NULL OR inner_run.cut_epoch > wanted.epoch) "
        "ORDER BY inner_run.seq DESC LIMIT 1) newest)"
    )
    return [(condition, [json.dumps([asdict(one) for one in wanted])])]


def _on_sqlite(one: Newest) -> tuple[str, list[Any]]:
    condition = "s.execution_id = %s AND s.reference = %s AND s.direction = 'FORWARD'"
    parameters: list[Any] = [*statements.uuids([one.execution_id]), one.reference]
    if one.below is not None:
        condition += " AND s.seq < %s"
        parameters.append(one.below)
    condition += " AND (s.cut_epoch IS NULL OR s.cut_epoch > %s)"
    parameters.append(one.epoch)
    return f"{condition} ORDER BY s.seq DESC LIMIT 1", parameters
