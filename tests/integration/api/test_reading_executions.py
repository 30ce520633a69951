"""Executions as pages and the API read them: shape, scope, pages, filters, cost."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from orchestrator.access.errors import NotFound
from orchestrator.models import Workflow
from orchestrator.selectors import compensations, executions, trace, workflows
from orchestrator.selectors.errors import Malformed
from orchestrator.selectors.executions import ExecutionFilters
from tests.integration.api.conftest import make_event, make_execution, make_plan, make_step


def ids(page: Any) -> list[object]:
    return [row["id"] for row in page.results]


def test_detail_has_exactly_the_documented_keys(
    make_workflow: Callable[..., Workflow],
) -> None:
    execution = make_execution(make_workflow(), state="COMPENSATING", outcome="FAILED")
    charged = make_step(
        execution, "charge", seq=1, entry_state="RUNNING", policy="AUTOMATIC", round=1,
        amount={"value": 5, "currency": "EUR"},
    )  # fmt: skip
    make_step(
        execution, "refund", seq=2, direction="COMPENSATION", compensates=charged.pk,
        state="DISPATCHED",
        round=1, attempt=2,
    )  # fmt: skip
    make_plan(execution, entries=[{"id": str(charged.pk)}])

    detail = executions.execution_detail(actor=None, execution_id=execution.pk)

    assert set(detail) == {
        "id", "workflowName", "version", "state", "outcome", "failure", "paused", "epoch",
        "correlationId", "parentId", "startedBy", "startedAt", "endedAt", "waitingOn", "input",
        "output", "variables", "steps", "nextSteps", "ledger", "nextLedger", "plan",
        "pendingActs",
    }  # fmt: skip
    forward, undo = detail["steps"]
    assert forward["idempotencyKey"] == f"f:{execution.pk}:charge:e1"
    assert forward["worker"] == "host-1"
    assert undo["idempotencyKey"] == f"c:{charged.pk}:r1"
    assert (undo["compensates"], undo["attempt"]) == (str(charged.pk), 2)
    (entry,) = detail["ledger"]
    assert entry["id"] == str(charged.pk)
    assert entry["amount"] == {"value": 5, "currency": "EUR"}
    assert detail["plan"]["triggeredBy"] == "root"
    assert detail["startedAt"] == "2026-05-04T12:30:00.000Z"
    assert detail["waitingOn"] == "“charge” is being undone."


def test_steps_of_an_undo_of_several_have_keys_of_their_own(
    make_workflow: Callable[..., Workflow],
) -> None:
    undo = [
        {"name": "a", "taskReferenceName": "a", "type": "SIMPLE"},
        {"name": "b", "taskReferenceName": "b", "type": "SIMPLE"},
    ]
    task = {
        "name": "book",
        "taskReferenceName": "book",
        "type": "SIMPLE",
        "effect": "REVERSIBLE",
        "compensation": {"tasks": undo, "safeIfNotApplied": True},
    }
    execution = make_execution(make_workflow("trips", {"tasks": [task], "saga": {}}))
    booked = make_step(execution, "book", seq=1, entry_state="RUNNING")
    make_step(execution, "a", seq=2, direction="COMPENSATION", compensates=booked.pk)

    detail = executions.execution_detail(actor=None, execution_id=execution.pk)

    assert detail["steps"][1]["idempotencyKey"] == f"c:{booked.pk}:r0:a"


def test_detail_costs_the_same_for_long_runs(
    make_workflow: Callable[..., Workflow], superuser: User
) -> None:
    def cost(length: int) -> int:
        execution = make_execution(workflow)
        for seq in range(1, length + 1):
            step = make_step(execution, f"s{seq}", seq=2 * seq, entry_state="COMPENSATED")
            make_step(
                execution, f"u{seq}", seq=2 * seq + 1, direction="COMPENSATION",
                compensates=step.pk,
            )  # fmt: skip
        with CaptureQueriesContext(
            connection,
        ) as queries:
            executions.execution_detail(actor=superuser, execution_id=execution.pk)
        return len(queries)

    workflow = make_workflow()
    cost(1)

    assert cost(1) == cost(40) == 6


def test_long_runs_are_cut_and_the_rest_is_paged(
    make_workflow: Callable[..., Workflow], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executions, "PART_LIMIT", 2)
    execution = make_execution(make_workflow())
    for seq in range(1, 6):
        make_step(execution, f"s{seq}", seq=seq, entry_state="ARMED")

    detail = executions.execution_detail(actor=None, execution_id=execution.pk)
    rest = executions.execution_steps(
        actor=None, execution_id=execution.pk, cursor=str(detail["nextSteps"]), limit=50
    )
    entries = executions.execution_ledger(
        actor=None, execution_id=execution.pk, cursor=str(detail["nextLedger"]), limit=2
    )

    assert [step["taskReferenceName"] for step in detail["steps"]] == ["s1", "s2"]
    assert [step["taskReferenceName"] for step in rest.results] == ["s3", "s4", "s5"]
    assert rest.next is None
    assert [entry["taskReferenceName"] for entry in entries.results] == ["s3", "s4"]
    assert entries.next is not None


def test_invisible_and_missing_executions_are_told_alike(
    make_workflow: Callable[..., Workflow], make_user: Callable[[str], User]
) -> None:
    stranger, execution = make_user("stranger"), make_execution(make_workflow())

    for wanted in (execution.pk, uuid.uuid4(), "not-an-id", "'\";--"):
        with pytest.raises(NotFound):
            executions.execution_detail(actor=stranger, execution_id=wanted)
        with pytest.raises(NotFound):
            trace.events_after(actor=stranger, execution_id=wanted)


def test_list_shows_only_what_one_may_see(
    make_workflow: Callable[..., Workflow],
    make_user: Callable[[str], User],
    give_role: Callable[..., bool],
    superuser: User,
) -> None:
    seen, hidden = make_workflow("seen"), make_workflow("hidden")
    shown, other = make_execution(seen), make_execution(hidden)
    viewer = make_user("viewer")
    give_role(viewer, "viewer", seen)

    assert ids(executions.executions_page(actor=viewer)) == [str(shown.pk)]
    assert ids(executions.executions_page(actor=superuser)) == [str(other.pk), str(shown.pk)]
    asked = ExecutionFilters(workflow="hidden")
    assert ids(executions.executions_page(actor=viewer, filters=asked)) == []


def test_pages_lead_there_and_back(make_workflow: Callable[..., Workflow]) -> None:
    workflow = make_workflow()
    newest_first = [str(make_execution(workflow).pk) for _ in range(5)][::-1]

    first = executions.executions_page(actor=None, limit=2)
    second = executions.executions_page(actor=None, limit=2, cursor=first.next)
    third = executions.executions_page(actor=None, limit=2, cursor=second.next)
    back = executions.executions_page(actor=None, limit=2, cursor=third.previous)
    start = executions.executions_page(actor=None, limit=2, cursor=back.previous)

    assert ids(first) + ids(second) + ids(third) == newest_first
    assert (first.previous, third.next) == (None, None)
    assert ids(back) == ids(second)
    assert ids(start) == ids(first)
    assert start.previous is None


@pytest.mark.parametrize("cursor", ["broken", "YWJj", "%%%", "a", "YTk5OTk5", "é"])
def test_a_foreign_cursor_is_malformed(db: None, cursor: str) -> None:
    with pytest.raises(Malformed):
        executions.executions_page(actor=None, cursor=cursor)


@pytest.mark.parametrize("limit", [0, -1, 201])
def test_page_size_is_limited(db: None, limit: int) -> None:
    with pytest.raises(Malformed):
        executions.executions_page(actor=None, limit=limit)


FILTERS: list[tuple[ExecutionFilters, list[str]]] = [
    (ExecutionFilters(workflow="orders"), ["running", "failed"]),
    (ExecutionFilters(workflow="trips"), ["done"]),
    (ExecutionFilters(workflow="nosuch"), []),
    (ExecutionFilters(states=("FAILED", "COMPLETED")), ["failed", "done"]),
    (ExecutionFilters(correlation_id="failed"), ["failed"]),
    (ExecutionFilters(text="fai"), ["failed"]),
    (ExecutionFilters(text="TRIP"), ["done"]),
    (ExecutionFilters(text="100%"), []),
    (ExecutionFilters(workflow="trips", version=2), []),
]


@pytest.mark.parametrize(("filters", "expected"), FILTERS)
def test_filters(
    make_workflow: Callable[..., Workflow], filters: ExecutionFilters, expected: list[str]
) -> None:
    orders, trips = make_workflow("orders"), make_workflow("trips")
    make_execution(orders, correlation_id="running")
    make_execution(orders, correlation_id="failed", state="FAILED")
    make_execution(trips, correlation_id="done", state="COMPLETED")

    page = executions.executions_page(actor=None, filters=filters)

    assert [row["correlationId"] for row in page.results][::-1] == expected


def test_text_finds_an_id(make_workflow: Callable[..., Workflow]) -> None:
    workflow = make_workflow()
    wanted, _ = make_execution(workflow), make_execution(workflow)

    page = executions.executions_page(actor=None, filters=ExecutionFilters(text=str(wanted.pk)))

    assert ids(page) == [str(wanted.pk)]


@pytest.mark.parametrize(
    "filters", [ExecutionFilters(states=("LOST",)), ExecutionFilters(text="x" * 201)]
)
def test_bad_filters_are_malformed(db: None, filters: ExecutionFilters) -> None:
    with pytest.raises(Malformed):
        executions.executions_page(actor=None, filters=filters)


def test_trace_in_order_and_from_a_number(make_workflow: Callable[..., Workflow]) -> None:
    execution = make_execution(make_workflow())
    make_event(execution, 2, "step.failed", reference="charge", data={"reason": "no"})
    make_event(execution, 1, "execution.started")

    events = trace.events_after(actor=None, execution_id=execution.pk)

    assert events == [
        {"seq": 1, "at": "2026-05-04T12:30:01.000Z", "type": "execution.started"},
        {
            "seq": 2,
            "at": "2026-05-04T12:30:02.000Z",
            "type": "step.failed",
            "taskReferenceName": "charge",
            "data": {"reason": "no"},
        },
    ]
    assert trace.events_after(actor=None, execution_id=execution.pk, seq=1) == events[1:]
    assert trace.events_after(actor=None, execution_id=execution.pk, limit=1) == events[:1]


SENTENCES = [
    ({"paused": True}, [], "The run is paused until somebody resumes it."),
    ({}, [("ask", "HUMAN", "WAITING")], "“ask” waits for a person."),
    ({}, [("nap", "WAIT", "WAITING")], "“nap” waits for its time or a signal."),
    ({}, [("a", "SIMPLE", "SCHEDULED")], "“a” waits for a worker."),
    (
        {},
        [("a", "SIMPLE", "SCHEDULED"), ("b", "HTTP", "UNKNOWN")],
        "Nobody can say yet whether “b” took effect.",
    ),
    ({"state": "COMPLETED"}, [], ""),
]


@pytest.mark.parametrize(("fields", "steps", "expected"), SENTENCES)
def test_waiting_on_is_a_sentence(
    make_workflow: Callable[..., Workflow],
    fields: dict[str, Any],
    steps: list[tuple[str, str, str]],
    expected: str,
) -> None:
    execution = make_execution(make_workflow(), **fields)
    for seq, (reference, type_, state) in enumerate(steps, start=1):
        make_step(execution, reference, seq=seq, type=type_, state=state)

    detail = executions.execution_detail(actor=None, execution_id=execution.pk)

    assert detail["waitingOn"] == expected


def test_lists_cost_the_same_however_long(
    make_workflow: Callable[..., Workflow], superuser: User, make_user: Callable[[str], User]
) -> None:
    workflow, person = make_workflow(), make_user("person")

    def costs() -> list[int]:
        counts = []
        for actor in (superuser, person):
            with CaptureQueriesContext(connection) as queries:
                executions.executions_page(actor=actor)
                compensations.compensations_page(actor=actor)
                workflows.workflows_page(actor=actor)
            counts.append(len(queries))
        return counts

    make_step(make_execution(workflow), "a", seq=1, entry_state="MANUAL")
    costs()  # The first look-up of a process fills Django's cache of content types.
    before = costs()
    for number in range(20):
        make_step(make_execution(workflow), "a", seq=1, entry_state="MANUAL")
        make_workflow(f"w{number}", {"tasks": []})

    assert costs() == before == [3, 3]


UNDOING = [
    (("RUNNING", "AWAITING_APPROVAL"), "The undo of “b” waits for an approval."),
    (
        ("PLANNED", "COMPENSATION_FAILED"),
        "The undo of “b” failed for good; settle it by hand.",
    ),
    (("COMPENSATED", "PLANNED"), "Steps are being undone."),
]


@pytest.mark.parametrize(("states", "expected"), UNDOING)
def test_waiting_on_names_the_undo_that_holds_the_run(
    make_workflow: Callable[..., Workflow], states: tuple[str, str], expected: str
) -> None:
    execution = make_execution(make_workflow(), state="COMPENSATING")
    for seq, (reference, state) in enumerate(zip("ab", states, strict=True), start=1):
        make_step(execution, reference, seq=seq, entry_state=state)

    detail = executions.execution_detail(actor=None, execution_id=execution.pk)

    assert detail["waitingOn"] == expected
