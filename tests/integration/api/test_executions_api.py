"""Executions and undos over HTTP: lists, details, refusals, and the documented shapes."""

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from orchestrator.api.v1 import shapes
from orchestrator.models import Workflow
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


@pytest.mark.parametrize("name", ["not-an-id", "'%22%3B--", str(uuid.uuid4())])
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
