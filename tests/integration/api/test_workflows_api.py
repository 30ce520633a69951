"""Workflows and versions over HTTP: what is shown, checked, compared, changed and archived."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from orchestrator.audit.models import AuditEntry
from orchestrator.models import Rollout, Workflow
from orchestrator.services import versions
from orchestrator.services.errors import Conflict
from tests.integration.api.test_registering import a_definition, a_saga, a_task

Clients = Callable[[User], Client]
PATH = "/api/v1/workflows/orders"


def send(client: Client, method: str, path: str, body: Any) -> Any:
    return client.generic(method, path, json.dumps(body), content_type="application/json")


@pytest.fixture
def client(superuser: User, client_of: Clients) -> Client:
    return client_of(superuser)


@pytest.fixture
def orders(db: None) -> Workflow:
    samples: list[dict[str, Any]] = [{"name": "happy", "input": {"n": 1}}]
    version = versions.register(actor=None, document=a_definition(), samples=samples).version
    return version.workflow


def test_a_workflow_is_shown_with_samples_and_rights(
    orders: Workflow,
    make_user: Callable[[str], User],
    give_role: Callable[..., bool],
    client_of: Clients,
) -> None:
    viewer = make_user("viewer")
    give_role(viewer, "viewer", orders)

    shown = client_of(viewer).get(PATH).json()

    assert shown["samples"] == [{"name": "happy", "input": {"n": 1}}]
    assert (shown["stable"], shown["latestVersion"], shown["kind"]) == (1, 1, "PLAIN")
    assert [right for right, held in shown["can"].items() if held] == ["view_workflow"]


@pytest.mark.parametrize("path", ["", "/versions", "/versions/1", "/versions/1/diff/1", "/rollout"])
def test_strangers_see_nothing(
    orders: Workflow, make_user: Callable[[str], User], client_of: Clients, path: str
) -> None:
    answer = client_of(make_user("stranger")).get(PATH + path)

    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert Client().get(PATH + path).status_code == 401


def test_problems_are_listed_with_their_places(orders: Workflow, client: Client) -> None:
    wrong = {"name": "call", "taskReferenceName": "call", "type": "SIMPLE"}

    answer = send(client, "POST", f"{PATH}/validate", {"definition": a_saga("orders", wrong)})

    assert answer.status_code == 200
    errors = [row for row in answer.json()["problems"] if row["severity"] == "error"]
    assert [(row["code"], row["path"], row["taskReferenceName"]) for row in errors] == [
        ("E1", "/tasks/0", "call")
    ]


@pytest.mark.parametrize("document", [[], "text", 7, None, {"tasks": 5}, {"name": 5}])
def test_any_document_can_be_checked(orders: Workflow, client: Client, document: Any) -> None:
    answer = send(client, "POST", f"{PATH}/validate", {"definition": document})

    assert answer.status_code == 200
    assert any(row["severity"] == "error" for row in answer.json()["problems"])


def test_checking_is_for_editors(
    orders: Workflow,
    make_user: Callable[[str], User],
    give_role: Callable[..., bool],
    client_of: Clients,
) -> None:
    viewer, editor = make_user("viewer"), make_user("editor")
    give_role(viewer, "viewer", orders)
    give_role(editor, "editor", orders)
    body = {"definition": a_definition()}

    answers = [
        send(client_of(user), "POST", f"{PATH}/validate", body).status_code
        for user in (viewer, editor)
    ]

    assert answers == [403, 200]


def test_versions_the_newest_first_and_one_with_its_definition(
    orders: Workflow, client: Client
) -> None:
    versions.register(actor=None, document=a_definition(version=2), note="second")
    Rollout.objects.create(workflow=orders, stable=1)

    rows = client.get(f"{PATH}/versions").json()["results"]
    one = client.get(f"{PATH}/versions/1").json()

    assert [(row["version"], row["isStable"], row["note"]) for row in rows] == [
        (2, False, "second"),
        (1, True, ""),
    ]
    assert one["definition"] == a_definition()
    assert one["hash"] == rows[1]["hash"]
    assert client.get(f"{PATH}/versions/9").status_code == 404
    assert client.get(f"{PATH}/rollout").json() == {"stable": 1}
    for method in ("PUT", "PATCH", "DELETE"):
        assert send(client, method, f"{PATH}/versions/1", {}).status_code == 405


def test_a_difference_is_told_step_by_step(orders: Workflow, client: Client) -> None:
    before = [a_task("kept", inputParameters={"v": 1}), a_task("same"), a_task("gone")]
    after = [a_task("kept", inputParameters={"v": 2}), a_task("same"), a_task("new")]
    versions.register(actor=None, document=a_definition(version=2, tasks=before))
    versions.register(actor=None, document=a_definition(version=3, tasks=after, description="more"))

    diff = client.get(f"{PATH}/versions/2/diff/3").json()

    assert diff == {
        "added": [{"taskReferenceName": "new", "name": "new", "type": "NOOP"}],
        "removed": [{"taskReferenceName": "gone", "name": "gone", "type": "NOOP"}],
        "changed": [
            {
                "taskReferenceName": "kept",
                "name": "kept",
                "type": "NOOP",
                "keys": ["inputParameters"],
            }
        ],
        "settings": ["description"],
    }
    same = client.get(f"{PATH}/versions/2/diff/2").json()
    assert same == {"added": [], "removed": [], "changed": [], "settings": []}


def test_a_changed_step_does_not_change_the_loop_around_it(
    orders: Workflow, client: Client
) -> None:
    def loop(value: int) -> dict[str, Any]:
        inner = a_task("inner", inputParameters={"v": value})
        condition = "$.again['iteration'] < 2"
        return a_task("again", type="DO_WHILE", loopCondition=condition, loopOver=[inner])

    versions.register(actor=None, document=a_definition(version=2, tasks=[loop(1)]))
    versions.register(actor=None, document=a_definition(version=3, tasks=[loop(2)]))

    diff = client.get(f"{PATH}/versions/2/diff/3").json()

    assert [row["taskReferenceName"] for row in diff["changed"]] == ["inner"]


def test_description_and_samples_are_changed_and_written_down(
    orders: Workflow, client: Client
) -> None:
    wanted = {"description": "Ships things.", "samples": [{"name": "fails", "input": {}}]}

    answer = send(client, "PATCH", PATH, wanted)

    assert answer.status_code == 200
    assert answer.json() | wanted == answer.json()
    assert AuditEntry.objects.filter(action="workflow.change").count() == 1
    bad = send(client, "PATCH", PATH, {"samples": [{"name": "no input"}]})
    assert (bad.status_code, bad.json()["problems"][0]["path"]) == (422, "/samples/0")


def test_archived_it_takes_no_starts_until_it_is_restored(orders: Workflow, client: Client) -> None:
    assert client.delete(PATH).status_code == 204
    assert client.delete(PATH).status_code == 204

    with pytest.raises(Conflict):
        versions.resolve("orders")
    with pytest.raises(Conflict):
        versions.register(actor=None, document=a_definition(description="new"))
    assert client.get("/api/v1/workflows").json()["results"] == []
    archived = client.get("/api/v1/workflows?archived=true").json()["results"]
    assert [row["name"] for row in archived] == ["orders"]
    assert AuditEntry.objects.filter(action="workflow.archive").count() == 1

    assert send(client, "PATCH", PATH, {"archived": False}).json()["archived"] is False
    assert versions.resolve("orders").number == 1


@pytest.mark.parametrize(("role", "status"), [("publisher", 403), ("admin", 204), ("", 404)])
def test_archiving_is_for_admins(
    *,
    orders: Workflow,
    make_user: Callable[[str], User],
    give_role: Callable[..., bool],
    client_of: Clients,
    role: str,
    status: int,
) -> None:
    user = make_user("person")
    if role:
        give_role(user, role, orders)

    assert client_of(user).delete(PATH).status_code == status

    orders.refresh_from_db()
    assert (orders.archived_at is not None) == (status == 204)


def test_a_thousand_steps_are_checked(orders: Workflow, client: Client) -> None:
    tasks = [a_task(f"s{number}") for number in range(1000)]

    answer = send(client, "POST", f"{PATH}/validate", {"definition": a_saga("orders", *tasks)})

    assert answer.status_code == 200
