"""Reads pages of the list of runs from a database that is filled with as many as asked for."""

import itertools
import statistics
import sys
import time

import django
from django.core.management import call_command

django.setup()

from django.db import connection, reset_queries  # noqa: E402 - only after the set-up

from bench import definitions  # noqa: E402
from orchestrator.selectors.executions import ExecutionFilters, executions_page  # noqa: E402
from orchestrator.services import executions, versions  # noqa: E402

FILTERS = (
    ExecutionFilters(),
    ExecutionFilters(states=("COMPLETED",)),
    ExecutionFilters(states=("COMPENSATED",)),
    ExecutionFilters(workflow=definitions.ORDER),
    ExecutionFilters(workflow=definitions.ORDER, states=("COMPENSATED",)),
    ExecutionFilters(correlation_id="customer-77"),
)
SPREAD_DAYS = 30


def fill(count: int) -> None:
    """Copy one real row, with ids, states, times and correlations of their own."""
    call_command("migrate", verbosity=0)
    versions.register(actor=None, document=definitions.order())
    first = executions.start_execution(
        actor=None, workflow_name=definitions.ORDER, input={"order": "1"}
    )
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT column_name FROM information_schema.columns "
            "WHERE table_name = 'orchestrator_execution' AND table_schema = 'public'"
        )
        names = [row[0] for row in cursor.fetchall()]
        moment = f"now() - (%(count)s - number) * interval '{SPREAD_DAYS} days' / %(count)s"
        # As UUIDv7 has it: ids sort by time of start.
        stamp = f"lpad(to_hex((extract(epoch FROM {moment}) * 1000)::bigint), 12, '0')"
        key = f"({stamp} || '7' || lpad(to_hex(number), 19, '0'))::uuid"
        state = (
            "CASE WHEN number %% 50 = 0 THEN 'COMPENSATED' WHEN number %% 200 = 1 THEN 'RUNNING' "
            "ELSE 'COMPLETED' END"
        )
        own = {
            "id": key,
            "root_id": key,
            "state": state,
            "created_at": moment,
            "started_at": moment,
            "updated_at": moment,
            "ended_at": moment,
            "wake_at": "NULL",
            "correlation_id": "'customer-' || (number %% 1000)",
        }
        selected = ", ".join(own.get(name, f"one.{name}") for name in names)
        cursor.execute(
            f"INSERT INTO orchestrator_execution ({', '.join(names)}) SELECT {selected} "  # noqa: S608 - our own names
            "FROM orchestrator_execution one, generate_series(1, %(count)s) AS number "
            "WHERE one.id = %(first)s",
            {"count": count, "first": first.id},
        )
        cursor.execute("VACUUM ANALYZE orchestrator_execution")


def p95_ms(looks: int) -> float:
    """Return the 95th centile of the time a page takes, over all filters."""
    times = []
    for filters, _ in zip(itertools.cycle(FILTERS), range(looks), strict=False):
        began = time.perf_counter()
        executions_page(actor=None, filters=filters, limit=50)
        times.append((time.perf_counter() - began) * 1000)
        reset_queries()
    return statistics.quantiles(times, n=20)[18]


def main() -> None:
    """Fill the database, then look at as many pages as each line says."""
    fill(int(sys.argv[1]))
    p95_ms(len(FILTERS) * 5)
    print("ready", flush=True)
    for line in sys.stdin:
        print(p95_ms(int(line)), flush=True)


main()
