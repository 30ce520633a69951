"""What makes the database itself refuse to change or delete entries."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

REFUSED = "audit entries are never changed"

_SQLITE = (
    f"""
    CREATE TRIGGER audit_entry_update BEFORE UPDATE ON audit_auditentry
    BEGIN SELECT RAISE(ABORT, '{REFUSED}'); END
    """,
    f"""
    CREATE TRIGGER audit_entry_delete BEFORE DELETE ON audit_auditentry
    BEGIN SELECT RAISE(ABORT, '{REFUSED}'); END
    """,
    # INSERT OR REPLACE deletes without telling the trigger above.
    f"""
    CREATE TRIGGER audit_entry_replace BEFORE INSERT ON audit_auditentry
    WHEN EXISTS (SELECT 1 FROM audit_auditentry WHERE seq = NEW.seq)
    BEGIN SELECT RAISE(ABORT, '{REFUSED}'); END
    """,  # noqa: S608  # our own constant
)
_SQLITE_GONE = tuple(
    f"DROP TRIGGER IF EXISTS audit_entry_{name}" for name in ("update", "delete", "replace")
)
_POSTGRESQL = (
    f"""
    CREATE OR REPLACE FUNCTION audit_entry_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION '{REFUSED}'; END $$
    """,
    """
    CREATE TRIGGER audit_entry_change BEFORE UPDATE OR DELETE ON audit_auditentry
    FOR EACH ROW EXECUTE FUNCTION audit_entry_refuse()
    """,
    """
    CREATE TRIGGER audit_entry_truncate BEFORE TRUNCATE ON audit_auditentry
    FOR EACH STATEMENT EXECUTE FUNCTION audit_entry_refuse()
    """,
)
_POSTGRESQL_GONE = (
    "DROP TRIGGER IF EXISTS audit_entry_change ON audit_auditentry",
    "DROP TRIGGER IF EXISTS audit_entry_truncate ON audit_auditentry",
    "DROP FUNCTION IF EXISTS audit_entry_refuse()",
)


def install(connection: BaseDatabaseWrapper) -> None:
    """Guard the entries; safe to call twice."""
    remove(connection)
    _run(connection, _POSTGRESQL if connection.vendor == "postgresql" else _SQLITE)


def remove(connection: BaseDatabaseWrapper) -> None:
    """Lift the guard, which only tests and going back to before the first migration may do."""
    _run(connection, _POSTGRESQL_GONE if connection.vendor == "postgresql" else _SQLITE_GONE)


def _run(connection: BaseDatabaseWrapper, statements: tuple[str, ...]) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
