"""Signing in and out; guessing is slowed down without locking others out."""

from types import SimpleNamespace

import pytest
from django.test import Client

from orchestrator.access import limits


@pytest.fixture
def viewer(person):
    return person("viewer", password="demo")


def sign_in(**form):
    return Client().post("/login/", {"username": "viewer", "password": "demo", **form})


def test_form_is_shown(db):
    response = Client().get("/login/?next=/runs/")

    assert response.status_code == 200
    text = response.content.decode()
    assert 'name="csrfmiddlewaretoken"' in text
    assert 'value="/runs/"' in text


def test_good_password_signs_in_with_a_fresh_session(viewer):
    response = sign_in(next="/runs/?state=open")

    assert (response.status_code, response.headers["Location"]) == (302, "/runs/?state=open")
    cookie = response.cookies["sessionid"]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "javascript:alert(1)",
        "https:evil.example",
    ],
)
def test_foreign_target_leads_home(viewer, target):
    assert sign_in(next=target).headers["Location"] == "/"


def test_wrong_password_does_not_tell_what_is_wrong(viewer):
    wrong_password, wrong_name = sign_in(password="x"), sign_in(username="nobody")

    assert wrong_password.status_code == wrong_name.status_code == 200
    for response in (wrong_password, wrong_name):
        assert "Username or password is wrong." in response.content.decode()
        assert "sessionid" not in response.cookies


def test_guessing_one_name_locks_that_name_only(viewer, person):
    person("other", password="demo")

    seen = [sign_in(password=f"wrong-{number}").status_code for number in range(6)]
    locked = sign_in()

    assert seen == [200, 200, 200, 200, 429, 429]
    assert (locked.status_code, locked.headers["Retry-After"]) == (429, "900")
    assert "Too many sign-ins have failed." in locked.content.decode()
    assert 'value="viewer"' in locked.content.decode()
    assert sign_in(username="other").status_code == 302


def test_guessing_many_names_closes_the_address(viewer, monkeypatch):
    # The counter's window must not end between the first guess and the last.
    monkeypatch.setattr(limits, "time", SimpleNamespace(time=lambda: 1_800_000_000.0))
    for number in range(50):
        assert sign_in(username=f"name-{number}").status_code == 200

    assert sign_in().status_code == 429


def test_sign_out_ends_the_session(viewer, signed_in):
    client = signed_in(viewer)

    assert client.get("/logout/").status_code == 405
    assert client.post("/logout/").headers["Location"] == "/login/"
    assert client.get("/api/v1/me").status_code == 401
