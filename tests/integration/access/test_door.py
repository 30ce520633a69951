"""The door: nothing answers without a login but the list; every face refuses in its own shape."""

import json
import re
from datetime import timedelta

import pytest
from asgiref.sync import async_to_sync
from asgiref.testing import ApplicationCommunicator
from django.core.asgi import get_asgi_application
from django.test import Client
from django.urls import URLPattern, get_resolver, resolve
from django.utils import timezone

from orchestrator.access.public import DEMO_ROUTES, PUBLIC_ROUTES
from orchestrator.models import ApiKey, ApiToken

pytestmark = pytest.mark.django_db


def routes(patterns=None, prefix=""):
    """Every route of the URL conf with its whole pattern."""
    for pattern in patterns if patterns is not None else get_resolver().url_patterns:
        whole = prefix + str(pattern.pattern)
        if isinstance(pattern, URLPattern):
            yield whole
        else:
            yield from routes(pattern.url_patterns, whole)


def address_of(route):
    """An address that leads to the route."""
    for kind, value in (
        ("<uuid:", "01980000-0000-7000-8000-000000000000"),
        ("<int:", "1"),
        ("<str:", "x"),
        ("<slug:", "x"),
        ("<path:", "x"),
    ):
        while kind in route:
            begin = route.index(kind)
            route = route[:begin] + value + route[route.index(">", begin) + 1 :]
    route = re.sub(r"\(\?P<\w+>(\w+)\|[^)]*\)", r"\1", route)
    route = re.sub(
        r"\(\?P<\w+>(?:[^()]|\([^)]*\))*\)", "01980000-0000-7000-8000-000000000000", route
    )
    return "/" + route.strip("^$")


def test_every_public_route_exists():
    known = set(routes())

    missing = {
        route
        for _, route in PUBLIC_ROUTES | DEMO_ROUTES
        if route not in known and route not in {"api/health", "api/version"}
    }

    assert missing == set()


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete"])
def test_no_other_route_answers_nobody(method, settings):
    settings.AMENDS_DEMO = False
    client = Client(enforce_csrf_checks=True)
    public = {(verb, route) for verb, route in PUBLIC_ROUTES}

    answered = {}
    for route in routes():
        if (method.upper(), route) not in public:
            address = address_of(route)
            assert resolve(address).route == route, f"{address} does not lead to {route}"
            response = getattr(client, method)(address)
            answered[route] = (response.status_code, response.headers.get("Location", ""))

    let_in = {
        route: status
        for route, (status, location) in answered.items()
        if status != 401 and not (status == 302 and location.startswith("/login/?next="))
    }
    # Django asks for the CSRF token of a page before anything else.
    assert set(let_in.values()) <= {403} if method != "get" else let_in == {}


def test_page_leads_to_sign_in_and_back():
    response = Client().get("/api/docs/?x=1&y=2")

    assert response.status_code == 302
    assert response.headers["Location"] == "/login/?next=/api/docs/%3Fx%3D1%26y%3D2"


@pytest.mark.parametrize(
    ("path", "content_type"),
    [("/api/v1/me", "application/problem+json"), ("/api/token/userInfo", "application/json")],
)
def test_each_face_says_401_in_its_shape(path, content_type):
    response = Client().get(path)

    assert response.status_code == 401
    assert response.headers["Content-Type"] == content_type
    assert response.json()["status"] == 401
    assert response.json()["error"] == "INVALID_TOKEN"


@pytest.mark.parametrize("header", ["X-Authorization", "Authorization"])
def test_token_under_either_header(header, key_of):
    token = key_of("robot")["X-Authorization"]
    sent = f"Bearer {token}" if header == "Authorization" else token

    response = Client(enforce_csrf_checks=True).get("/api/v1/me", headers={header: sent})

    assert response.status_code == 200
    assert response.json()["username"] == "robot"
    assert response.json()["isServiceAccount"] is True


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (lambda: ApiToken.objects.update(expires_at=timezone.now()), "EXPIRED_TOKEN"),
        (lambda: ApiKey.objects.update(expires_at=timezone.now()), "EXPIRED_TOKEN"),
        (lambda: ApiKey.objects.update(revoked_at=timezone.now()), "INVALID_TOKEN"),
        (lambda: ApiToken.objects.all().delete(), "INVALID_TOKEN"),
    ],
    ids=["expired token", "expired key", "revoked key", "unknown token"],
)
def test_token_that_no_longer_counts(spoil, error, key_of):
    headers = key_of("robot")
    spoil()

    response = Client().get("/api/token/userInfo", headers=headers)

    assert (response.status_code, response.json()["error"]) == (401, error)


def test_a_wrong_token_is_not_made_good_by_a_session(person, signed_in):
    client = signed_in(person("somebody"))

    response = client.get("/api/v1/me", headers={"X-Authorization": "wrong"})

    assert response.status_code == 401


@pytest.mark.parametrize("path", ["/api/v1/users", "/api/v1/no-such-thing", "/api/token/userInfo"])
def test_session_needs_the_csrf_token(path, person):
    client = Client(enforce_csrf_checks=True)
    client.force_login(
        person("root", superuser=True), backend="django.contrib.auth.backends.ModelBackend"
    )

    response = client.post(path, {"username": "x"}, content_type="application/json")

    assert response.status_code == 403
    assert "CSRF" in response.content.decode()


def test_token_needs_none(key_of):
    client = Client(enforce_csrf_checks=True)

    response = client.post("/api/v1/no-such-thing", headers=key_of("robot"))

    assert response.status_code == 404


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/api/v1/no-such-thing", "application/problem+json"),
        ("/api/no-such-thing", "application/json"),
        ("/api/", "application/json"),
    ],
)
def test_unknown_address_is_json(path, content_type, person, signed_in):
    response = signed_in(person("somebody")).get(path)

    assert (response.status_code, response.headers["Content-Type"]) == (404, content_type)
    assert response.json()["status"] == 404


def test_problem_document_has_its_members(person, signed_in):
    response = signed_in(person("somebody")).post(
        "/api/v1/users", {"username": "x", "password": "y"}, content_type="application/json"
    )

    assert response.json() == {
        "type": "urn:amends:problem:forbidden",
        "title": "Forbidden",
        "status": 403,
        "detail": "Only superusers may do this. Ask an administrator.",
        "code": "forbidden",
        "instance": "/api/v1/users",
    }


@pytest.mark.parametrize(
    ("document", "status", "code"),
    [
        (b"{", 400, "not_json"),
        (b'{"username": "a", "username": "b"}', 400, "duplicate_key"),
        (b'{"username": NaN}', 400, "number_not_finite"),
        (b'{"username": "a\\u0000"}', 400, "bad_character"),
        (b'{"username": "\\ud800"}', 400, "bad_character"),
        (b'{"username": "\xff"}', 400, "not_utf8"),
        (b'{"username": "' + b"x" * 3_000_000 + b'"}', 413, "body_too_large"),
        (b"[]", 422, "invalid"),
        (b"{}", 422, "invalid"),
        (b'{"username": "a", "password": 1, "groups": "x"}', 422, "invalid"),
    ],
    ids=lambda value: value[:20].decode("latin1") if isinstance(value, bytes) else str(value),
)
def test_bad_bodies_are_refused(document, status, code, person, signed_in):
    response = signed_in(person("root", superuser=True)).post(
        "/api/v1/users", document, content_type="application/json"
    )

    assert (response.status_code, response.json()["code"]) == (status, code)


def test_wrong_content_type_and_method(person, signed_in):
    client = signed_in(person("root", superuser=True))

    form = client.post("/api/v1/users", {"username": "x"})
    verb = client.delete("/api/v1/users")

    assert (form.status_code, verb.status_code) == (415, 405)
    assert (
        form.headers["Content-Type"] == verb.headers["Content-Type"] == "application/problem+json"
    )


@pytest.mark.django_db(transaction=True)
def test_body_without_a_length_is_not_lost(person, key_of):
    root = person("root", superuser=True)
    headers = key_of("robot")
    ApiKey.objects.update(user=root)
    body = json.dumps({"username": "chunky", "password": "a-Long-pass-1"}).encode()

    status = async_to_sync(chunked_call)("/api/v1/users", headers, [body[:10], body[10:]])

    assert status == 201


@pytest.mark.django_db(transaction=True)
def test_endless_body_without_a_length_is_refused(key_of):
    pieces = [b"x" * 1_000_000] * 9

    status = async_to_sync(chunked_call)("/api/v1/users", key_of("robot"), pieces)

    assert status == 413


async def chunked_call(path, headers, pieces):
    """Send a body in pieces and without its length, as some client packages do."""
    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "query_string": b"",
        "headers": [
            (b"host", b"testserver"),
            (b"content-type", b"application/json"),
            (b"transfer-encoding", b"chunked"),
            *((name.lower().encode(), value.encode()) for name, value in headers.items()),
        ],
    }
    call = ApplicationCommunicator(get_asgi_application(), scope)
    for number, piece in enumerate(pieces, start=1):
        await call.send_input(
            {"type": "http.request", "body": piece, "more_body": number < len(pieces)}
        )
    start = await call.receive_output(timeout=10)
    while (await call.receive_output(timeout=10)).get("more_body"):
        pass
    await call.wait()
    return start["status"]


def test_headers_of_every_answer(person, signed_in):
    client = signed_in(person("somebody"))

    for path in ("/login/", "/api/v1/me", "/api/v1/nothing", "/api/docs/", "/healthz"):
        headers = client.get(path).headers
        policy = dict(
            part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";")
        )
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == "'self'"
        assert policy["style-src"].startswith("'self' 'nonce-")
        assert policy["frame-ancestors"] == "'none'"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert "camera=()" in headers["Permissions-Policy"]
        assert "public" not in headers["Cache-Control"]
        assert len(headers["X-Request-Id"]) == 32


def test_request_id_of_the_caller_is_kept_if_harmless():
    kept = Client().get("/healthz", headers={"X-Request-Id": "trace-0123456789"})
    refused = Client().get("/healthz", headers={"X-Request-Id": "<script>"})

    assert kept.headers["X-Request-Id"] == "trace-0123456789"
    assert len(refused.headers["X-Request-Id"]) == 32


def test_idle_session_ends(person, signed_in):
    client = signed_in(person("somebody"))
    assert client.get("/api/v1/me").status_code == 200
    session = client.session
    session["seen_at"] = (timezone.now() - timedelta(minutes=61)).timestamp()
    session.save()

    assert client.get("/api/v1/me").status_code == 401
    assert client.get("/api/v1/me").status_code == 401


def test_deactivated_person_is_out_at_once(person, signed_in):
    user = person("somebody")
    client = signed_in(user)
    assert client.get("/api/v1/me").status_code == 200

    user.is_active = False
    user.save()

    assert client.get("/api/v1/me").status_code == 401


def test_schema_and_its_browser(person, signed_in):
    client = signed_in(person("somebody"))

    schema = client.get("/api/schema/", {"format": "json"})
    page = client.get("/api/docs/")
    script = client.get("/api/docs/", {"script": ""})

    assert schema.status_code == page.status_code == script.status_code == 200
    assert "/api/v1/me" in schema.json()["paths"]
    assert "<script>" not in page.content.decode()
    assert script.headers["Content-Type"] == "application/javascript"
