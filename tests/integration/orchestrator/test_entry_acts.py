"""What operators do about undos that failed or came too early, and whose effects they are."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from approvals.models import ApprovalRequest
from orchestrator.audit.models import AuditEntry
from orchestrator.engine.canonical import digest
from orchestrator.models import Execution, StepRun
from orchestrator.services import compensations, entry_acts, reports
from orchestrator.services.errors import Conflict, Invalid
from orchestrator.services.reports import TaskReport
from tests.factories.definitions import policy, reversible, saga, task
from tests.fakes import fails, loses_after_effect, refuses
from tests.runtime import Runtime, everything_stored

POLLED = saga("orders", reversible("x"))


def _poll(name: str) -> Any:
    [taken] = reports.poll(actor=None, task_type=name, worker="w1")
    return taken


def _report(attempt: Any, status: str = "COMPLETED", **output: Any) -> None:
    said = TaskReport(task_id=str(attempt.pk), status=status, worker="w1", output=output)
    reports.report(actor=None, report=said)


def _undo(execution: Execution) -> None:
    compensations.request_compensation(actor=None, execution_id=execution.pk, reason="returned")


def _late(runtime: Runtime) -> Execution:
    """Return a run that was undone before its call landed."""
    execution = runtime.start(POLLED)
    taken = _poll("x")
    _report(taken, "FAILED", _saga={"outcome": "UNKNOWN"})
    runtime.work_for(2)
    _report(_poll("undo_x"))
    assert runtime.read(execution).state == "COMPENSATED"
    _report(taken, paid=True)
    return execution


def _failed(runtime: Runtime, undo: dict[str, Any] | None = None, *, how: Any = refuses) -> StepRun:
    """Return the entry of `a`, whose undo has failed for good."""
    one_try = {"retry": {"maximumAttempts": 1}, **(undo or {})}
    runtime.shop.will("undo_a", how)
    execution = runtime.run(saga("orders", reversible("a", undo=one_try)))
    _undo(execution)
    runtime.work()
    entry = runtime.steps(execution)["a"]
    assert entry.entry_state == "COMPENSATION_FAILED"
    return entry


# ---- late effects -------------------------------------------------------------------------------


def test_a_late_effect_is_undone_again_under_a_new_key(runtime: Runtime) -> None:
    execution = _late(runtime)
    entry = runtime.steps(execution)["x"]
    called = runtime.read(execution).state, entry.entry_state, entry.output

    entry_acts.retry_entry(actor=None, entry_id=entry.pk, reason="it landed after all")
    _report(_poll("undo_x"))

    undos = StepRun.objects.filter(compensates=entry.pk, direction="COMPENSATION")
    assert called == ("NEEDS_ATTENTION", "LATE_EFFECT", {"paid": True})
    assert runtime.read(execution).state == "COMPENSATED"
    assert sorted(undos.values_list("round", flat=True)) == [0, 1]
    assert [plan.trigger for plan in execution.plans.order_by("number")] == [
        "FAILURE",
        "LATE_EFFECT",
    ]


def test_a_late_effect_that_does_no_harm_ends_the_run_again(runtime: Runtime) -> None:
    execution = _late(runtime)
    entry = runtime.steps(execution)["x"]

    entry_acts.resolve_entry(actor=None, entry_id=entry.pk, reason="refunded", harmless=True)

    assert runtime.read(execution).state == "COMPENSATED"
    assert runtime.ledger(execution) == {"x": "COMPENSATED"}


def test_a_late_effect_is_neither_skipped_nor_amended(runtime: Runtime) -> None:
    entry = runtime.steps(_late(runtime))["x"]
    before = everything_stored()

    for act in (entry_acts.skip_entry, entry_acts.send_to_manual):
        with pytest.raises(Conflict):
            act(actor=None, entry_id=entry.pk, reason="no")
    with pytest.raises(Conflict):
        entry_acts.amend_entry(actor=None, entry_id=entry.pk, reason="no", input={})

    assert everything_stored() == before


# ---- another input ------------------------------------------------------------------------------


def test_a_failed_undo_is_sent_with_another_input(runtime: Runtime) -> None:
    entry = _failed(runtime)

    entry_acts.amend_entry(actor=None, entry_id=entry.pk, reason="typo", input={"order": 2})
    runtime.work()

    undo = StepRun.objects.get(compensates=entry.pk, round=1)
    entry.refresh_from_db()
    assert (entry.entry_state, undo.input) == ("COMPENSATED", {"order": 2})
    assert entry.undo_input == {"input": {"order": 2}, "original": {"order": 1}}
    assert len(runtime.shop.keys("undo_a")) == 2
    audited = AuditEntry.objects.get(action="compensation.amend")
    assert audited.subject == str(entry.pk)
    assert digest({"order": 2}) in audited.changes


def test_an_amended_undo_is_approved_anew(runtime: Runtime, client: Client) -> None:
    rule = {"evaluatorType": "javascript", "expression": "$.compensationInput.order > 1000"}
    entry = _failed(runtime, {"policy": "APPROVAL_IF", "approvalIf": rule})

    entry_acts.amend_entry(actor=None, entry_id=entry.pk, reason="typo", input={"order": 2000})
    runtime.work()

    request = ApprovalRequest.objects.get(entry_id=entry.pk)
    assert (request.undo_input, request.original_input) == ({"order": 2000}, {"order": 1})
    assert len(runtime.shop.keys("undo_a")) == 1
    client.force_login(User.objects.create_superuser("root"))
    page = client.get(f"/approvals/{request.pk}/").content.decode()
    assert "As the definition has it" in page


def test_an_undo_of_unknown_outcome_is_amended_only_on_somebodys_word(runtime: Runtime) -> None:
    """Invariant 38."""
    entry = _failed(runtime, how=loses_after_effect)
    before = everything_stored()

    with pytest.raises(Conflict, match="notApplied"):
        entry_acts.amend_entry(actor=None, entry_id=entry.pk, reason="typo", input={"order": 2})
    assert everything_stored() == before
    entry_acts.amend_entry(
        actor=None, entry_id=entry.pk, reason="typo", input={"order": 2}, not_applied=True
    )
    runtime.work()

    entry.refresh_from_db()
    assert entry.entry_state == "COMPENSATED"


def _with_schema(runtime: Runtime) -> StepRun:
    schema = {"type": "object", "properties": {"order": {"type": "integer"}}}
    definition = policy("undo_a", inputSchema={"name": "s", "type": "JSON", "data": schema})
    undo = task("undo_a", inputParameters={"order": 1}, taskDefinition=definition)
    return _failed(runtime, {"tasks": [undo]})


def test_an_amended_input_keeps_to_the_schema_of_the_undo(runtime: Runtime) -> None:
    entry = _with_schema(runtime)
    before = everything_stored()

    with pytest.raises(Invalid) as refused:
        entry_acts.amend_entry(actor=None, entry_id=entry.pk, reason="typo", input={"order": "x"})

    assert refused.value.problems[0]["path"] == "/input/order"
    assert everything_stored() == before
    entry_acts.amend_entry(actor=None, entry_id=entry.pk, reason="typo", input={"order": 3})


BODIES: list[tuple[dict[str, Any], int, str]] = [
    ({"input": {}}, 422, "/reason"),
    ({"input": {}, "reason": " "}, 422, "/reason"),
    ({"reason": "typo"}, 422, "/input"),
    ({"reason": "typo", "input": [1]}, 422, "/input"),
    ({"reason": "typo", "input": {}, "notApplied": "maybe"}, 422, "/notApplied"),
]


@pytest.mark.parametrize(("body", "status", "path"), BODIES)
def test_a_malformed_amendment_is_refused(
    runtime: Runtime, client: Client, body: dict[str, Any], status: int, path: str
) -> None:
    entry = _failed(runtime)
    client.force_login(User.objects.create_superuser("root"))
    before = everything_stored()

    answer = client.post(
        f"/api/v1/compensations/{entry.pk}/amend", body, content_type="application/json"
    )

    assert answer.status_code == status, answer.content
    assert answer.json()["problems"][0]["path"] == path
    assert everything_stored() == before


def test_amending_over_the_api_shows_both_inputs(runtime: Runtime, client: Client) -> None:
    entry = _failed(runtime)
    client.force_login(User.objects.create_superuser("root"))
    path = f"/api/v1/compensations/{entry.pk}/amend"
    body = {"reason": "typo", "input": {"order": 2}}

    answer = client.post(path, body, content_type="application/json")
    again = client.post(path, body, content_type="application/json")

    shown = answer.json()
    assert (answer.status_code, again.status_code) == (200, 409)
    assert (shown["state"], shown["round"]) == ("READY", 1)
    assert (shown["amendedInput"], shown["originalInput"]) == ({"order": 2}, {"order": 1})


def test_a_viewer_may_not_amend(runtime: Runtime, client: Client) -> None:
    entry = _failed(runtime)
    client.force_login(User.objects.create_user("stranger"))
    before = everything_stored()

    answer = client.post(
        f"/api/v1/compensations/{entry.pk}/amend",
        {"reason": "typo", "input": {}},
        content_type="application/json",
    )

    assert answer.status_code == 404
    assert everything_stored() == before


# ---- whose effect -------------------------------------------------------------------------------

CHARGED = saga("orders", reversible("a", effectId="charge-${workflow.input.order}"))


def test_an_effect_that_another_run_has_done_too_is_not_undone(runtime: Runtime) -> None:
    first, second = runtime.run(CHARGED), runtime.start_known("orders")
    runtime.work()

    _undo(first)
    runtime.work()

    entry = runtime.steps(first)["a"]
    assert runtime.ledger(first) == {"a": "COMPENSATION_FAILED"}
    assert str(second.pk) in entry.entry_reason
    assert runtime.shop.names() == ["a", "a"]


def test_effects_of_runs_that_are_undone_do_not_stand_in_the_way(runtime: Runtime) -> None:
    first, second = runtime.run(CHARGED), runtime.start_known("orders")
    runtime.work()
    other = runtime.start_known("orders", input={"order": 2})
    runtime.work()
    _undo(second)
    runtime.work()
    assert runtime.ledger(second) == {"a": "COMPENSATION_FAILED"}
    stuck = runtime.steps(second)["a"]

    _undo(first)
    runtime.work()
    entry_acts.retry_entry(actor=None, entry_id=stuck.pk, reason="the other is undone")
    runtime.work()

    assert runtime.ledger(first) == {"a": "COMPENSATED"}
    assert runtime.ledger(second) == {"a": "COMPENSATED"}
    assert runtime.ledger(other) == {"a": "ARMED"}


# ---- the time of the whole undo -----------------------------------------------------------------


def test_the_budget_counts_for_all_steps_of_an_undo(runtime: Runtime) -> None:
    runtime.handle("a2")
    tasks = [task("undo_a", name="undo_a"), task("undo_a2", name="undo_a2")]
    retry = {"maximumAttempts": 99, "initialIntervalSeconds": 1, "maximumIntervalSeconds": 1}
    undo = {"tasks": tasks, "retry": {**retry, "totalTimeoutSeconds": 10}}
    runtime.shop.will("undo_a", *[fails] * 6)
    runtime.shop.always("undo_a2", fails)
    execution = runtime.run(saga("orders", reversible("a", undo=undo)))
    _undo(execution)

    runtime.work_for(14)

    assert runtime.ledger(execution) == {"a": "COMPENSATION_FAILED"}
    assert "undo_a2" in runtime.shop.names()


# ---- the pages ----------------------------------------------------------------------------------


def _page(entry: StepRun, act: str) -> str:
    return f"/runs/{entry.execution_id}/undos/{entry.pk}/{act}/"


def test_the_page_offers_the_input_that_was_sent_and_keeps_what_was_typed(
    runtime: Runtime, client: Client
) -> None:
    entry = _failed(runtime)
    client.force_login(User.objects.create_superuser("root"))
    page = _page(entry, "amend")

    offered = client.get(page).content.decode()
    typed = {"reason": "typo", "input": "[1"}
    refused = client.post(page, typed)
    accepted = client.post(page, {"reason": "typo", "input": '{"order": 4}'})

    assert "&quot;order&quot;: 1" in offered
    assert (refused.status_code, accepted.status_code) == (422, 302)
    assert "[1</textarea>" in refused.content.decode()
    runtime.work()
    assert StepRun.objects.get(compensates=entry.pk, round=1).input == {"order": 4}


def test_the_page_asks_whether_anything_was_applied(runtime: Runtime, client: Client) -> None:
    entry = _failed(runtime, how=loses_after_effect)
    client.force_login(User.objects.create_superuser("root"))
    page, typed = _page(entry, "amend"), {"reason": "typo", "input": "{}"}

    refused = client.post(page, typed)
    accepted = client.post(page, {**typed, "not_applied": "yes"})

    assert (refused.status_code, accepted.status_code) == (409, 302)


def test_a_late_effect_is_called_harmless_on_its_page(runtime: Runtime, client: Client) -> None:
    execution = _late(runtime)
    entry = runtime.steps(execution)["x"]
    client.force_login(User.objects.create_superuser("root"))

    shown = client.get(_page(entry, "resolve")).content.decode()
    again = client.get(_page(entry, "retry")).content.decode()
    client.post(_page(entry, "resolve"), {"reason": "seen", "harmless": "yes"})

    assert 'name="harmless"' in shown
    assert "Undo it again" in again
    assert runtime.ledger(execution) == {"x": "COMPENSATED"}
