"""What breaks unmodified client packages, each with the request as the package sends it."""

import json
from typing import Any
from uuid import UUID

import pytest
from asgiref.sync import async_to_sync
from django.test import AsyncClient

from tests.contract.conductor.conftest import Caller, unique, worker_step

NOBODY = "00000000-0000-4000-8000-000000000000"


class ChunkedClient(AsyncClient):
    """Sends bodies in chunks and without a length, as the JavaScript package does."""

    async def request(self, **scope: Any) -> Any:
        """Take the length away."""
        kept = [(name, value) for name, value in scope["headers"] if name != b"content-length"]
        scope["headers"] = [*kept, (b"transfer-encoding", b"chunked")]
        return await super().request(**scope)


@pytest.fixture
def task_type(caller: Caller) -> str:
    """A registered task type."""
    name = unique("task")
    caller.call("PUT", "/metadata/taskdefs", {"name": name, "retryCount": 0})
    return name


@pytest.fixture
def running(caller: Caller, task_type: str) -> tuple[str, str]:
    """A run that waits for a worker: its id and task type."""
    return caller.start(caller.define(worker_step(task_type))), task_type


def test_body_in_chunks_is_read(caller: Caller) -> None:
    name = caller.define(worker_step("any"))
    body = json.dumps({"name": name, "input": {"v": 1}})

    answer = async_to_sync(ChunkedClient().post)(
        "/api/workflow",
        data=body,
        content_type="application/json",
        headers={"X-Authorization": caller.token},
    )

    assert answer.status_code == 200
    assert caller.run(answer.content.decode())["input"] == {"v": 1}


def test_log_in_chunks_is_read(caller: Caller, running: tuple[str, str]) -> None:
    task = caller.poll(running[1])[0]

    async_to_sync(ChunkedClient().post)(
        f"/api/tasks/{task['taskId']}/log",
        data='"a line"',
        content_type="application/json",
        headers={"X-Authorization": caller.token},
    )

    assert [row["log"] for row in caller.call("GET", f"/tasks/{task['taskId']}/log")] == ["a line"]


def test_ids_are_text_and_nothing_else(caller: Caller, running: tuple[str, str]) -> None:
    name = caller.run(running[0])["workflowName"]
    task = caller.poll(running[1])[0]
    ids = {"workflowInstanceId": running[0], "taskId": task["taskId"]}
    body = json.dumps({**ids, "status": "COMPLETED"}).encode()

    answers = [
        caller.send("POST", "/workflow", json.dumps({"name": name}).encode(), Accept="text/plain"),
        caller.send("POST", f"/workflow/{name}", b'{"a": 1}', Accept="text/plain"),
        caller.send("POST", "/tasks", body, Accept="text/plain"),
    ]

    for answer in answers:
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].startswith("text/plain")
        assert str(UUID(answer.content.decode())) == answer.content.decode()


def test_task_definition_is_registered_by_put_alone(caller: Caller) -> None:
    name = unique("task")
    recorded = (
        f'{{"name": "{name}", "retryCount": 1, "timeoutSeconds": 60, '
        f'"responseTimeoutSeconds": 30, "enforceSchema": false}}'
    )

    assert caller.send("PUT", "/metadata/taskdefs", recorded.encode()).status_code == 200

    stored = caller.call("GET", f"/metadata/taskdefs/{name}")
    assert (stored["retryCount"], stored["responseTimeoutSeconds"]) == (1, 30)
    assert (stored["retryLogic"], stored["timeoutPolicy"]) == ("FIXED", "TIME_OUT_WF")
    assert None not in stored.values()


def test_update_v2_of_unknown_task_keeps_the_client_on_v2(caller: Caller) -> None:
    body = {"workflowInstanceId": NOBODY, "taskId": NOBODY, "status": "COMPLETED"}

    answer = caller.send("POST", "/tasks/update-v2", json.dumps(body).encode())

    assert (answer.status_code, answer.content) == (204, b"")
    assert "Content-Type" not in answer.headers
    caller.call("POST", "/tasks", body, expect=404)


def test_update_v2_without_ids_names_both(caller: Caller) -> None:
    answer = caller.call("POST", "/tasks/update-v2", {"status": "COMPLETED"}, expect=400)

    assert [row["path"] for row in answer["validationErrors"]] == ["workflowInstanceId", "taskId"]


def test_update_v2_hands_out_the_next_task(caller: Caller, task_type: str) -> None:
    name = caller.define(worker_step(task_type))
    first, second = caller.start(name), caller.start(name)
    task = caller.call("GET", f"/tasks/poll/{task_type}?workerid=w1")
    recorded = {
        "workflowInstanceId": first,
        "taskId": task["taskId"],
        "workerId": "w1",
        "status": "COMPLETED",
        "outputData": {"echo": None},
        "extendLease": False,
    }

    following = caller.call("POST", "/tasks/update-v2", recorded)

    assert (following["workflowInstanceId"], following["workerId"]) == (second, "w1")
    assert following["status"] == "IN_PROGRESS"
    last = {**recorded, "workflowInstanceId": second, "taskId": following["taskId"]}
    assert caller.call("POST", "/tasks/update-v2", last, expect=204) == ""


def test_update_v2_with_a_heartbeat_hands_out_nothing(caller: Caller, task_type: str) -> None:
    name = caller.define(worker_step(task_type))
    caller.start(name)
    task = caller.poll(task_type)[0]
    caller.start(name)
    body = {
        "workflowInstanceId": task["workflowInstanceId"],
        "taskId": task["taskId"],
        "status": "IN_PROGRESS",
        "extendLease": True,
    }

    assert caller.call("POST", "/tasks/update-v2", body, expect=204) == ""
    assert caller.call("GET", f"/tasks/{task['taskId']}")["status"] == "IN_PROGRESS"


def test_poll_without_tasks_is_an_empty_list(caller: Caller) -> None:
    batch = caller.send("GET", "/tasks/poll/batch/idle?workerid=vm&count=1&timeout=0")
    single = caller.send("GET", "/tasks/poll/idle?workerid=vm")

    assert (batch.status_code, batch.content) == (200, b"[]")
    assert (single.status_code, single.content) == (204, b"")


def test_poll_is_not_held_for_long(caller: Caller) -> None:
    answer = caller.call("GET", "/tasks/poll/batch/idle?workerid=w&timeout=5001", expect=400)

    assert answer["status"] == 400


def test_other_methods_of_a_poll_are_405_in_json(caller: Caller) -> None:
    assert caller.call("POST", "/tasks/poll/batch/idle", {}, expect=405)["status"] == 405


@pytest.mark.parametrize("token", ["", "nonsense"])
def test_bad_token_is_named_in_json(caller: Caller, token: str) -> None:
    answer = caller.http.get(f"/api/workflow/{NOBODY}", headers={"X-Authorization": token})

    assert answer.status_code == 401
    assert answer.json()["error"] == "INVALID_TOKEN"


def test_words_of_python_in_queries_are_understood(caller: Caller) -> None:
    document = {"name": unique("wf"), "version": 1, "tasks": [worker_step("any")]}
    recorded = json.dumps([{**document, "failureWorkflow": "", "schemaVersion": 2}]).encode()

    put = caller.send("PUT", "/metadata/workflow?overwrite=True", recorded)
    path = f"/workflow/execute/{document['name']}/1"
    query = "requestId=None&waitUntilTaskRef=None&waitForSeconds=1"
    started = caller.send("POST", f"{path}?{query}", json.dumps({"name": "x"}).encode())

    assert put.json()["bulkSuccessfulResults"] == [document["name"]]
    assert put.headers["X-Amends-Version"] == "1"
    assert (started.json()["status"], started.json()["signalTimeout"]) == ("RUNNING", True)


def test_empty_object_on_delete_is_accepted(caller: Caller, running: tuple[str, str]) -> None:
    answer = caller.send("DELETE", f"/workflow/{running[0]}?reason=why+not", b"{}")

    assert answer.status_code == 200
    run = caller.run(running[0])
    assert (run["status"], run["reasonForIncompletion"]) == ("TERMINATED", "why not")
    assert [task["status"] for task in run["tasks"]] == ["CANCELED"]


@pytest.mark.parametrize(
    ("body", "kind", "stored"),
    [
        (b'he said \\"no\\"\\nand left', "application/json", 'he said \\"no\\"\\nand left'),
        (b'"a quoted line"', "application/json", "a quoted line"),
        (b"plain text", "text/plain", "plain text"),
    ],
    ids=["python", "javascript", "java"],
)
def test_log_bodies_of_all_clients_are_kept(
    caller: Caller, running: tuple[str, str], body: bytes, kind: str, stored: str
) -> None:
    task = caller.poll(running[1])[0]
    path = f"/tasks/{task['taskId']}/log"
    assert caller.send("GET", path).status_code == 204

    assert caller.send("POST", path, body, kind=kind).status_code == 200

    assert [row["log"] for row in caller.call("GET", path)] == [stored]


def test_no_property_is_null_and_nulls_in_maps_stay(caller: Caller, task_type: str) -> None:
    given = {"n": None, "deep": {"n": None}}
    step = worker_step(task_type, inputParameters={"n": "${workflow.input.n}"})
    workflow_id = caller.start(caller.define(step), given)

    task = caller.poll(task_type)[0]
    run = caller.run(workflow_id)

    assert run["input"] == given
    assert task["inputData"] == {"n": None}
    assert [name for name, value in {**run, **task}.items() if value is None] == []


def test_times_are_whole_milliseconds(caller: Caller, running: tuple[str, str]) -> None:
    run = caller.run(running[0])
    found = caller.call("GET", f"/workflow/search?query=workflowId={running[0]}")["results"][0]

    assert isinstance(run["startTime"], int)
    assert (run["endTime"], run["tasks"][0]["startTime"]) == (0, 0)
    assert found["startTime"].endswith("Z")
    assert (found["input"], found["output"]) == ("{}", "{}")


@pytest.mark.parametrize("accept", ["text/plain", "*/*", "application/xml"])
def test_answer_comes_whatever_is_accepted(
    caller: Caller, running: tuple[str, str], accept: str
) -> None:
    answer = caller.send("GET", f"/workflow/{running[0]}", Accept=accept)

    assert answer.json()["workflowId"] == running[0]


def test_literal_paths_win_over_references(caller: Caller) -> None:
    step = {"name": "hold", "taskReferenceName": "hold", "type": "WAIT"}
    one, two = (caller.start(caller.define(step)) for _ in range(2))

    assert caller.call("POST", f"/tasks/{one}/COMPLETED/signal", {"v": 1}) == ""
    answer = caller.call("POST", f"/tasks/{two}/COMPLETED/signal/sync", {"v": 2})
    by_reference = caller.call("POST", f"/tasks/{two}/hold/COMPLETED", {"v": 3})

    assert caller.run(one)["tasks"][0]["outputData"] == {"v": 1}
    assert (answer["responseType"], answer["status"]) == ("TARGET_WORKFLOW", "COMPLETED")
    assert by_reference == ""


def test_names_with_dots_and_dashes_are_polled(caller: Caller) -> None:
    name = unique("my.task-type")
    caller.start(caller.define(worker_step(name)))

    assert [task["taskType"] for task in caller.poll(name)] == [name]


def test_keys_a_client_does_not_know_are_ignored(caller: Caller, running: tuple[str, str]) -> None:
    found = caller.call(
        "GET",
        "/workflow/search?queryId=&start=0&size=100&freeText=%2A&sort=&skipCache=false"
        f"&query=workflowId%3D%27{running[0]}%27",
    )

    assert found["totalHits"] == 1


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"/workflow/{NOBODY}"),
        ("GET", "/workflow/no-id-at-all"),
        ("GET", f"/tasks/{NOBODY}"),
        ("GET", "/metadata/taskdefs/nothing"),
        ("GET", "/metadata/workflow/nothing"),
        ("PUT", f"/workflow/{NOBODY}/pause"),
        ("POST", f"/workflow/{NOBODY}/upgrade"),
        ("GET", "/scheduler/schedules"),
    ],
)
def test_unknown_is_404_in_conductors_shape(caller: Caller, method: str, path: str) -> None:
    answer = caller.call(method, path, expect=404)

    assert (answer["status"], answer["retryable"]) == (404, False)
    assert answer["message"]


def test_invalid_definition_is_400_with_its_problems(caller: Caller) -> None:
    answer = caller.call("POST", "/metadata/taskdefs", [{"retryCount": 1}], expect=400)

    assert answer["message"]
    assert answer["validationErrors"]
