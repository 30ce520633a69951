"""Tasks, attempts, searches and rights on Conductor's face."""

import pytest

from orchestrator.api.conductor import search
from orchestrator.selectors.conductor_search import Condition
from orchestrator.services.errors import Malformed
from tests.contract.conductor.conftest import Caller, unique, worker_step


@pytest.fixture
def retrying(caller: Caller) -> str:
    """A task type with one retry at once."""
    name = unique("task")
    caller.call(
        "PUT", "/metadata/taskdefs", {"name": name, "retryCount": 1, "retryDelaySeconds": 0}
    )
    return name


def test_each_attempt_is_a_task(caller: Caller, retrying: str) -> None:
    workflow_id = caller.start(caller.define(worker_step(retrying)))
    first = caller.poll(retrying)[0]
    caller.report(first, "FAILED", outputData={"e": 1}, reasonForIncompletion="one")

    waiting = caller.run(workflow_id)["tasks"][1]
    second = caller.poll(retrying)[0]
    caller.report(second, outputData={"v": 2})
    one, two = caller.run(workflow_id)["tasks"]

    assert (waiting["status"], waiting["outputData"]) == ("SCHEDULED", {})
    assert (one["status"], one["retried"], one["outputData"]) == ("FAILED", True, {"e": 1})
    assert (two["status"], two["retried"], two["outputData"]) == ("COMPLETED", False, {"v": 2})
    assert [one["retryCount"], two["retryCount"]] == [0, 1]
    assert [one["seq"], two["seq"]] == [1, 2]
    assert two["retriedTaskId"] == first["taskId"]
    assert caller.call("GET", f"/tasks/{second['taskId']}")["seq"] == 2


def test_failed_run_tells_which_task_failed(caller: Caller) -> None:
    name = unique("task")
    workflow_id = caller.start(caller.define(worker_step(name)))
    task = caller.poll(name)[0]

    caller.report(task, "FAILED_WITH_TERMINAL_ERROR", reasonForIncompletion="no card")

    run = caller.run(workflow_id)
    assert run["tasks"][0]["status"] == "FAILED_WITH_TERMINAL_ERROR"
    assert (run["failedReferenceTaskNames"], run["failedTaskNames"]) == (["t1"], [name])
    assert run["reasonForIncompletion"] == (
        f"Task {task['taskId']} failed with status: FAILED and reason: 'no card'"
    )


def test_task_handed_back_is_polled_again(caller: Caller, retrying: str) -> None:
    workflow_id = caller.start(caller.define(worker_step(retrying)))
    task = caller.poll(retrying)[0]

    caller.report(task, "IN_PROGRESS", outputData={"half": True}, callbackAfterSeconds=0)
    waiting = caller.run(workflow_id)["tasks"][0]
    again = caller.poll(retrying)[0]

    assert (waiting["status"], waiting["outputData"]) == ("SCHEDULED", {"half": True})
    assert (again["taskId"], again["pollCount"]) == (task["taskId"], 2)
    assert again["outputData"] == {"half": True}


def test_result_of_an_ended_task_is_taken_and_ignored(caller: Caller, retrying: str) -> None:
    workflow_id = caller.start(caller.define(worker_step(retrying)))
    task = caller.poll(retrying)[0]
    caller.report(task, outputData={"v": 1})

    assert caller.report(task, "FAILED", outputData={"v": 2}) == task["taskId"]

    run = caller.run(workflow_id)
    assert (run["status"], run["output"]) == ("COMPLETED", {"v": 1})


def test_loop_tasks_carry_their_round(caller: Caller, retrying: str) -> None:
    loop = {
        "name": "again",
        "taskReferenceName": "again",
        "type": "DO_WHILE",
        "loopCondition": "$.again['iteration'] < 2",
        "loopOver": [worker_step(retrying, "x")],
    }
    caller.start(caller.define(loop))

    task = caller.poll(retrying)[0]

    assert (task["referenceTaskName"], task["iteration"], task["loopOverTask"]) == ("x__1", 1, True)
    assert task["workflowTask"]["taskReferenceName"] == "x"


def test_idempotency_key_in_headers(caller: Caller) -> None:
    name = caller.define(worker_step("any"))
    path = f"/workflow/{name}?correlationId=c%20%2F1&priority=7"
    again = {"X-Idempotency-key": "k", "X-on-conflict": "RETURN_EXISTING"}

    first = caller.send("POST", path, b"{}", **{"X-Idempotency-key": "k", "X-on-conflict": "FAIL"})
    same = caller.send("POST", path, b"{}", **again)
    refused = caller.send("POST", path, b"{}", **{**again, "X-on-conflict": "FAIL"})

    assert same.content == first.content
    assert refused.status_code == 409
    run = caller.run(first.content.decode())
    assert (run["correlationId"], run["priority"]) == ("c /1", 7)


def test_strategy_without_a_key_means_nothing(caller: Caller) -> None:
    name = caller.define(worker_step("any"))

    ids = {caller.start(name, idempotencyStrategy="FAIL") for _ in range(2)}

    assert len(ids) == 2


def test_variables_are_merged(caller: Caller) -> None:
    hold = {"name": "hold", "taskReferenceName": "hold", "type": "WAIT"}
    workflow_id = caller.start(caller.define(hold, variables={"a": 1}))

    answer = caller.call("POST", f"/workflow/{workflow_id}/variables", {"b": 2})

    assert answer["variables"] == {"a": 1, "b": 2}


def test_queues_are_counted_and_polls_remembered(caller: Caller) -> None:
    name = unique("task")
    workflow = caller.define(worker_step(name))
    for _ in range(2):
        caller.start(workflow)

    assert caller.call("GET", f"/tasks/queue/sizes?taskType={name}&taskType=no") == {
        name: 2,
        "no": 0,
    }
    caller.call("GET", f"/tasks/poll/{name}?workerid=me&domain=blue", expect=204)
    [polled] = caller.call("GET", f"/tasks/queue/polldata?taskType={name}")
    assert (polled["queueName"], polled["domain"], polled["workerId"]) == (name, "blue", "me")
    assert caller.call("GET", "/tasks/queue/all")[name] == 2
    found = caller.call("GET", f"/tasks/search?query=taskType={name} AND status=SCHEDULED")
    assert found["totalHits"] == 2


def test_correlated_runs(caller: Caller) -> None:
    name = caller.define(worker_step("any"))
    workflow_id = caller.start(name, correlationId="c1")

    found = caller.call("GET", f"/workflow/{name}/correlated/c1?includeTasks=true")
    many = caller.call("POST", f"/workflow/{name}/correlated", ["c1", "c2"])

    assert [run["workflowId"] for run in found] == [workflow_id]
    assert len(found[0]["tasks"]) == 1
    assert ([run["workflowId"] for run in many["c1"]], many["c2"]) == ([workflow_id], [])
    assert caller.call("GET", f"/workflow/running/{name}") == [workflow_id]


def test_stranger_sees_and_takes_nothing(caller: Caller, stranger: Caller) -> None:
    name = unique("task")
    workflow = caller.define(worker_step(name))
    workflow_id = caller.start(workflow)
    task_id = caller.run(workflow_id)["tasks"][0]["taskId"]

    assert stranger.poll(name) == []
    assert stranger.call("GET", "/workflow/search")["totalHits"] == 0
    assert stranger.call("GET", "/tasks/search")["totalHits"] == 0
    assert stranger.call("GET", "/tasks/queue/all") == {}
    assert stranger.call("GET", "/metadata/workflow") == []
    for path in (f"/workflow/{workflow_id}", f"/tasks/{task_id}", f"/metadata/workflow/{workflow}"):
        stranger.call("GET", path, expect=404)
    stranger.call("POST", "/workflow", {"name": workflow}, expect=404)
    stranger.call("DELETE", f"/workflow/{workflow_id}", expect=404)
    body = {"workflowInstanceId": workflow_id, "taskId": task_id, "status": "COMPLETED"}
    stranger.call("POST", "/tasks", body, expect=404)
    assert caller.run(workflow_id)["status"] == "RUNNING"


def test_bulk_tells_what_became_of_each(caller: Caller) -> None:
    name = caller.define(worker_step("any"))
    workflow_id = caller.start(name)

    answer = caller.call("PUT", "/workflow/bulk/pause", [workflow_id, "nothing"])

    assert answer["bulkSuccessfulResults"] == [workflow_id]
    assert list(answer["bulkErrorResults"]) == ["nothing"]
    caller.call("PUT", "/workflow/bulk/pause", ["x" + str(n) for n in range(1001)], expect=400)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", []),
        ("*", []),
        ("status=FAILED", [("status", "=", ("FAILED",))]),
        (
            "workflowType IN (a, 'b c') AND startTime > 17",
            [("workflowType", "=", ("a", "b c")), ("startTime", ">", ("17",))],
        ),
        (
            """correlationId='x AND y' AND status="F" """,
            [
                ("correlationId", "=", ("x AND y",)),
                ("status", "=", ("F",)),
            ],
        ),
    ],
)
def test_query_is_read(query: str, expected: list[tuple[str, str, tuple[str, ...]]]) -> None:
    assert search.conditions_of(query) == [
        Condition(field=field, operator=operator, values=values)
        for field, operator, values in expected
    ]


@pytest.mark.parametrize(
    "query",
    [
        "status ~~ 'x' OR 1=1; DROP TABLE x",
        "status=FAILED status=RUNNING",
        "status=FAILED AND",
        "status IN ()",
        "status=",
    ],
)
def test_query_that_cannot_be_read_is_refused(query: str) -> None:
    with pytest.raises(Malformed):
        search.conditions_of(query)


def test_execute_answers_what_blocks(caller: Caller) -> None:
    hold = {"name": "hold", "taskReferenceName": "hold", "type": "WAIT"}
    name = caller.define(hold)
    path = f"/workflow/execute/{name}/0?requestId=r1&waitForSeconds=5"

    run = caller.call("POST", path, {"name": name})
    task = caller.call("POST", f"{path}&returnStrategy=BLOCKING_TASK", {"name": name})

    assert (run["responseType"], run["status"]) == ("TARGET_WORKFLOW", "RUNNING")
    assert (run["workflowId"], run["requestId"]) == (run["targetWorkflowId"], "r1")
    assert "signalTimeout" not in run
    assert (task["responseType"], task["referenceTaskName"]) == ("BLOCKING_TASK", "hold")
    assert task["workflowId"] == task["targetWorkflowId"]
