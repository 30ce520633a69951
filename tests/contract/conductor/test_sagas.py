"""Runs with undos on Conductor's face: keys, undo tasks, statuses, control calls."""

from typing import Any

import pytest

from orchestrator.services import recovery
from tests.contract.conductor.conftest import Caller, unique, worker_step

QUICK = {"maximumAttempts": 1, "initialIntervalSeconds": 0, "attemptTimeoutSeconds": 45}


@pytest.fixture
def names() -> dict[str, str]:
    """Task types of a booking, its undo, and a step after it."""
    return {key: unique(key) for key in ("book", "unbook", "pay")}


@pytest.fixture
def workflow(caller: Caller, names: dict[str, str]) -> str:
    """A saga: book, which can be undone, then pay."""
    for name in names.values():
        caller.call("PUT", "/metadata/taskdefs", {"name": name, "retryCount": 0})
    undo = worker_step(names["unbook"], "unbook", inputParameters={"id": "${book.output.id}"})
    book = worker_step(
        names["book"],
        "book",
        effect="REVERSIBLE",
        compensation={"tasks": [undo], "retry": QUICK, "safeIfNotApplied": True},
    )
    pay = worker_step(names["pay"], "pay", effect="NONE")
    return caller.define(book, pay, saga={})


def booked(caller: Caller, workflow: str, names: dict[str, str]) -> tuple[str, dict[str, Any]]:
    """Start a run and have it book; return its id and the task."""
    workflow_id = caller.start(workflow, {"order": 7})
    task = caller.poll(names["book"])[0]
    caller.report(task, outputData={"id": "b-1"})
    return workflow_id, task


def fail_payment(caller: Caller, names: dict[str, str]) -> None:
    """Have the run fail and make its plan."""
    caller.report(caller.poll(names["pay"])[0], "FAILED_WITH_TERMINAL_ERROR")
    recovery.tick()


def task_of(run: dict[str, Any], reference: str) -> dict[str, Any]:
    """Return the only task of a reference."""
    [found] = [task for task in run["tasks"] if task["referenceTaskName"] == reference]
    return dict(found)


def test_worker_finds_its_keys_in_the_input(
    caller: Caller, workflow: str, names: dict[str, str]
) -> None:
    workflow_id, task = booked(caller, workflow, names)

    keys = task["inputData"]["_saga"]

    assert keys == {
        "idempotencyKey": f"f:{workflow_id}:book:e1",
        "direction": "FORWARD",
        "executionId": workflow_id,
        "stepId": task["taskId"],
    }
    assert task_of(caller.run(workflow_id), "book")["inputData"]["_saga"] == keys


def test_undo_is_a_task_that_names_what_it_undoes(
    caller: Caller, workflow: str, names: dict[str, str]
) -> None:
    workflow_id, task = booked(caller, workflow, names)
    fail_payment(caller, names)

    undo = caller.poll(names["unbook"])[0]

    keys = undo["inputData"]["_saga"]
    assert undo["inputData"]["id"] == "b-1"
    assert undo["compensationFor"] == task["taskId"]
    assert undo["responseTimeoutSeconds"] == 45
    assert keys["direction"] == "COMPENSATION"
    assert keys["forwardKey"] == task["inputData"]["_saga"]["idempotencyKey"]
    assert keys["idempotencyKey"] == f"c:{task['taskId']}:r0"
    assert task_of(caller.run(workflow_id), "unbook")["status"] == "IN_PROGRESS"


def test_run_is_running_until_its_undo_is_done(
    caller: Caller, workflow: str, names: dict[str, str]
) -> None:
    workflow_id, _ = booked(caller, workflow, names)
    fail_payment(caller, names)

    while_undoing = caller.run(workflow_id)
    caller.report(caller.poll(names["unbook"])[0])
    after = caller.run(workflow_id)

    assert (while_undoing["status"], while_undoing["sagaState"]) == ("RUNNING", "COMPENSATING")
    assert while_undoing["endTime"] == 0
    assert (after["status"], after["sagaState"], after["epoch"]) == ("FAILED", "COMPENSATED", 1)
    assert after["failedReferenceTaskNames"] == ["pay"]
    assert task_of(after, "unbook")["status"] == "COMPLETED"
    assert after["endTime"] > 0
    found = caller.call("GET", f"/workflow/search?query=workflowId={workflow_id} AND status=FAILED")
    assert found["totalHits"] == 1


def test_terminate_undoes_and_changes_nothing_the_second_time(
    caller: Caller, workflow: str, names: dict[str, str]
) -> None:
    workflow_id, _ = booked(caller, workflow, names)

    caller.call("DELETE", f"/workflow/{workflow_id}?reason=enough")
    recovery.tick()
    caller.call("DELETE", f"/workflow/{workflow_id}")
    caller.report(caller.poll(names["unbook"])[0])

    run = caller.run(workflow_id)
    assert (run["status"], run["sagaState"]) == ("TERMINATED", "COMPENSATED")
    assert run["reasonForIncompletion"] == "enough"
    assert task_of(run, "pay")["status"] == "CANCELED"
    caller.call("DELETE", f"/workflow/{workflow_id}")


def test_terminate_with_nothing_to_undo_ends_at_once(
    caller: Caller, workflow: str, names: dict[str, str]
) -> None:
    workflow_id = caller.start(workflow)

    caller.call("DELETE", f"/workflow/{workflow_id}")

    assert caller.run(workflow_id)["status"] == "TERMINATED"


def test_retry_after_an_undo_was_sent_is_refused(
    caller: Caller, workflow: str, names: dict[str, str]
) -> None:
    workflow_id, _ = booked(caller, workflow, names)
    fail_payment(caller, names)
    caller.report(caller.poll(names["unbook"])[0])

    answer = caller.call("POST", f"/workflow/{workflow_id}/retry", expect=409)
    bulk = caller.call("POST", "/workflow/bulk/retry", [workflow_id])

    assert "new run" in answer["message"]
    assert bulk["bulkErrorResults"] == {workflow_id: answer["message"]}


def test_paused_saga_hands_nothing_out(
    caller: Caller, workflow: str, names: dict[str, str]
) -> None:
    workflow_id = caller.start(workflow)

    caller.call("PUT", f"/workflow/{workflow_id}/pause")
    held = caller.poll(names["book"])
    shown = caller.run(workflow_id)["status"]
    caller.call("PUT", f"/workflow/{workflow_id}/resume")

    assert (held, shown) == ([], "PAUSED")
    assert len(caller.poll(names["book"])) == 1


def test_remove_waits_for_the_end(caller: Caller, workflow: str, names: dict[str, str]) -> None:
    workflow_id, _ = booked(caller, workflow, names)
    fail_payment(caller, names)

    caller.call("DELETE", f"/workflow/{workflow_id}/remove", expect=409)
    caller.report(caller.poll(names["unbook"])[0])
    caller.call("DELETE", f"/workflow/{workflow_id}/remove")

    caller.call("GET", f"/workflow/{workflow_id}", expect=404)


def test_plain_run_shows_nothing_of_sagas(caller: Caller) -> None:
    name = unique("task")
    workflow_id = caller.start(caller.define(worker_step(name)), {"a": 1})

    task, run = caller.poll(name)[0], caller.run(workflow_id)

    assert "_saga" not in task["inputData"]
    assert "sagaState" not in run


def test_worker_confirms_a_step_of_a_run_that_is_over(caller: Caller) -> None:
    book, keep = unique("book"), unique("keep")
    for name in (book, keep):
        caller.call("PUT", "/metadata/taskdefs", {"name": name, "retryCount": 0})
    step = worker_step(
        book,
        "book",
        effect="REVERSIBLE",
        compensation={"tasks": [worker_step(unique("unbook"), "unbook")], "safeIfNotApplied": True},
        confirm={"tasks": [worker_step(keep, "keep", inputParameters={"id": "${book.output.id}"})]},
    )
    workflow_id = caller.start(caller.define(step, saga={}), {})
    booked_task = caller.poll(book)[0]
    caller.report(booked_task, outputData={"id": "b-1"})
    assert caller.run(workflow_id)["status"] == "COMPLETED"

    [confirm] = caller.poll(keep)
    caller.report(confirm)

    keys = confirm["inputData"]["_saga"]
    assert (confirm["inputData"]["id"], confirm["confirmFor"]) == ("b-1", booked_task["taskId"])
    assert (keys["direction"], keys["idempotencyKey"]) == ("CONFIRM", f"k:{booked_task['taskId']}")
    assert task_of(caller.run(workflow_id), "keep")["status"] == "COMPLETED"
    assert caller.run(workflow_id)["status"] == "COMPLETED"
    assert caller.poll(keep) == []
