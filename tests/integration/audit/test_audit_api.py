"""Reading, verifying and taking away the trail over the API and by command."""

import csv
import io
import json

import pytest
from django.core.management import call_command

from orchestrator.audit.models import AuditEntry

EVERYTHING = ["ada", "run-of-travel", "travel", "run-of-orders", "orders"]
OF_ORDERS = ["run-of-orders", "orders"]


def text_of(response):
    return b"".join(response.streaming_content).decode()


def subjects(rows):
    """What the entries are about, less what the test itself did."""
    return [
        row["subject"] for row in rows if row["action"] not in {"grants.change", "audit.export"}
    ]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("superuser", EVERYTHING),
        ("auditor", EVERYTHING),
        ("viewer", OF_ORDERS),
        ("admin", OF_ORDERS),
        ("stranger", []),
    ],
)
def test_list_shows_what_the_reader_may_see(reader, kind, expected):
    response = reader(kind).get("/api/v1/audit")

    assert response.status_code == 200
    assert subjects(response.json()["results"]) == expected


@pytest.mark.parametrize(
    ("kind", "verify", "export", "expected"),
    [
        ("superuser", 200, 200, EVERYTHING),
        ("auditor", 200, 200, EVERYTHING),
        ("admin", 403, 200, OF_ORDERS),
        ("publisher", 403, 403, None),
        ("viewer", 403, 403, None),
        ("stranger", 403, 403, None),
    ],
)
def test_verify_and_export_need_a_right(reader, kind, verify, export, expected):
    client = reader(kind)

    assert client.get("/api/v1/audit/verify").status_code == verify
    response = client.get("/api/v1/audit/export", {"format": "jsonl"})

    assert response.status_code == export
    exports = AuditEntry.objects.filter(action="audit.export")
    if expected is None:
        assert exports.count() == 0
        return
    assert subjects([json.loads(line) for line in text_of(response).splitlines()]) == expected
    assert exports.get().actor == kind


def test_pages_follow_each_other_both_ways(reader):
    client = reader("superuser")

    first = client.get("/api/v1/audit", {"limit": 2, "text": "o"}).json()
    second = client.get(first["next"]).json()
    back = client.get(second["previous"]).json()

    seen = [row["seq"] for row in first["results"] + second["results"]]
    assert seen == sorted(seen, reverse=True)
    assert back["results"] == first["results"]
    assert first["previous"] is None


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=201", "limit=x", "cursor=broken", "colour=red", "text=" + "x" * 201]
)
def test_bad_queries_are_malformed(reader, query):
    response = reader("superuser").get(f"/api/v1/audit?{query}")

    assert (response.status_code, response.json()["code"]) == (400, "malformed")


@pytest.mark.parametrize("method", ["put", "patch", "delete", "post"])
def test_nothing_changes_an_entry(reader, method):
    client = reader("superuser")
    before = list(AuditEntry.objects.values())

    for path in ("/api/v1/audit", "/api/v1/audit/1"):
        assert getattr(client, method)(path).status_code in {404, 405}

    assert list(AuditEntry.objects.values()) == before


def test_csv_is_safe_to_open_and_complete(reader):
    response = reader("superuser").get(
        "/api/v1/audit/export", {"format": "csv", "action": "execution.cancel"}
    )

    assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert response.headers["Content-Disposition"] == 'attachment; filename="audit.csv"'
    rows = list(csv.DictReader(io.StringIO(text_of(response), newline="")))
    assert [(row["subject"], row["reason"]) for row in rows] == [
        ("run-of-travel", "'=1+1"),
        ("run-of-orders", "'=1+1"),
    ]


def test_json_lines_keep_reasons_as_they_are(reader):
    response = reader("superuser").get(
        "/api/v1/audit/export", {"format": "jsonl", "subject": "run-of-orders"}
    )

    (row,) = [json.loads(line) for line in text_of(response).splitlines()]
    assert row["reason"] == "=1+1"
    assert row["hash"] == AuditEntry.objects.get(subject="run-of-orders").hash


def test_unknown_format_is_malformed_and_no_export(reader):
    response = reader("superuser").get("/api/v1/audit/export", {"format": "pdf"})

    assert response.status_code == 400
    assert not AuditEntry.objects.filter(action="audit.export").exists()


def test_verify_names_the_broken_entry(reader):
    client = reader("superuser")
    assert client.get("/api/v1/audit/verify").json() == {
        "ok": True,
        "checked": 5,
        "brokenAt": None,
        "problem": "",
    }

    AuditEntry.objects.filter(seq=2).update(reason="other")

    answer = client.get("/api/v1/audit/verify").json()
    assert (answer["ok"], answer["brokenAt"]) == (False, 2)


def test_command_verifies(acts, capsys):
    call_command("audit", "verify")
    assert capsys.readouterr().out == "The chain holds: 5 entries.\n"

    AuditEntry.objects.filter(seq=2).update(reason="other")

    with pytest.raises(SystemExit) as ended:
        call_command("audit", "verify")
    assert ended.value.code == 1
    assert capsys.readouterr().err == "Entry 2: Its content does not match its hash.\n"


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_command_exports(acts, capsys, form):
    call_command("audit", "export", "--format", form, "--subject", "orders")

    text = capsys.readouterr().out
    rows = (
        list(csv.DictReader(io.StringIO(text, newline="")))
        if form == "csv"
        else [json.loads(line) for line in text.splitlines()]
    )
    assert [row["action"] for row in rows] == ["workflow.create"]
    assert AuditEntry.objects.get(action="audit.export").actor == "system"
