"""The database goes away for a moment: what was under way is done again with the same keys."""

from functools import partial

import psycopg

from tests.failure.conftest import Cluster
from tests.failure.machines import TERMINAL, until

CUTS = 6


def test_connections_cut_in_the_middle_cost_time_only(cluster: Cluster):
    machine = cluster.machine
    good = [machine.run().start() for _ in range(3)]
    bad = [machine.run(refuse="finish").start() for _ in range(3)]
    runs = [*good, *bad]
    cut = 0

    for _ in range(CUTS):
        seen = _revisions(cluster)
        if all(run.state in TERMINAL for run in runs):
            break
        cut += _cut_all(cluster)
        until(partial(_has_moved, cluster, seen), "somebody goes on after a cut")

    assert cut >= 3
    assert [run.wait_ended() for run in good] == ["COMPLETED"] * 3
    assert [run.wait_ended() for run in bad] == ["COMPENSATED"] * 3
    for run in runs:
        run.check_books()


def _revisions(cluster: Cluster) -> int:
    rows = cluster.machine.rows("SELECT sum(revision) FROM orchestrator_execution")
    return int(rows[0][0])


def _has_moved(cluster: Cluster, seen: int) -> bool:
    return _revisions(cluster) != seen


def _cut_all(cluster: Cluster) -> int:
    """Cut every connection to the database of the installation but our own."""
    statement = (
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    url = cluster.machine.installation.environment["DATABASE_URL"]
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(statement).fetchone()
    return int(row[0]) if row is not None else 0
