"""Drafts over the API: create, load, save, discard, publish; who may, and who was first."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from designer.models import Draft
from orchestrator.audit.models import AuditEntry
from orchestrator.models import Workflow, WorkflowVersion
from orchestrator.services import versions

Clients = Callable[[User], Client]


def a_definition(name: str = "orders", **fields: Any) -> dict[str, Any]:
    task = {"name": "only", "taskReferenceName": "only", "type": "NOOP"}
    return {"name": name, "version": 1, "schemaVersion": 2, "tasks": [task], **fields}


def send(client: Client, method: str, path: str, body: Any) -> Any:
    return client.generic(method, path, json.dumps(body), content_type="application/json")


def created(client: Client, name: str = "orders") -> Any:
    body = {"name": name, "definition": a_definition(name)}
    return send(client, "POST", "/api/v1/workflows", body)


def draft(client: Client, name: str = "orders") -> Any:
    return client.get(f"/api/v1/workflows/{name}/draft").json()


def save(client: Client, revision: str, name: str = "orders", **fields: Any) -> Any:
    body = {"revision": revision, "definition": a_definition(name, **fields)}
    return send(client, "PUT", f"/api/v1/workflows/{name}/draft", body)


def publish(client: Client, revision: str, name: str = "orders") -> Any:
    body = {"revision": revision, "note": "why"}
    return send(client, "POST", f"/api/v1/workflows/{name}/publish", body)


def actions() -> list[str]:
    return list(AuditEntry.objects.order_by("seq").values_list("action", flat=True))


def test_a_new_workflow_is_a_draft_without_version(superuser: User, client_of: Clients) -> None:
    client = client_of(superuser)

    answer = created(client)

    assert answer.status_code == 201
    assert answer.json()["definition"]["tasks"]
    assert draft(client)["revision"] == answer.json()["revision"]
    assert not WorkflowVersion.objects.exists()
    assert actions() == ["workflow.create"]
    assert created(client).status_code == 409


def test_a_life_of_saves_and_versions(superuser: User, client_of: Clients) -> None:
    client = client_of(superuser)
    first = created(client).json()["revision"]

    saved = save(client, first, description="new").json()
    one = publish(client, saved["revision"])
    after = draft(client)
    two = publish(client, after["revision"])

    assert saved["changed"] is True
    assert (one.status_code, one.json()["version"]) == (201, 1)
    assert after["changed"] is False
    assert after["definition"]["description"] == "new"
    assert two.json()["version"] == 2
    assert Workflow.objects.get().versions.get(number=2).document["version"] == 2
    assert actions() == ["workflow.create", "draft.save", "workflow.publish", "workflow.publish"]


def test_the_late_one_is_told_and_loses_nothing(superuser: User, client_of: Clients) -> None:
    client = client_of(superuser)
    old = created(client).json()["revision"]
    save(client, old, description="theirs")

    answer = save(client, old, description="mine")

    assert answer.status_code == 409
    assert answer.headers["Content-Type"] == "application/problem+json"
    newer = answer.json()["draft"]
    assert newer["definition"]["description"] == "theirs"
    assert newer["revision"] == draft(client)["revision"] != old
    assert save(client, newer["revision"], description="mine").status_code == 200


def test_an_old_revision_is_not_published(superuser: User, client_of: Clients) -> None:
    client = client_of(superuser)
    old = created(client).json()["revision"]
    save(client, old)

    assert publish(client, old).status_code == 409
    assert not WorkflowVersion.objects.exists()


def test_a_draft_with_errors_is_saved_but_not_published(
    superuser: User, client_of: Clients
) -> None:
    client = client_of(superuser)
    revision = created(client).json()["revision"]
    task = {"name": "x", "taskReferenceName": "x", "type": "SIMPLE"}

    saved = save(client, revision, saga={}, tasks=[task]).json()
    answer = publish(client, saved["revision"])

    assert answer.status_code == 422
    assert "E1" in {problem["code"] for problem in answer.json()["problems"]}
    assert not WorkflowVersion.objects.exists()
    assert draft(client) == saved


def test_an_untouched_draft_follows_what_is_registered(superuser: User, client_of: Clients) -> None:
    client = client_of(superuser)
    versions.register(actor=None, document=a_definition(description="wire"))
    first = draft(client)

    versions.register(actor=None, document=a_definition(description="again"))
    second = draft(client)

    assert first["definition"]["description"] == "wire"
    assert second["definition"]["description"] == "again"
    assert first["revision"] != second["revision"]
    assert save(client, first["revision"]).status_code == 409


def test_unpublished_work_stays_when_something_is_registered(
    superuser: User, client_of: Clients
) -> None:
    client = client_of(superuser)
    revision = created(client).json()["revision"]
    saved = save(client, revision, description="work").json()

    versions.register(actor=None, document=a_definition(description="wire"))

    assert draft(client) == saved
    assert publish(client, saved["revision"]).json()["version"] == 2


def test_discarding_goes_back_to_the_newest_version(superuser: User, client_of: Clients) -> None:
    client = client_of(superuser)
    revision = created(client).json()["revision"]
    path = "/api/v1/workflows/orders/draft"
    assert send(client, "DELETE", path, {"revision": revision}).status_code == 409
    publish(client, revision)
    saved = save(client, draft(client)["revision"], description="work").json()

    answer = send(client, "DELETE", path, {"revision": saved["revision"]})

    assert answer.status_code == 200
    assert "description" not in answer.json()["definition"]
    assert answer.json()["changed"] is False
    assert actions()[-1] == "draft.discard"


ROLES = [
    ("viewer", 403, 403),
    ("operator", 403, 403),
    ("approver", 403, 403),
    ("editor", 200, 403),
    ("publisher", 200, 201),
    ("admin", 200, 201),
    ("", 404, 404),
]


@pytest.mark.parametrize(("role", "saving", "publishing"), ROLES)
def test_who_may_save_and_publish(
    *,
    superuser: User,
    make_user: Callable[[str], User],
    give_role: Callable[..., bool],
    client_of: Clients,
    role: str,
    saving: int,
    publishing: int,
) -> None:
    owner = client_of(superuser)
    revision = created(owner).json()["revision"]
    user = make_user("person")
    if role:
        give_role(user, role, Workflow.objects.get())
    client, before = client_of(user), draft(owner)

    saved = save(client, revision, description="mine")

    assert saved.status_code == saving
    if saving != 200:
        assert draft(owner) == before
    assert publish(client, draft(owner)["revision"]).status_code == publishing
    assert WorkflowVersion.objects.count() == (1 if publishing == 201 else 0)


def test_creating_needs_its_right(make_user: Callable[[str], User], client_of: Clients) -> None:
    assert created(client_of(make_user("person"))).status_code == 403
    assert created(Client()).status_code == 401
    assert not Workflow.objects.exists()
    assert not Draft.objects.exists()


BAD_BODIES: list[Any] = [
    {},
    [],
    {"name": ""},
    {"name": "a:b"},
    {"name": "a/b"},
    {"name": "x" * 256},
    {"name": "x", "definition": []},
    {"name": "x", "definition": {"name": "y"}},
]


@pytest.mark.parametrize("body", BAD_BODIES)
def test_what_cannot_be_a_workflow_is_invalid(
    superuser: User, client_of: Clients, body: Any
) -> None:
    answer = send(client_of(superuser), "POST", "/api/v1/workflows", body)

    assert answer.status_code == 422
    assert {"status", "title", "code", "problems"} <= set(answer.json())
    assert not Workflow.objects.exists()


def test_the_list_holds_what_one_may_see_by_name(
    superuser: User,
    make_user: Callable[[str], User],
    make_workflow: Callable[..., Workflow],
    give_role: Callable[..., bool],
    client_of: Clients,
) -> None:
    viewer = make_user("viewer")
    for name in ("c", "a", "b"):
        give_role(viewer, "viewer", make_workflow(name, {"tasks": []}))
    make_workflow("hidden")
    make_workflow("inline", is_listed=False)
    client = client_of(viewer)

    first = client.get("/api/v1/workflows?limit=2").json()
    second = client.get(first["next"]).json()

    assert [row["name"] for row in first["results"] + second["results"]] == ["a", "b", "c"]
    assert (first["previous"], second["next"]) == (None, None)
    assert client.get(second["previous"]).json()["results"] == first["results"]
    assert first["results"][0] == {
        "name": "a",
        "description": "",
        "stable": 1,
        "latestVersion": 1,
        "kind": "PLAIN",
        "hasUndo": False,
        "archived": False,
        "createdAt": first["results"][0]["createdAt"],
    }
    found = client_of(superuser).get("/api/v1/workflows?text=HID").json()["results"]
    assert [row["name"] for row in found] == ["hidden"]


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "limit=201", "cursor=broken"])
def test_bad_pages_are_malformed(superuser: User, client_of: Clients, query: str) -> None:
    assert client_of(superuser).get(f"/api/v1/workflows?{query}").status_code == 400
