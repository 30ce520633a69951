"""Step runs of a queue with the executions they belong to: found, locked and read on one way."""

from django.db import connection

from orchestrator.models import Execution, StepRun
from orchestrator.store import claims, clock, load, rows, wire
from orchestrator.store.claims import Due
from orchestrator.store.load import Loaded
from orchestrator.store.statements import table_of


def lock_due(*, queue: str, limit: int) -> tuple[list[Due], dict[str, Loaded]]:
    """Return step runs that a worker of this queue may take, the longest due first.

    Their executions are locked; those that somebody else holds are left out.
    """
    if connection.vendor == "sqlite":
        found = claims.due_on_queue(queue=queue, limit=limit)
        return found, load.lock_executions({due.execution_id for due in found})
    steps, executions = table_of(StepRun).name, table_of(Execution).name
    now, moments = clock.in_sql()
    parameters = [queue, *moments]
    # What is returned of an execution is its newest version: that is the one which gets locked.
    locked, times, runs = wire.ask(
        (
            (
                f"SELECT s.id::text, {rows.execution_list('e.')} FROM {steps} s "  # noqa: S608
                f"JOIN {executions} e ON e.id = s.execution_id WHERE {claims.DISPATCHABLE} "
                f"AND {claims.DUE_ON_QUEUE.format(s='s', now=now)} ORDER BY s.due_at LIMIT %s "
                "FOR NO KEY UPDATE OF e SKIP LOCKED"
            ),
            [*parameters, limit],
        ),
        ("SELECT clock_timestamp()", []),
        (
            rows.select_runs(
                f"s.execution_id IN (SELECT c.execution_id FROM {steps} c "  # noqa: S608
                f"JOIN {executions} e ON e.id = c.execution_id "
                f"WHERE {claims.DUE_ON_QUEUE.format(s='c', now=now)} "
                f"AND COALESCE((e.frontier->>'seq')::integer, 0) <= {load.MOST_OF_SHORT} "
                "ORDER BY c.due_at LIMIT %s)"
            ),
            [*parameters, limit],
        ),
    )
    clock.hear(times[0][0])
    found = []
    loaded: dict[str, Loaded] = {}
    for step_run_id, *row in locked:
        one = load.new_loaded(*rows.execution_from(row))
        loaded.setdefault(one.view.id, one)
        found.append(Due(step_run_id=step_run_id, execution_id=one.view.id, queue=queue))
    # The third statement may have met others than the first; what it left out is asked for later.
    load.keep_all(loaded, rows.runs_from(runs))
    return found, loaded
