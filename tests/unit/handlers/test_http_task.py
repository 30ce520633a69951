"""The HTTP task against a real server: request, answer, meaning."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from orchestrator.border import http as client
from orchestrator.engine.outcomes import Failed, Succeeded, Unknown, Waiting
from orchestrator.engine.states import Direction
from orchestrator.handlers import registry
from orchestrator.handlers.base import Work
from orchestrator.handlers.builtin import http as http_task


class Participant(BaseHTTPRequestHandler):
    """Answers as the script of its server says."""

    protocol_version = "HTTP/1.1"

    server: QuietServer

    def answer(self):
        size = int(self.headers.get("Content-Length", 0))
        self.server.heard.append((self.command, self.headers, self.rfile.read(size)))
        status, headers, body = self.server.script
        if body is None:
            self.server.free.wait(5)
            self.close_connection = True
            return
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = answer  # noqa: N815 - names of the library

    def log_message(self, *_):
        """Say nothing."""


class QuietServer(ThreadingHTTPServer):
    """Says nothing about callers that hang up."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Participant)
        self.heard = []
        self.script: tuple[int, tuple[tuple[str, str], ...], bytes | None] = (200, (), b"{}")
        self.free = threading.Event()

    def handle_error(self, *_):
        """Say nothing."""


@pytest.fixture
def participant(settings):
    settings.AMENDS_HTTP_ALLOW = ["127.0.0.0/8"]
    settings.AMENDS_DEMO = False
    server = QuietServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.free.set()
    client.close()
    server.shutdown()
    server.server_close()
    thread.join()


def work_for(server, *, top_level=False, **request):
    given = {"uri": f"http://127.0.0.1:{server.server_port}/x", "method": "POST", **request}
    return Work(
        execution_id="run-1",
        step_run_id="step-1",
        attempt_id="a",
        number=1,
        reference="charge",
        name="charge_payment",
        type="HTTP",
        direction=Direction.FORWARD,
        input=given if top_level else {"http_request": given},
        idempotency_key="f:run-1:charge:e0",
        saga=True,
        deadline_seconds=0,
    )


def script(server, status=200, body=b"", headers=()):
    server.script = (status, headers, body)


def response_of(outcome):
    """Return the answer in the output, as a plain mapping."""
    return json.loads(json.dumps(outcome.output))["response"]


@pytest.mark.parametrize("top_level", [False, True])
def test_call_carries_body_and_keys(participant, top_level):
    script(participant, 200, b'{"ok": true}', [("X-A", "1"), ("X-A", "2")])
    work = work_for(
        participant, top_level=top_level, body={"n": "ü"}, headers={"X-N": 7, "X-0": None}
    )

    outcome = registry.run(work)

    ((method, headers, body),) = participant.heard
    assert (method, json.loads(body)) == ("POST", {"n": "ü"})
    assert headers["Idempotency-Key"] == "f:run-1:charge:e0"
    assert headers["X-Saga-Run"] == "run-1"
    assert headers["X-Saga-Step"] == "step-1"
    assert headers["X-Saga-Direction"] == "FORWARD"
    assert headers["X-Saga-Forward-Key"] is None
    assert (headers["X-N"], headers["X-0"]) == ("7", None)
    assert headers["Accept"] == headers["Content-Type"] == "application/json"
    assert isinstance(outcome, Succeeded)
    response = response_of(outcome)
    assert (response["statusCode"], response["reasonPhrase"]) == (200, "OK")
    assert response["body"] == {"ok": True}
    assert response["headers"]["X-A"] == ["1", "2"]


def test_undo_carries_the_key_of_the_step_it_undoes(participant):
    work = replace(
        work_for(participant),
        direction=Direction.COMPENSATION,
        idempotency_key="c:1:r1",
        forward_key="f:1",
    )

    registry.run(work)

    ((_, headers, _),) = participant.heard
    assert headers["Idempotency-Key"] == "c:1:r1"
    assert headers["X-Saga-Direction"] == "COMPENSATION"
    assert headers["X-Saga-Forward-Key"] == "f:1"


def test_authors_own_key_wins_but_not_our_headers(participant):
    own = {"idempotency-key": "mine", "X-Saga-Run": "forged", "accept": "text/plain"}

    registry.run(work_for(participant, headers=own))

    ((_, headers, _),) = participant.heard
    assert headers.get_all("Idempotency-Key") == ["mine"]
    assert headers.get_all("X-Saga-Run") == ["run-1"]
    assert headers.get_all("Accept") == ["text/plain"]


@pytest.mark.parametrize(
    ("request_", "sent", "content_type"),
    [
        ({}, b"", None),
        ({"body": "raw <text>", "contentType": "text/plain"}, b"raw <text>", "text/plain"),
        ({"body": [1, 2]}, b"[1, 2]", "application/json"),
        ({"body": 0}, b"0", "application/json"),
        (
            {"body": {"a": "x y", "b": [1, 2]}, "contentType": "application/x-www-form-urlencoded"},
            b"a=x+y&b=1&b=2",
            "application/x-www-form-urlencoded",
        ),
    ],
)
def test_body_is_written(participant, request_, sent, content_type):
    registry.run(work_for(participant, accept=["text/a", "text/b"], **request_))

    ((_, headers, body),) = participant.heard
    assert (body, headers["Content-Type"]) == (sent, content_type)
    assert headers["Accept"] == "text/a, text/b"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", None),
        (b'{"a": 1}', {"a": 1}),
        (b"[1]", [1]),
        (b"5", 5.0),
        (b"1.5", 1.5),
        (b"true", "true"),
        (b"null", "null"),
        (b'"text"', "text"),
        (b"plain words", "plain words"),
        (b"NaN", "NaN"),
        (b"[" * 5000, "[" * 5000),
        (b'{"a": "\\u0000"}', {"a": "\ufffd"}),
        (b"a\0b", "a\ufffdb"),
        (b"\xff", "\ufffd"),
    ],
)
def test_body_is_read_as_conductor_does(raw, expected):
    found = http_task.parsed_body(raw)

    assert found == expected
    assert type(found) is type(expected)


def test_body_in_latin_1():
    assert http_task.parsed_body(b"\xfc", "text/plain; charset=ISO-8859-1") == "ü"


@pytest.mark.parametrize(
    ("status", "headers", "kind", "retry_after"),
    [
        (204, (), Succeeded, None),
        (304, (), Unknown, None),
        (400, (), Failed, None),
        (404, (), Failed, None),
        (408, (), Unknown, None),
        (409, (), Unknown, None),
        (422, (), Failed, None),
        (425, (), Unknown, None),
        (429, (("Retry-After", "7"),), Failed, 7.0),
        (500, (), Unknown, None),
        (503, (), Unknown, None),
        (503, (("Retry-After", "3"),), Failed, 3.0),
    ],
)
def test_status_has_its_meaning(participant, status, headers, kind, retry_after):
    script(participant, status, b"" if status in {204, 304} else b"why", headers)

    outcome = registry.run(work_for(participant))

    assert type(outcome) is kind
    if isinstance(outcome, Failed | Unknown):
        assert str(status) in outcome.reason
    if isinstance(outcome, Failed):
        assert (outcome.terminal, outcome.partial, outcome.retry_after) == (
            False,
            False,
            retry_after,
        )


@pytest.mark.parametrize("status", [302, 400, 408, 409, 500, 503])
def test_plain_definition_has_failed_at_every_error(participant, status):
    script(participant, status, b"why not")

    outcome = registry.run(replace(work_for(participant), saga=False))

    assert isinstance(outcome, Failed)
    assert str(status) in outcome.reason
    assert outcome.output is not None
    assert str(outcome.output["response"]).startswith(str(status))
    assert str(outcome.output["response"]).endswith(": why not")


@pytest.mark.parametrize(
    ("outcomes", "status", "kind"),
    [
        ({"409": "APPLIED"}, 409, Succeeded),
        ({"5xx": "NOT_APPLIED"}, 502, Failed),
        ({"5xx": "NOT_APPLIED", "502": "UNKNOWN"}, 502, Unknown),
        ({"404": "UNKNOWN"}, 404, Unknown),
    ],
)
def test_author_may_read_a_status_otherwise(participant, outcomes, status, kind):
    script(participant, status, b'{"id": 1}')

    outcome = registry.run(replace(work_for(participant), outcomes=outcomes))

    assert type(outcome) is kind
    if isinstance(outcome, Succeeded):
        assert response_of(outcome)["body"] == {"id": 1}


def test_author_may_call_an_answer_terminal(participant):
    script(participant, 422, b"")

    outcome = registry.run(replace(work_for(participant), outcomes={"4xx": "TERMINAL"}))

    assert isinstance(outcome, Failed)
    assert outcome.terminal


@pytest.mark.parametrize(
    ("saga", "outcomes", "kind"),
    [(True, {}, Unknown), (True, {"timeout": "NOT_APPLIED"}, Failed), (False, {}, Failed)],
)
def test_no_answer_in_time(participant, saga, outcomes, kind):
    script(participant, body=None)
    work = work_for(participant, readTimeOut=200)

    outcome = registry.run(replace(work, saga=saga, outcomes=outcomes))

    assert isinstance(outcome, kind)
    assert outcome.timed_out is saga


def test_deadline_of_the_attempt_ends_the_call(participant):
    script(participant, body=None)
    work = work_for(participant, readTimeOut=60_000)

    outcome = registry.run(replace(work, deadline_seconds=0.3))

    assert isinstance(outcome, Unknown)
    assert outcome.timed_out


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        ({"uri": None}, "Missing HTTP URI."),
        ({"uri": " "}, "Missing HTTP URI."),
        ({"method": None}, "No HTTP method specified."),
        ({"headers": ["a"]}, "The headers must be a map of names to values."),
        ({"uri": "file:///etc/passwd"}, "The scheme 'file' is not allowed; http and https are."),
        (
            {"uri": "http://10.0.0.1/"},
            "Calling 10.0.0.1 is not allowed: it is not a public address.",
        ),
        (
            {"headers": {"Host": "x"}},
            "The header 'Host' is not allowed: it is set by the connection.",
        ),
    ],
)
def test_call_that_cannot_be_made_has_failed(participant, request_, reason):
    outcome = registry.run(
        replace(work_for(participant, **request_), outcomes={"connection": "APPLIED"})
    )

    assert isinstance(outcome, Failed)
    assert outcome.reason == reason
    assert participant.heard == []


def test_large_answer_fails_the_step_that_was_done(participant):
    script(participant, 200, b"x" * 60_000_000)

    outcome = registry.run(work_for(participant))

    assert isinstance(outcome, Failed)
    assert (outcome.terminal, outcome.partial) == (True, True)
    assert outcome.reason.startswith("payload_too_large")


def test_large_refusal_is_a_refusal(participant):
    script(participant, 400, b"x" * 6_000_000)

    outcome = registry.run(work_for(participant))

    assert isinstance(outcome, Failed)
    assert (outcome.terminal, outcome.partial) == (False, False)


def test_async_complete_hands_the_work_over(participant):
    outcome = registry.run(replace(work_for(participant), async_complete=True))

    assert isinstance(outcome, Waiting)
    assert response_of(outcome)["statusCode"] == 200


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (None, 3.0),
        (500, 0.5),
        ("1500", 1.5),
        (0, 3.0),
        (-1, 3.0),
        (True, 3.0),
        ("x", 3.0),
        (1e12, 600.0),
    ],
)
def test_timeouts_are_milliseconds(participant, given, seconds):
    request = http_task.request_of(
        work_for(participant, connectionTimeOut=given, readTimeOut=given)
    )

    assert (request.connect_timeout, request.read_timeout) == (seconds, seconds)
    assert request.total_timeout == 2 * seconds
