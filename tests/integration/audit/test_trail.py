"""The chain of entries: linked, refused by the database to be changed, and found out if it was."""

import json

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.utils import DatabaseError

from orchestrator.audit import chain, context, log, selectors, triggers
from orchestrator.audit.models import AuditEntry, AuditHead
from orchestrator.audit.selectors import Filters, Verdict


@pytest.fixture
def trail(db):
    """Five acts about one workflow."""
    somebody = User.objects.create_user("somebody")
    with transaction.atomic():
        return [
            log.record("draft.save", "orders", somebody, reason=f"try {number}", changes={"n": 1.0})
            for number in range(1, 6)
        ]


@pytest.fixture
def guarded(trail):
    """The same, under the guard that other tests are spared."""
    triggers.install(connection)
    yield trail
    triggers.remove(connection)


def test_entries_are_numbered_and_linked(trail):
    rows = list(AuditEntry.objects.order_by("seq"))

    assert [row.seq for row in rows] == [1, 2, 3, 4, 5]
    assert rows[0].previous_hash == "0" * 64
    assert [row.previous_hash for row in rows[1:]] == [row.hash for row in rows[:-1]]
    assert [row.at for row in rows] == sorted(row.at for row in rows)
    head = AuditHead.objects.get()
    assert (head.seq, head.hash) == (5, rows[-1].hash)


def test_untouched_trail_verifies(trail):
    assert selectors.verify() == Verdict(ok=True, checked=5)


def test_empty_trail_verifies(db):
    assert selectors.verify() == Verdict(ok=True, checked=0)


def test_entry_says_where_the_act_came_from(db):
    tokens = [
        (variable, variable.set(value))
        for variable, value in (
            (context.request_id, "request-1"),
            (context.address, "203.0.113.9"),
            (context.key_id, "key-1"),
        )
    ]
    with transaction.atomic():
        log.record("execution.start", "0198", None, workflow="orders", reason="a\0b\ud800")
    for variable, token in tokens:
        variable.reset(token)

    shown = selectors.public(AuditEntry.objects.get())
    assert {
        name: shown[name] for name in ("actor", "address", "keyId", "requestId", "workflow")
    } == {
        "actor": "system",
        "address": "203.0.113.9",
        "keyId": "key-1",
        "requestId": "request-1",
        "workflow": "orders",
    }
    assert (shown["subjectType"], shown["reason"]) == ("execution", "a\ufffdb?")


def test_refused_transaction_leaves_no_entry_and_no_gap(trail):
    somebody = User.objects.get()
    with transaction.atomic():
        log.record("draft.save", "orders", somebody)
        transaction.set_rollback(True)

    with transaction.atomic():
        log.record("draft.save", "orders", somebody)

    assert selectors.verify() == Verdict(ok=True, checked=6)


def test_unknown_action_is_a_bug(db):
    with pytest.raises(log.AuditError), transaction.atomic():
        log.record("draft.burn", "orders", None)


@pytest.mark.parametrize(
    "change",
    [
        {"reason": "nothing to see"},
        {"actor": "somebody else"},
        {"actor_id": 999},
        {"action": "workflow.publish"},
        {"subject": "other"},
        {"workflow": "other"},
        {"changes": json.dumps({"n": 2})},
        {"result": "refused"},
        {"address": "203.0.113.1"},
        {"previous_hash": "1" * 64},
        {"hash": "1" * 64},
    ],
    ids=lambda change: next(iter(change)),
)
def test_changed_entry_is_found(trail, change):
    """Invariant 47."""
    AuditEntry.objects.filter(seq=3).update(**change)

    verdict = selectors.verify()

    assert (verdict.ok, verdict.checked, verdict.broken_at) == (False, 2, 3)


def test_changed_entry_with_a_fresh_hash_is_found_at_the_next(trail):
    entry = AuditEntry.objects.get(seq=3)
    entry.reason = "another story"
    entry.hash = chain.hash_of(entry)
    entry.save()

    verdict = selectors.verify()

    assert (verdict.ok, verdict.broken_at) == (False, 4)


@pytest.mark.parametrize(
    ("gone", "broken_at"), [([1], 2), ([3], 4), ([4, 5], 4), ([1, 2, 3, 4, 5], 1)]
)
def test_missing_entries_are_found(trail, gone, broken_at):
    """Invariant 47."""
    AuditEntry.objects.filter(seq__in=gone).delete()

    verdict = selectors.verify()

    assert (verdict.ok, verdict.broken_at) == (False, broken_at)


def test_missing_head_is_found_and_nothing_more_is_written(trail):
    AuditHead.objects.all().delete()

    assert selectors.verify().ok is False
    with pytest.raises(log.AuditError), transaction.atomic():
        log.record("draft.save", "orders", None)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_auditentry SET reason = 'x' WHERE seq = 2",
        "DELETE FROM audit_auditentry WHERE seq = 5",
        "DELETE FROM audit_auditentry",
    ],
)
def test_database_refuses_to_change_entries(guarded, statement):
    before = list(AuditEntry.objects.order_by("seq").values())

    with pytest.raises(DatabaseError, match="never changed"), transaction.atomic():
        connection.cursor().execute(statement)

    assert list(AuditEntry.objects.order_by("seq").values()) == before


@pytest.mark.postgresql
def test_postgresql_refuses_to_truncate(guarded):
    with pytest.raises(DatabaseError, match="never changed"), transaction.atomic():
        connection.cursor().execute("TRUNCATE audit_auditentry")

    assert AuditEntry.objects.count() == 5


@pytest.mark.skipif(connection.vendor != "sqlite", reason="SQLite's own statement")
def test_sqlite_refuses_to_replace(guarded):
    with pytest.raises(DatabaseError, match="never changed"), transaction.atomic():
        connection.cursor().execute(
            "INSERT OR REPLACE INTO audit_auditentry SELECT * FROM audit_auditentry WHERE seq = 2"
        )

    assert AuditEntry.objects.count() == 5


def test_guard_lets_entries_be_added(guarded):
    with transaction.atomic():
        log.record("draft.save", "orders", None)

    assert selectors.verify() == Verdict(ok=True, checked=6)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (Filters(subject="orders"), 5),
        (Filters(subject="order"), 0),
        (Filters(action="draft.save"), 5),
        (Filters(actor="somebody"), 5),
        (Filters(text="TRY 3"), 1),
        (Filters(subject="orders", actor="nobody"), 0),
    ],
)
def test_filters(trail, filters, expected):
    assert selectors.entries(filters).count() == expected
