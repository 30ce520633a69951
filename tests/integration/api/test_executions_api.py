"""Executions and undos over HTTP: lists, details, refusals, and the documented shapes."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from orchestrator.api.v1 import shapes
from orchestrator.models import Execution, Workflow
from orchestrator.services import versions
from tests.integration.api.conftest import make_event, make_execution, make_plan, make_step

Clients = Callable[[User], Client]


def send(client: Client, path: str, body: Any, **headers: str) -> Any:
    return client.generic(
        "POST", path, json.dumps(body), content_type="application/json", headers=headers
    )


@pytest.fixture
def client(superuser: User, client_of: Clients) -> Client:
    return client_of(superuser)


def test_answers_have_the_documented_keys(
    client: Client, make_workflow: Callable[..., Workflow]
) -> None:
    execution = make_execution(make_workflow(), state="NEEDS_ATTENTION")
    step = make_step(execution, "charge", seq=1, entry_state="MANUAL")
    make_plan(execution)
    make_event(execution, 1, "step.failed", reference="charge", step_run_id=step.pk, data={"a": 1})

    detail = client.get(f"/api/v1/executions/{execution.pk}").json()
    row = client.get("/api/v1/executions").json()["results"][0]
    event = client.get(f"/api/v1/executions/{execution.pk}/trace").json()["events"][0]
    entry = client.get("/api/v1/compensations").json()["results"][0]
    workflow = client.get("/api/v1/workflows/orders").json()
    version = client.get("/api/v1/workflows/orders/versions/1").json()

    assert set(detail) == set(shapes.ExecutionDetail().fields)
    assert set(detail["steps"][0]) == set(shapes.StepRow().fields)
    assert set(detail["ledger"][0]) == set(shapes.LedgerRow().fields)
    assert set(detail["plan"]) == set(shapes.StoredPlan().fields)
    assert set(row) == set(shapes.ExecutionRow().fields)
    assert set(event) == set(shapes.EventRow().fields)
    assert set(entry) == set(shapes.CompensationRow().fields)
    assert set(workflow) == set(shapes.WorkflowDetail().fields)
    assert set(version) == set(shapes.VersionDetail().fields)


def test_the_list_is_filtered_and_paged(
    client: Client, make_workflow: Callable[..., Workflow]
) -> None:
    orders, trips = make_workflow("orders"), make_workflow("trips")
    for number in range(3):
        make_execution(orders, state="FAILED", correlation_id=str(number))
    make_execution(orders, state="RUNNING")
    make_execution(trips, state="FAILED")

    first = client.get("/api/v1/executions?workflow=orders&state=FAILED,TIMED_OUT&limit=2").json()
    second = client.get(first["next"]).json()

    shown = [row["correlationId"] for row in first["results"] + second["results"]]
    assert shown == ["2", "1", "0"]
    assert second["next"] is None


BAD_QUERIES = [
    "cursor=broken",
    "limit=0",
    "limit=201",
    "limit=many",
    "state=LOST",
    "version=x",
    "startedFrom=yesterday",
    "sort=input",
]


@pytest.mark.parametrize("query", BAD_QUERIES)
def test_bad_queries_are_malformed(client: Client, query: str) -> None:
    answer = client.get(f"/api/v1/executions?{query}")

    assert answer.status_code == 400
    assert answer.json()["code"] == "malformed"


@pytest.mark.parametrize("name", ["not-an-id", "'%22%3B--", "0190c6d4-0000-7000-8000-000000000000"])
@pytest.mark.parametrize("path", ["", "/steps", "/ledger", "/trace", "/stream"])
def test_what_is_not_there_is_not_found(client: Client, name: str, path: str) -> None:
    answer = client.get(f"/api/v1/executions/{name}{path}")

    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"


READS = ["", "/steps", "/ledger", "/trace", "/stream"]
ACTS = ["cancel", "pause", "resume", "retry", "compensate"]


def test_strangers_find_neither_reads_nor_acts(
    make_workflow: Callable[..., Workflow], make_user: Callable[[str], User], client_of: Clients
) -> None:
    execution = make_execution(make_workflow(), state="COMPLETED")
    step = make_step(execution, "charge", seq=1, entry_state="COMPENSATION_FAILED")
    path = f"/api/v1/executions/{execution.pk}"
    client = client_of(make_user("stranger"))
    body = {"reason": "why", "compensate": True, "applied": True}

    reads = [client.get(path + read).status_code for read in READS]
    acts = [send(client, f"{path}/{act}", body).status_code for act in ACTS]
    settling = send(client, f"{path}/steps/{step.pk}/settle", body).status_code
    entries = [
        send(client, f"/api/v1/compensations/{step.pk}/{act}", body).status_code
        for act in ("retry", "skip", "resolve", "to-manual")
    ]

    assert {*reads, *acts, settling, *entries} == {404}


BODIES_WITHOUT_REASON: list[dict[str, Any]] = [{}, {"reason": ""}, {"reason": "  "}, {"reason": 5}]


@pytest.mark.parametrize("body", [*BODIES_WITHOUT_REASON[:3], {"reason": None}])
@pytest.mark.parametrize("act", ["retry", "skip", "resolve", "to-manual"])
def test_settling_an_undo_needs_a_reason(
    client: Client, make_workflow: Callable[..., Workflow], act: str, body: dict[str, Any]
) -> None:
    execution = make_execution(make_workflow(), state="NEEDS_ATTENTION")
    step = make_step(execution, "charge", seq=1, entry_state="COMPENSATION_FAILED")

    answer = send(client, f"/api/v1/compensations/{step.pk}/{act}", body)

    assert answer.status_code == 422
    assert answer.json()["problems"][0]["path"] == "/reason"
    step.refresh_from_db()
    assert step.entry_state == "COMPENSATION_FAILED"


def test_undos_by_state(client: Client, make_workflow: Callable[..., Workflow]) -> None:
    execution = make_execution(make_workflow(), correlation_id="A-7")
    for seq, state in enumerate(("ARMED", "MANUAL", "COMPENSATED", "READY"), start=1):
        make_step(execution, state.lower(), seq=seq, entry_state=state)

    def found(query: str) -> set[str]:
        rows = client.get(f"/api/v1/compensations{query}").json()["results"]
        return {row["state"] for row in rows}

    assert found("") == {"MANUAL", "READY"}
    assert found("?state=ARMED,COMPENSATED") == {"ARMED", "COMPENSATED"}
    assert found("?state=MANUAL&workflow=nosuch") == set()
    assert client.get("/api/v1/compensations?state=LOST").status_code == 400
    row = client.get("/api/v1/compensations?state=MANUAL").json()["results"][0]
    assert (row["executionId"], row["correlationId"]) == (str(execution.pk), "A-7")


def test_the_trace_goes_on_where_it_was_cut(
    client: Client, make_workflow: Callable[..., Workflow]
) -> None:
    execution = make_execution(make_workflow())
    for seq in range(1, 4):
        make_event(execution, seq, "step.scheduled")
    path = f"/api/v1/executions/{execution.pk}/trace"

    first = client.get(f"{path}?limit=2").json()
    second = client.get(f"{path}?limit=2&after={first['next']}").json()

    assert [event["seq"] for event in first["events"]] == [1, 2]
    assert [event["seq"] for event in second["events"]] == [3]
    assert second["next"] is None


BAD_STARTS: list[Any] = [
    {},
    [],
    {"workflowName": ""},
    {"workflowName": "orders", "input": []},
    {"workflowName": "orders", "version": "two"},
    {"workflowName": "orders", "version": -1},
    {"workflowName": "orders", "correlationId": "x" * 256},
]


@pytest.mark.parametrize("body", BAD_STARTS)
def test_a_bad_start_is_refused(client: Client, body: Any) -> None:
    answer = send(client, "/api/v1/executions", body)

    assert answer.status_code == 422
    assert answer.json()["problems"]


def test_the_schema_names_every_address(client: Client) -> None:
    document = client.get("/api/schema/?format=json").json()

    paths = document["paths"]
    assert {
        "/api/v1/workflows",
        "/api/v1/workflows/{name}",
        "/api/v1/workflows/{name}/draft",
        "/api/v1/workflows/{name}/publish",
        "/api/v1/workflows/{name}/versions/{old}/diff/{new}",
        "/api/v1/executions",
        "/api/v1/executions/{execution_id}",
        "/api/v1/executions/{execution_id}/stream",
        "/api/v1/compensations/{entry_id}/to-manual",
    } <= set(paths)
    start = paths["/api/v1/executions"]["post"]["requestBody"]["content"]["application/json"]
    assert start["schema"] == {"$ref": "#/components/schemas/StartBody"}
    properties = document["components"]["schemas"]["StartBody"]["properties"]
    assert set(properties) == {"workflowName", "version", "input", "correlationId", "priority"}


def definition(*tasks: dict[str, Any]) -> dict[str, Any]:
    return {"name": "orders", "version": 1, "tasks": list(tasks)}


NAP = {
    "name": "nap",
    "taskReferenceName": "nap",
    "type": "WAIT",
    "inputParameters": {"duration": "1 hours"},
}
DONE = {"name": "done", "taskReferenceName": "done", "type": "NOOP"}


def test_a_start_answers_with_the_execution_once_per_key(client: Client) -> None:
    versions.register(actor=None, document=definition(DONE))
    body = {"workflowName": "orders", "input": {"n": 1}, "correlationId": "A-7"}

    first = send(client, "/api/v1/executions", body, **{"Idempotency-Key": "k"})
    again = send(client, "/api/v1/executions", body, **{"Idempotency-Key": "k"})
    other = {**body, "input": {"n": 2}}
    refused = send(client, "/api/v1/executions", other, **{"Idempotency-Key": "k"})

    assert (first.status_code, again.status_code, refused.status_code) == (201, 200, 409)
    assert first.json()["id"] == again.json()["id"]
    assert (
        first.json() | {"version": 1, "startedBy": "root", "correlationId": "A-7"} == first.json()
    )
    assert Execution.objects.count() == 1


def test_what_cannot_be_started(client: Client) -> None:
    versions.register(actor=None, document=definition(DONE))

    def status(body: dict[str, Any]) -> int:
        answer: int = send(client, "/api/v1/executions", body).status_code
        return answer

    assert status({"workflowName": "nosuch"}) == 404
    assert status({"workflowName": "orders", "version": 9}) == 404
    client.delete("/api/v1/workflows/orders")
    assert status({"workflowName": "orders"}) == 409
    assert not Execution.objects.exists()


def test_steering_answers_with_the_execution(client: Client) -> None:
    versions.register(actor=None, document=definition(NAP))
    started = send(client, "/api/v1/executions", {"workflowName": "orders"}).json()
    path = f"/api/v1/executions/{started['id']}"

    paused = send(client, f"{path}/pause", {}).json()
    resumed = send(client, f"{path}/resume", {}).json()
    unreasoned = send(client, f"{path}/cancel", {"compensate": False})
    cancelled = send(client, f"{path}/cancel", {"compensate": False, "reason": "why"}).json()
    late = send(client, f"{path}/pause", {})

    assert (paused["paused"], resumed["paused"]) == (True, False)
    assert paused["waitingOn"] == "The run is paused until somebody resumes it."
    assert unreasoned.status_code == 422
    assert (cancelled["state"], cancelled["outcome"]) == ("TERMINATED", "TERMINATED")
    assert late.status_code == 409
    assert send(client, f"{path}/compensate", {"reason": "why"}).status_code == 409
    trace = client.get(f"{path}/trace").json()["events"]
    assert [event["seq"] for event in trace] == list(range(1, len(trace) + 1))


STEERING = [
    ("pause", {}, "operator"),
    ("resume", {}, "operator"),
    ("retry", {"reason": "why"}, "operator"),
    ("cancel", {"compensate": True, "reason": "why"}, "operator"),
    ("compensate", {"reason": "why"}, "operator"),
]


@pytest.mark.parametrize(("act", "body", "needed"), STEERING)
def test_steering_is_for_operators(
    *,
    client: Client,
    make_user: Callable[[str], User],
    give_role: Callable[..., bool],
    client_of: Clients,
    act: str,
    body: dict[str, Any],
    needed: str,
) -> None:
    workflow = versions.register(actor=None, document=definition(NAP)).version.workflow
    started = send(client, "/api/v1/executions", {"workflowName": "orders"}).json()
    path = f"/api/v1/executions/{started['id']}"
    before = client.get(path).json()

    for role in ("viewer", "approver", "editor", "publisher"):
        user = make_user(role)
        give_role(user, role, workflow)
        assert send(client_of(user), f"{path}/{act}", body).status_code == 403

    assert client.get(path).json() == before
    user = make_user(needed)
    give_role(user, needed, workflow)
    assert send(client_of(user), f"{path}/{act}", body).status_code in {200, 409}
