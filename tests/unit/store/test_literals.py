"""Values as literals mean themselves, whatever is in them."""

from datetime import UTC, datetime

import pytest

from orchestrator.store.literals import Unspeakable, array, literal, quoted


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("", "''"),
        ("plain", "'plain'"),
        ("o'brien", "'o''brien'"),
        ("'; DROP TABLE x; --", "'''; DROP TABLE x; --'"),
        ("back\\slash", " E'back\\\\slash'"),
        ("both\\'", " E'both\\\\'''"),
        ("%s {} $1", "'%s {} $1'"),
    ],
)
def test_texts_cannot_leave_their_quotes(text, written):
    assert quoted(text) == written


def test_nul_is_refused():
    with pytest.raises(Unspeakable):
        quoted("a\0b")


@pytest.mark.parametrize(
    ("kind", "value", "written"),
    [
        ("plain", None, "NULL"),
        ("json", None, "NULL"),
        ("json", {"a": ["o'x", None]}, "'{\"a\": [\"o''x\", null]}'"),
        ("json", {}, "'{}'"),
        ("plain", True, "true"),
        ("plain", False, "false"),
        ("plain", 17, "17"),
        ("time", datetime(2026, 5, 4, 12, 30, tzinfo=UTC), "'2026-05-04T12:30:00+00:00'"),
    ],
)
def test_values_of_every_kind(kind, value, written):
    assert literal(kind, value) == written


def test_arrays_bear_their_type():
    assert array("uuid", ["a", "b"]) == "'{a,b}'::uuid[]"
