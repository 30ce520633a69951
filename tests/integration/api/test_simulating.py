"""The undo simulator over HTTP: rights, what is refused, what is kept with a version."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from orchestrator import tasks
from orchestrator.access.limits import Limit
from orchestrator.dispatch import MESSAGE_VERSION
from orchestrator.models import Attempt, Execution, StepRun, VersionSimulation, Workflow
from orchestrator.services import simulations, versions
from tests.factories.definitions import child, outside, plain, reversible, saga, task

Clients = Callable[[User], Client]
PATH = "/api/v1/workflows/orders"
APPROVAL = {"policy": "APPROVAL", "approval": {"groups": [], "quorum": 1}}
ORDERS = saga(
    "orders",
    reversible("reserve"),
    outside("mail", effect="IRREVERSIBLE"),
    reversible("charge", undo=APPROVAL),
    reversible("ship"),
)


def post(client: Client, body: Any, path: str = PATH) -> Any:
    return client.post(f"{path}/simulate", json.dumps(body), content_type="application/json")


@pytest.fixture
def client(superuser: User, client_of: Clients) -> Client:
    return client_of(superuser)


@pytest.fixture
def orders(db: None) -> Workflow:
    samples: list[dict[str, Any]] = [{"name": "happy", "input": {"order": "o-1"}}]
    return versions.register(actor=None, document=ORDERS, samples=samples).version.workflow


def failures(answer: Any, outcome: str = "FAILED") -> dict[str, list[str]]:
    return {
        row["failureAt"]: [entry["taskReferenceName"] for entry in row["entries"]]
        for row in answer["scenarios"]
        if row["outcome"] == outcome and row["also"] is None
    }


def test_a_version_is_failed_at_every_step(orders: Workflow, client: Client) -> None:
    answer = post(client, {"version": 1, "input": {}, "mocks": {}})

    assert answer.status_code == 200, answer.content
    told = answer.json()
    assert failures(told) == {
        "reserve": [],
        "mail": ["reserve"],
        "charge": ["reserve"],
        "ship": ["charge", "reserve"],
    }
    assert told["coverage"] == {
        "undoable": 3,
        "effects": 4,
        "share": 0.75,
        "text": "3 of 4 effects can be undone",
    }
    last = next(row for row in told["scenarios"] if row["failureAt"] == "ship")
    assert last["cannotBeUndone"] == ["mail"]
    assert [row["taskReferenceName"] for row in last["approvals"]] == ["charge"]


def test_nothing_is_called_stored_or_started(orders: Workflow, client: Client) -> None:
    post(client, {"version": 1, "input": {}})

    rows = (Execution, StepRun, Attempt, VersionSimulation)
    assert [model.objects.count() for model in rows] == [0, 0, 0, 0]


def test_a_definition_that_nobody_has_published(orders: Workflow, client: Client) -> None:
    draft = saga("orders", reversible("one"), reversible("two"))

    told = post(client, {"definition": draft}).json()

    assert failures(told) == {"one": [], "two": ["one"]}
    assert told["version"] is None


def test_without_input_the_first_sample_is_played(orders: Workflow, client: Client) -> None:
    assert post(client, {}).json()["input"] == {"order": "o-1"}
    assert post(client, {"input": {}}).json()["input"] == {}


def test_scripts_are_evaluated(orders: Workflow, client: Client) -> None:
    rule = {"evaluatorType": "javascript", "expression": "$.output.amount > 100"}
    undo = {"policy": "APPROVAL_IF", "approvalIf": rule}
    draft = saga("orders", reversible("pay", undo=undo), reversible("ship"))

    def asked(amount: int) -> bool:
        body = {"definition": draft, "mocks": {"pay": {"amount": amount}}}
        rows = post(client, body).json()["scenarios"]
        return bool(next(row for row in rows if row["failureAt"] == "ship")["approvals"])

    assert asked(500)
    assert not asked(5)


def test_loops_and_branches_ask_their_scripts(orders: Workflow, client: Client) -> None:
    loop = task(
        "l",
        "DO_WHILE",
        loopCondition="$.l['iteration'] < $.rounds",
        inputParameters={"rounds": "${workflow.input.rounds}"},
        loopOver=[reversible("x")],
    )
    branch = task(
        "s",
        "SWITCH",
        evaluatorType="javascript",
        expression="$.n > 1 ? 'many' : 'few'",
        inputParameters={"n": "${workflow.input.rounds}"},
        decisionCases={"many": [reversible("m")], "few": [reversible("f")]},
    )
    draft = saga("orders", loop, branch, reversible("z"))

    told = post(client, {"definition": draft, "input": {"rounds": 2}}).json()

    assert told["path"]["steps"] == ["x", "x", "m", "z"]
    assert failures(told)["z"] == ["m", "x", "x"]
    assert failures(told)["f"] == ["x", "x"]


def test_mocks_that_no_step_has_are_told(orders: Workflow, client: Client) -> None:
    told = post(client, {"version": 1, "mocks": {"mial": {}, "undo_ship": {}, "ship": {}}}).json()

    assert told["unusedMocks"] == ["mial"]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"version": 1, "definition": ORDERS}, "/version"),
        ({"version": "x"}, "/version"),
        ({"version": 0}, "/version"),
        ({"input": []}, "/input"),
        ({"mocks": 3}, "/mocks"),
        ({"mocks": {"a/b": 3}}, "/mocks/a~1b"),
        ({"mocks": {"a": []}}, "/mocks/a"),
        ({"mocks": {"a": [{}, 1]}}, "/mocks/a/1"),
        ({"definition": []}, "/definition"),
        ({"definition": saga("orders", task("a"))}, "/definition/tasks/0"),
    ],
)
def test_bad_content_is_refused_with_its_place(
    orders: Workflow, client: Client, body: Any, path: str
) -> None:
    answer = post(client, body)

    assert answer.status_code == 422, answer.content
    assert path in {problem["path"] for problem in answer.json()["problems"]}


def test_what_is_not_there(orders: Workflow, client: Client) -> None:
    assert post(client, {"version": 7}).status_code == 404
    assert post(client, {}, "/api/v1/workflows/nothing").status_code == 404


@pytest.mark.parametrize(
    ("role", "status"),
    [
        ("viewer", 403),
        ("operator", 403),
        ("approver", 403),
        ("editor", 200),
        ("publisher", 200),
        ("admin", 200),
        (None, 404),
    ],
)
def test_rights(
    orders: Workflow,
    make_user: Callable[[str], User],
    give_role: Callable[..., bool],
    client_of: Clients,
    role: str | None,
    status: int,
) -> None:
    somebody = make_user("somebody")
    if role is not None:
        give_role(somebody, role, orders)

    assert post(client_of(somebody), {"version": 1}).status_code == status
    kept = client_of(somebody).get(f"{PATH}/versions/1/simulation")
    assert kept.status_code == status


def test_asking_too_often_is_refused(
    orders: Workflow, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = Limit(name="simulate-test", times=1, seconds=60)
    monkeypatch.setattr(simulations, "PER_MINUTE", limit)

    assert [post(client, {"version": 1}).status_code for _ in range(2)] == [200, 429]


def test_the_result_is_kept_with_the_version(orders: Workflow, client: Client) -> None:
    first = client.get(f"{PATH}/versions/1/simulation").json()
    again = client.get(f"{PATH}/versions/1/simulation").json()

    assert first == again
    assert failures(first)["ship"] == ["charge", "reserve"]
    assert VersionSimulation.objects.get().version.workflow == orders


def test_publishing_has_the_version_simulated(
    db: None,
    django_capture_on_commit_callbacks: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent: list[tuple[str, list[str]]] = []
    monkeypatch.setattr(
        "orchestrator.dispatch._send_all", lambda name, ids, _queue: sent.append((name, list(ids)))
    )
    monkeypatch.setattr(tasks, "close_old_connections", lambda: None)

    with django_capture_on_commit_callbacks(execute=True):
        version = versions.register(actor=None, document=ORDERS).version
        versions.register(actor=None, document=plain("p", outside("a")))

    assert sent == [("orchestrator.simulate_version", [str(version.pk)])]
    assert VersionSimulation.objects.count() == 0
    tasks.simulate_version(str(version.pk), v=MESSAGE_VERSION)
    tasks.simulate_version(str(version.pk), v=MESSAGE_VERSION)
    assert VersionSimulation.objects.get().coverage["undoable"] == 3


def test_version_that_is_gone_is_not_simulated(db: None) -> None:
    simulations.keep_if_missing(version_id=99)

    assert VersionSimulation.objects.count() == 0


def test_version_shows_coverage_and_weak_points(orders: Workflow, client: Client) -> None:
    shown = client.get(f"{PATH}/versions/1").json()

    assert shown["coverage"]["text"] == "3 of 4 effects can be undone"
    assert {row["reason"] for row in shown["weakPoints"]} == {"mail stays"}


def test_plain_version_has_no_weak_points(client: Client) -> None:
    versions.register(actor=None, document=plain("p", outside("a")))

    shown = client.get("/api/v1/workflows/p/versions/1").json()

    assert (shown["coverage"]["text"], shown["weakPoints"]) == (
        "0 of 1 effect can be undone",
        [],
    )
    assert VersionSimulation.objects.count() == 0


def test_validating_tells_the_coverage(orders: Workflow, client: Client) -> None:
    answer = client.post(
        f"{PATH}/validate", json.dumps({"definition": ORDERS}), content_type="application/json"
    )

    assert answer.json()["coverage"]["text"] == "3 of 4 effects can be undone"


def test_steps_of_a_workflow_that_is_not_seen_are_not_told(
    orders: Workflow,
    make_user: Callable[[str], User],
    give_role: Callable[..., bool],
    client_of: Clients,
) -> None:
    secret = saga("secret", reversible("hush"))
    versions.register(actor=None, document=secret)
    parent = saga("parent", reversible("a"), child("sub", "secret"), reversible("z"))
    workflow = versions.register(actor=None, document=parent).version.workflow
    editor = make_user("editor")
    give_role(editor, "editor", workflow)
    client = client_of(editor)

    answers = [
        post(client, {"version": 1}, "/api/v1/workflows/parent"),
        client.get("/api/v1/workflows/parent/versions/1/simulation"),
        client.get("/api/v1/workflows/parent/versions/1"),
    ]

    assert all(answer.status_code == 200 for answer in answers)
    assert all("hush" not in answer.content.decode() for answer in answers)
    assert failures(answers[0].json()) == {"a": [], "z": ["a"]}
    assert answers[0].json()["cut"] == [
        'The steps of "secret" are not shown: it is not yours to see.'
    ]
    assert answers[2].json()["weakPoints"] is None
    give_role(editor, "viewer", Workflow.objects.get(name="secret"))
    seen = post(client, {"version": 1}, "/api/v1/workflows/parent").json()
    assert failures(seen)["z"] == ["hush", "sub", "a"]
