"""The HTTP task: Conductor's input and output, plus the headers that make a call safe to repeat."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from orchestrator.border import http
from orchestrator.border.input import InputError, Limits, clean_text, parse_answer
from orchestrator.engine.outcomes import (
    Failed,
    HttpAnswered,
    JSONObject,
    Outcome,
    Succeeded,
    classify_call_error,
    classify_http,
)
from orchestrator.handlers.registry import CALLS_QUEUE, task_type

if TYPE_CHECKING:
    from orchestrator.engine.canonical import JSONValue
    from orchestrator.handlers.base import Work

HTTP = "HTTP"
DEFAULT_TIMEOUT_MS = 3_000
LONGEST_TIMEOUT_MS = 600_000
_JSON = "application/json"
_FORM = "application/x-www-form-urlencoded"
_LONGEST_EXCERPT = 2_000
_OURS = frozenset({"x-saga-run", "x-saga-step", "x-saga-direction", "x-saga-forward-key"})


class WrongRequest(Exception):
    """The input of the task does not make a request."""


@task_type(HTTP, queue=CALLS_QUEUE)
def perform(work: Work) -> Outcome:
    """Call a URL and give on what it answers."""
    try:
        request = request_of(work)
    except WrongRequest as error:
        return Failed(reason=str(error))
    try:
        answer = http.call(request)
    except (http.NotSent, http.MaybeSent) as error:
        return classify_call_error(
            error=error.error,
            overrides=work.outcomes,
            reason=str(error),
            output={"response": str(error)},
            plain=not work.saga,
        )
    except http.AnswerRejected as error:
        return _of_rejected(error, work)
    return _of_answer(answer, work)


def request_of(work: Work) -> http.HttpRequest:
    """Return the request that the input of the task describes.

    Raises:
        WrongRequest: It lacks an address or a method, or cannot be written.
    """
    nested = work.input.get("http_request")
    given: JSONObject = nested if isinstance(nested, Mapping) else work.input
    connect = _seconds(given, "connectionTimeOut")
    read = _seconds(given, "readTimeOut")
    method = _text_of(given, "method", "No HTTP method specified.").upper()
    body = _body(given)
    return http.HttpRequest(
        method=method,
        url=_text_of(given, "uri", "Missing HTTP URI."),
        headers=_headers(given, work, has_body=body is not None),
        body=body,
        connect_timeout=connect,
        read_timeout=read,
        total_timeout=work.deadline_seconds if work.deadline_seconds > 0 else connect + read,
    )


def parsed_body(raw: bytes, content_type: str = "") -> JSONValue:
    """Return a body as Conductor gives it on.

    A JSON object or array is kept, a number becomes a fraction, any other JSON scalar its text;
    what is no JSON stays text; nothing is null.
    """
    if not raw:
        return None
    text = clean_text(raw.decode(_charset(content_type), "replace"))
    try:
        value = parse_answer(text.encode(), limits=Limits(size=len(raw)))
    except InputError:
        return text
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return _fraction(value, text)
        case _:
            return value


def _of_answer(answer: http.HttpAnswer, work: Work) -> Outcome:
    outcome = classify_http(
        HttpAnswered(
            status=answer.status,
            headers=dict(answer.headers),
            reason=f"The participant answered {_status_line(answer)}.",
            output={"response": _response(answer)},
        ),
        overrides=work.outcomes,
        plain=not work.saga,
    )
    if isinstance(outcome, Succeeded):
        return outcome
    excerpt = clean_text(answer.body.decode("utf-8", "replace"))[:_LONGEST_EXCERPT]
    line = _status_line(answer)
    return replace(outcome, output={"response": f"{line}: {excerpt}" if excerpt else line})


def _of_rejected(error: http.AnswerRejected, work: Work) -> Outcome:
    """Say what an answer means whose body cannot be used: its status still counts."""
    reason = f"payload_too_large: {error}" if isinstance(error, http.TooLarge) else str(error)
    outcome = _of_answer(error.head, work)
    if isinstance(outcome, Succeeded):
        # It was done, so it must be undone; and the answer would be the same next time.
        return Failed(reason=reason, terminal=True, partial=True, output={"response": reason})
    return outcome


def _response(answer: http.HttpAnswer) -> JSONObject:
    headers: dict[str, list[str]] = {}
    for name, value in answer.headers:
        headers.setdefault(name, []).append(value)
    return {
        "statusCode": answer.status,
        "reasonPhrase": answer.reason_phrase,
        "headers": headers,
        "body": parsed_body(answer.body, answer.header("content-type") or ""),
    }


def _status_line(answer: http.HttpAnswer) -> str:
    return f"{answer.status} {answer.reason_phrase}".strip()


def _text_of(given: JSONObject, key: str, complaint: str) -> str:
    value = given.get(key)
    if not isinstance(value, str) or not value.strip():
        raise WrongRequest(complaint)
    return value.strip()


def _seconds(given: JSONObject, key: str) -> float:
    """Read a timeout in milliseconds; nonsense is the default, and nothing waits for ever."""
    value = given.get(key)
    if isinstance(value, str) and value.strip().isdecimal():
        value = int(value.strip()[:9])
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        value = DEFAULT_TIMEOUT_MS
    return min(value, LONGEST_TIMEOUT_MS) / 1000


def _body(given: JSONObject) -> bytes | None:
    body = given.get("body")
    if body is None:
        return None
    if isinstance(body, str):
        return clean_text(body).encode()
    if isinstance(body, Mapping) and _is_form(given):
        fields = {name: _form_value(value) for name, value in body.items()}
        return urlencode(fields, doseq=True).encode()
    try:
        return json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise WrongRequest(f"The body cannot be written as JSON: {error}") from error


def _is_form(given: JSONObject) -> bool:
    kind, _, _ = str(given.get("contentType") or "").partition(";")
    return kind.strip().lower() == _FORM


def _form_value(value: JSONValue) -> str | list[str]:
    if isinstance(value, list | tuple):
        return [_plain_text(item) for item in value]
    return _plain_text(value)


def _headers(given: JSONObject, work: Work, *, has_body: bool) -> http.Headers:
    rows = [row for row in _authors_headers(given) if row[0].lower() not in _OURS]
    named = {name.lower() for name, _ in rows}
    if "accept" not in named:
        rows.append(("Accept", _accept(given)))
    if "content-type" not in named and (has_body or given.get("contentType")):
        rows.append(("Content-Type", str(given.get("contentType") or _JSON)))
    if "idempotency-key" not in named:
        rows.append(("Idempotency-Key", work.idempotency_key))
    rows += [
        ("X-Saga-Run", work.execution_id),
        ("X-Saga-Step", work.step_run_id),
        ("X-Saga-Direction", work.direction.value),
    ]
    if work.forward_key is not None:
        rows.append(("X-Saga-Forward-Key", work.forward_key))
    return tuple(rows)


def _authors_headers(given: JSONObject) -> list[tuple[str, str]]:
    headers = given.get("headers") or {}
    if not isinstance(headers, Mapping):
        raise WrongRequest("The headers must be a map of names to values.")
    rows: list[tuple[str, str]] = []
    for name, value in headers.items():
        values = value if isinstance(value, list | tuple) else [value]
        rows.extend((name, _plain_text(item)) for item in values if item is not None)
    return rows


def _accept(given: JSONObject) -> str:
    accept = given.get("accept") or _JSON
    return ", ".join(map(str, accept)) if isinstance(accept, list | tuple) else str(accept)


def _plain_text(value: JSONValue) -> str:
    return clean_text(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _charset(content_type: str) -> str:
    for parameter in content_type.split(";")[1:]:
        name, _, value = parameter.partition("=")
        charset = value.strip().strip("\"'").lower()
        if name.strip().lower() == "charset" and charset in {"iso-8859-1", "latin1", "us-ascii"}:
            return "latin-1"
    return "utf-8"


def _fraction(value: float, text: str) -> JSONValue:
    try:
        return float(value)
    except OverflowError:
        return text
