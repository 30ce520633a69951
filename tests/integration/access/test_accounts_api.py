"""Accounts, keys and grants over the API: for superusers and admins, and for nobody else."""

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from orchestrator.access.roles import Role
from orchestrator.audit.models import AuditEntry
from orchestrator.models import ApiKey, ApiToken, StoredAnswer, Workflow
from orchestrator.services import accounts

PASSWORD = "a-Long-pass-1"


@pytest.fixture
def root(person, signed_in):
    return signed_in(person("root", superuser=True))


def send(client, method, path, body, **headers):
    return getattr(client, method)(path, body, content_type="application/json", headers=headers)


def test_superuser_makes_a_person_who_can_sign_in(root):
    Group.objects.create(name="finance")
    body = {"username": "ada", "password": PASSWORD, "groups": ["finance"]}

    made = send(root, "post", "/api/v1/users", body)

    assert (made.status_code, made.json()) == (
        201,
        {"username": "ada", "isActive": True, "groups": ["finance"]},
    )
    signed = Client().post("/login/", {"username": "ada", "password": PASSWORD})
    assert signed.status_code == 302
    entry = AuditEntry.objects.get(action="user.create")
    assert (entry.actor, entry.subject, PASSWORD in entry.changes) == ("root", "ada", False)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"username": "root", "password": PASSWORD, "groups": []}, 409),
        ({"username": "ada", "password": "short", "groups": []}, 422),
        ({"username": "ada", "password": PASSWORD, "groups": ["none"]}, 422),
        ({"username": "a b", "password": PASSWORD, "groups": []}, 422),
        ({"username": "", "password": PASSWORD, "groups": []}, 422),
    ],
    ids=["taken", "weak password", "unknown group", "bad name", "no name"],
)
def test_refused_person_leaves_nothing(root, body, status):
    response = send(root, "post", "/api/v1/users", body)

    assert response.status_code == status
    assert list(User.objects.values_list("username", flat=True)) == ["root"]
    assert AuditEntry.objects.count() == 0


def test_deactivation_and_groups_count_at_once(root, person, signed_in):
    client = signed_in(person("ada", "finance"))
    assert client.get("/api/v1/me").json()["groups"] == ["finance"]

    changed = send(root, "patch", "/api/v1/users/ada", {"groups": []})
    assert (changed.status_code, client.get("/api/v1/me").json()["groups"]) == (200, [])
    send(root, "patch", "/api/v1/users/ada", {"isActive": False})

    assert client.get("/api/v1/me").status_code == 401
    assert send(root, "patch", "/api/v1/users/nobody", {"isActive": False}).status_code == 404


def test_last_superuser_stays(root):
    response = send(root, "patch", "/api/v1/users/root", {"isActive": False})

    assert response.status_code == 409
    assert User.objects.get().is_active


@pytest.mark.parametrize(
    "call",
    [
        ("post", "/api/v1/users", {"username": "eve", "password": PASSWORD, "groups": []}),
        ("patch", "/api/v1/users/owner", {"isActive": False}),
        ("post", "/api/v1/service-accounts", {"name": "eve"}),
    ],
)
def test_accounts_are_for_superusers(call, person, workflow, give, signed_in):
    owner = person("owner")
    give(workflow, owner, Role.ADMIN)
    before = (list(User.objects.values()), ApiKey.objects.count(), AuditEntry.objects.count())

    response = send(signed_in(owner), *call)

    assert response.status_code == 403
    assert before[1:] == (ApiKey.objects.count(), AuditEntry.objects.count())
    assert [row["is_active"] for row in before[0]] == [
        user.is_active for user in User.objects.all()
    ]


def test_service_account_has_no_rights_until_granted(root, workflow):
    made = send(root, "post", "/api/v1/service-accounts", {"name": "robot"})
    key = made.json()
    token = Client().post(
        "/api/token",
        {"keyId": key["keyId"], "keySecret": key["keySecret"]},
        content_type="application/json",
    )
    robot = {"X-Authorization": token.json()["token"]}

    assert (made.status_code, token.status_code) == (201, 200)
    assert key["keySecret"] not in str(list(ApiKey.objects.values()))
    assert robot["X-Authorization"] not in str(list(ApiToken.objects.values()))
    assert Client().get("/api/v1/me", headers=robot).json()["workflows"] == []
    assert Client().get("/api/v1/workflows/orders/grants", headers=robot).status_code == 404
    grants = {"grants": [{"user": "robot", "role": "operator"}]}
    assert send(root, "put", "/api/v1/workflows/orders/grants", grants).json() == grants
    (row,) = Client().get("/api/v1/me", headers=robot).json()["workflows"]
    assert row["workflow"] == "orders"
    assert {"name": "start_execution", "because": "You have the role operator."} in row[
        "permissions"
    ]


@pytest.mark.parametrize("role", ["stranger", *Role])
def test_grants_over_the_api(role, person, workflow, give, signed_in):
    somebody = person("somebody")
    if role != "stranger":
        give(workflow, somebody, role)
    client = signed_in(somebody)
    path = "/api/v1/workflows/orders/grants"

    read = client.get(path)
    written = send(client, "put", path, {"grants": [{"user": "somebody", "role": "admin"}]})

    assert read.status_code == (404 if role == "stranger" else 200)
    assert written.status_code == {"stranger": 404, Role.ADMIN: 200}.get(role, 403)


@pytest.mark.parametrize(
    "body", [{}, {"grants": "x"}, {"grants": [{"user": "root"}]}, {"grants": [{"role": "viewer"}]}]
)
def test_grants_that_make_no_sense(root, workflow, body):
    response = send(root, "put", "/api/v1/workflows/orders/grants", body)

    assert response.status_code == 422
    assert response.json()["problems"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"keyId": "robot-key", "keySecret": "wrong"}, 401),
        ({"keyId": "nobody", "keySecret": "secret"}, 401),
        ({"keyId": 1, "keySecret": None}, 400),
        ({}, 400),
        ([], 400),
    ],
)
def test_token_is_refused(db, body, status):
    accounts.ensure_service_account(name="robot", key_id="robot-key", secret="secret")

    response = Client().post("/api/token", body, content_type="application/json")

    assert response.status_code == status
    assert ApiToken.objects.count() == 0


def test_key_of_a_deactivated_account_gives_no_token(db):
    robot = accounts.ensure_service_account(name="robot", key_id="robot-key", secret="secret")
    robot.is_active = False
    robot.save()

    response = Client().post(
        "/api/token",
        {"keyId": "robot-key", "keySecret": "secret"},
        content_type="application/json",
    )

    assert response.status_code == 401


def test_guessing_is_slowed_down_and_locks_nobody_else_out(db):
    accounts.ensure_service_account(name="robot", key_id="robot-key", secret="secret")
    client = Client()

    def exchange(key_id, secret):
        body = {"keyId": key_id, "keySecret": secret}
        return client.post("/api/token", body, content_type="application/json")

    for _ in range(40):
        assert exchange("robot-key", "secret").status_code == 200
    seen = [exchange("guessed", str(number)).status_code for number in range(31)]
    other = exchange("another", "wrong")

    assert seen == [401] * 30 + [429]
    assert (other.status_code, other.json()["retryable"]) == (429, True)
    assert 0 < int(other.headers["Retry-After"]) <= 60
    assert exchange("robot-key", "secret").status_code == 200


def test_same_account_again_is_the_same(db):
    first = accounts.ensure_service_account(name="robot", key_id="robot-key", secret="secret")
    again = accounts.ensure_service_account(name="robot", key_id="robot-key", secret="secret")

    assert first == again
    assert ApiKey.objects.count() == AuditEntry.objects.count() == 1


def test_repeated_call_with_its_key_is_answered_not_done_again(root):
    body = {"username": "ada", "password": PASSWORD, "groups": []}
    key = {"Idempotency-Key": "call-1"}

    first = send(root, "post", "/api/v1/users", body, **key)
    again = send(root, "post", "/api/v1/users", body, **key)
    other = send(root, "post", "/api/v1/users", {**body, "username": "eve"}, **key)

    assert (first.status_code, again.status_code, other.status_code) == (201, 201, 422)
    assert first.json() == again.json()
    assert sorted(User.objects.values_list("username", flat=True)) == ["ada", "root"]


def test_refused_call_may_be_made_again_with_its_key(root):
    key = {"Idempotency-Key": "call-1"}
    bad = {"username": "ada", "password": "short", "groups": []}

    refused = send(root, "post", "/api/v1/users", bad, **key)
    done = send(root, "post", "/api/v1/users", {**bad, "password": PASSWORD}, **key)

    assert (refused.status_code, done.status_code) == (422, 201)


def test_second_call_meanwhile_is_told_to_wait(root):
    body = {"username": "ada", "password": PASSWORD, "groups": []}
    send(root, "post", "/api/v1/users", body, **{"Idempotency-Key": "call-1"})
    StoredAnswer.objects.update(status=0)

    response = send(root, "post", "/api/v1/users", body, **{"Idempotency-Key": "call-1"})

    assert response.status_code == 409


def test_me_of_a_superuser_says_why(root, workflow):
    Workflow.objects.create(name="inline", is_listed=False)

    me = root.get("/api/v1/me").json()

    assert (me["username"], me["isSuperuser"]) == ("root", True)
    assert [row["workflow"] for row in me["workflows"]] == ["orders"]
    assert {right["because"] for right in me["workflows"][0]["permissions"]} == {
        "You are a superuser."
    }
