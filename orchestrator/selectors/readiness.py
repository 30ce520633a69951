"""What probes and `doctor` ask of the database."""

from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Max
from django.db.models.functions import Now

from orchestrator.models import Worker

SESSION_LIMITS = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")
POOLED_CONNECTIONS = 10


def try_to_write() -> None:
    """Touch no row, by a statement that a read-only database refuses with its error."""
    Worker.objects.filter(host="").update(version="")


def pending_migrations() -> list[str]:
    """Return the migrations that this release brings and the database has not seen."""
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return [f"{migration.app_label}.{migration.name}" for migration, _ in plan]


def seconds_since_last_tick() -> float | None:
    """Return how long ago any ticker reported, by the database's clock; None if none ever did."""
    row = Worker.objects.aggregate(last=Max("last_tick_at"), now=Max(Now()))
    if row["last"] is None:
        return None
    return float((row["now"] - row["last"]).total_seconds())


def missing_limits() -> list[str]:
    """Return the session limits that nobody has set (PostgreSQL; nothing to set on SQLite)."""
    if connection.vendor != "postgresql":
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT name FROM pg_settings WHERE name = ANY(%s) AND setting = '0' ORDER BY name",
            [list(SESSION_LIMITS)],
        )
        return [name for (name,) in cursor.fetchall()]


def free_connections() -> int | None:
    """Return how many more connections the server takes (PostgreSQL; None on SQLite)."""
    if connection.vendor != "postgresql":
        return None
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('max_connections')::int - count(*) FROM pg_stat_activity "
            "WHERE backend_type = 'client backend'"
        )
        (free,) = cursor.fetchone() or (0,)
    return int(free)


def database_version() -> str:
    """Return name and version of the database server."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SHOW server_version")
        else:
            cursor.execute("SELECT sqlite_version()")
        (version,) = cursor.fetchone() or ("",)
    return f"{connection.display_name} {version}"
