"""What the answers of HTTP participants mean."""

from __future__ import annotations

import pytest

from orchestrator.engine.outcomes import (
    LONGEST_RETRY_AFTER,
    CallError,
    Failed,
    HttpAnswered,
    Succeeded,
    Unknown,
    classify_call_error,
    classify_http,
)

OUTPUT = {"response": "x"}


def answered(status, **headers):
    rows = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpAnswered(status=status, headers=rows, reason="why", output=OUTPUT)


SUCCESS = Succeeded(output=OUTPUT)
FAILURE = Failed(reason="why", output=OUTPUT)
DOUBT = Unknown(reason="why", output=OUTPUT)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        *((status, SUCCESS) for status in (200, 201, 204, 299)),
        *((status, FAILURE) for status in (400, 401, 403, 404, 410, 418, 422, 429, 451, 499)),
        *((status, DOUBT) for status in (100, 300, 302, 304, 408, 409, 425, 500, 502, 503, 599)),
    ],
)
def test_status_of_a_saga_step(status, expected):
    assert classify_http(answered(status), overrides={}) == expected


@pytest.mark.parametrize("status", [302, 400, 408, 409, 500, 503])
def test_every_error_of_a_plain_step_is_a_failure(status):
    outcome = classify_http(answered(status), overrides={"5xx": "UNKNOWN"}, plain=True)

    assert outcome == FAILURE


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (429, {"Retry_After": "120"}, 120.0),
        (503, {"retry_after": " 5 "}, 5.0),
        (503, {"RETRY_AFTER": "9" * 30}, LONGEST_RETRY_AFTER),
        (
            503,
            {
                "Retry_After": "Fri, 31 Dec 1999 23:59:59 GMT",
                "Date": "Fri, 31 Dec 1999 23:59:29 GMT",
            },
            30.0,
        ),
        (
            429,
            {
                "Retry_After": "Fri, 31 Dec 1999 23:59:59 GMT",
                "Date": "Sat, 01 Jan 2000 00:00:29 GMT",
            },
            0.0,
        ),
        (503, {"Retry_After": "Fri, 31 Dec 1999 23:59:59 GMT"}, None),
        (503, {"Retry_After": "soon"}, None),
        (503, {"Retry_After": "-1"}, None),
        (503, {"Retry_After": "٣"}, None),
        (404, {"Retry_After": "5"}, None),
    ],
)
def test_retry_after_moves_the_next_attempt(status, headers, seconds):
    outcome = classify_http(answered(status, **headers), overrides={})

    assert outcome == Failed(reason="why", output=OUTPUT, retry_after=seconds)


@pytest.mark.parametrize(
    ("status", "overrides", "expected"),
    [
        (409, {"409": "APPLIED"}, SUCCESS),
        (409, {"4xx": "APPLIED", "409": "NOT_APPLIED"}, FAILURE),
        (500, {"5xx": "NOT_APPLIED"}, FAILURE),
        (422, {"422": "TERMINAL"}, Failed(reason="why", output=OUTPUT, terminal=True)),
        (200, {"200": "UNKNOWN"}, DOUBT),
        (500, {"502": "APPLIED", "timeout": "APPLIED"}, DOUBT),
    ],
)
def test_author_reads_a_status_otherwise(status, overrides, expected):
    assert classify_http(answered(status), overrides=overrides) == expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (CallError.REFUSED, Failed(reason="why")),
        (CallError.NOT_CONNECTED, Failed(reason="why")),
        (CallError.CONNECT_TIMEOUT, Failed(reason="why", timed_out=True)),
        (CallError.BROKEN, Unknown(reason="why")),
        (CallError.TIMEOUT, Unknown(reason="why", timed_out=True)),
    ],
)
def test_call_without_an_answer(error, expected):
    assert classify_call_error(error=error, overrides={}, reason="why") == expected


@pytest.mark.parametrize("error", CallError)
def test_call_of_a_plain_step_without_an_answer_is_a_failure(error):
    overrides = {"timeout": "UNKNOWN", "connection": "UNKNOWN"}

    outcome = classify_call_error(error=error, overrides=overrides, reason="why", plain=True)

    assert isinstance(outcome, Failed)


@pytest.mark.parametrize(
    ("error", "overrides", "expected"),
    [
        (CallError.TIMEOUT, {"timeout": "NOT_APPLIED"}, Failed(reason="why", timed_out=True)),
        (CallError.TIMEOUT, {"connection": "NOT_APPLIED"}, Unknown(reason="why", timed_out=True)),
        (CallError.BROKEN, {"connection": "NOT_APPLIED"}, Failed(reason="why")),
        (CallError.NOT_CONNECTED, {"connection": "TERMINAL"}, Failed(reason="why", terminal=True)),
        (CallError.BROKEN, {"connection": "APPLIED"}, Succeeded()),
        (CallError.REFUSED, {"connection": "APPLIED"}, Failed(reason="why")),
    ],
)
def test_author_reads_a_broken_call_otherwise(error, overrides, expected):
    assert classify_call_error(error=error, overrides=overrides, reason="why") == expected
