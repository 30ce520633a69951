"""Errors of the layers below as answers: problem documents for our own API, Conductor's for its.

Nothing under /api/ ever answers HTML, and no answer tells more than the error's own sentence.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from rest_framework import exceptions
from rest_framework.response import Response

from orchestrator.access.errors import Refusal, TooMany
from orchestrator.audit import context as audit_context
from orchestrator.border.input import InputError

logger = logging.getLogger(__name__)

PROBLEM_TYPE = "application/problem+json"
OUR_FACE = "/api/v1/"
STATUS_OF_CODE: Mapping[str, int] = {
    "malformed": 400,
    "unauthenticated": 401,
    "forbidden": 403,
    "not_found": 404,
    "conflict": 409,
    "invalid": 422,
    "too_many_requests": 429,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What went wrong, in the terms of HTTP."""

    status: int
    code: str
    message: str
    problems: tuple[Mapping[str, object], ...] = ()
    details: Mapping[str, object] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


_OF_DJANGO: tuple[tuple[type[Exception], Failure], ...] = (
    (Http404, Failure(status=404, code="not_found", message="There is nothing here.")),
    (PermissionDenied, Failure(status=403, code="forbidden", message="You may not do this.")),
    (
        RequestDataTooBig,
        Failure(status=413, code="body_too_large", message="The body is too large."),
    ),
    (
        SuspiciousOperation,
        Failure(status=400, code="malformed", message="The request cannot be read."),
    ),
)


def failure_of(error: Exception) -> Failure | None:
    """Translate an error that was foreseen; None for one that was not."""
    if isinstance(error, Refusal):
        return _of_refusal(error)
    if isinstance(error, InputError):
        return _of_input(error)
    if isinstance(error, exceptions.APIException):
        return _of_framework(error)
    return next((told for kind, told in _OF_DJANGO if isinstance(error, kind)), None)


def unforeseen(error: Exception) -> Failure:
    """Log an error that is a bug of ours and return what may be told about it."""
    request_id = audit_context.request_id.get()
    logger.error("request_failed", exc_info=error, extra={"request_id": request_id})
    return Failure(
        status=500,
        code="internal_error",
        message=f"Something went wrong here. The log tells more under {request_id or 'its time'}.",
    )


def body_of(failure: Failure, path: str) -> dict[str, object]:
    """Return the body in the shape of the face that was called."""
    if is_ours(path):
        return _problem_document(failure, path)
    return _conductor_error(failure)


def answer(failure: Failure, path: str) -> HttpResponse:
    """Return the answer of a failure for a plain view."""
    response = JsonResponse(
        body_of(failure, path),
        status=failure.status,
        headers=dict(failure.headers),
        content_type=PROBLEM_TYPE if is_ours(path) else "application/json",
    )
    response.headers["Cache-Control"] = "no-store"
    return response


def handle(error: Exception, context: Mapping[str, Any]) -> Response:
    """Answer any error of a view of the REST framework; named in its settings."""
    request: HttpRequest = context["request"]
    failure = failure_of(error) or unforeseen(error)
    response = Response(
        body_of(failure, request.path), status=failure.status, headers=dict(failure.headers)
    )
    if is_ours(request.path):
        response.content_type = PROBLEM_TYPE
    response.headers["Cache-Control"] = "no-store"
    return response


def is_ours(path: str) -> bool:
    """Say whether a path belongs to our own face."""
    return path.startswith(OUR_FACE)


def _problem_document(failure: Failure, path: str) -> dict[str, object]:
    document: dict[str, object] = {
        "type": f"urn:amends:problem:{failure.code}",
        "title": HTTPStatus(failure.status).phrase,
        "status": failure.status,
        "detail": failure.message,
        "code": failure.code,
        "instance": path,
    }
    if failure.problems:
        document["problems"] = list(failure.problems)
    return {**failure.details, **document}


def _conductor_error(failure: Failure) -> dict[str, object]:
    error: dict[str, object] = {
        "status": failure.status,
        "message": failure.message,
        "instance": "amends",
        "retryable": failure.status in {429, 500, 503},
    }
    if failure.status == HTTPStatus.UNAUTHORIZED:
        # Client packages fetch a new token when they find one of two words here.
        error["error"] = failure.details.get("error", "INVALID_TOKEN")
    if failure.problems:
        error["validationErrors"] = [
            {"path": problem.get("path", ""), "message": problem.get("message", "")}
            for problem in failure.problems
        ]
    return error


def _of_refusal(error: Refusal) -> Failure:
    problems: Sequence[Mapping[str, object]] = getattr(error, "problems", ())
    headers = {"Retry-After": str(error.retry_after)} if isinstance(error, TooMany) else {}
    return Failure(
        status=STATUS_OF_CODE.get(error.code, 400),
        code=error.code,
        message=error.message,
        problems=tuple(problems),
        details=error.details,
        headers=headers,
    )


def _of_input(error: InputError) -> Failure:
    problem: dict[str, object] = {
        "severity": "error",
        "code": error.code,
        "path": error.pointer,
        "message": error.message,
    }
    if error.at is not None:
        problem["line"], problem["column"] = error.at
    return Failure(status=error.status, code=error.code, message=error.message, problems=(problem,))


def _of_framework(error: exceptions.APIException) -> Failure:
    headers: dict[str, str] = {}
    wait = getattr(error, "wait", None)
    if wait is not None:
        headers["Retry-After"] = str(int(wait) + 1)
    if isinstance(error, exceptions.ValidationError):
        problems = tuple(_validation_problems(error.detail, ""))
        message = str(problems[0]["message"]) if len(problems) == 1 else "Some fields are wrong."
        return Failure(status=422, code="invalid", message=message, problems=problems)
    code = error.get_codes()
    return Failure(
        status=error.status_code,
        code=code if isinstance(code, str) else "error",
        message=str(error.detail),
        headers=headers,
    )


def _validation_problems(detail: Any, path: str) -> list[dict[str, object]]:
    if isinstance(detail, Mapping):
        return [
            problem
            for name, inner in detail.items()
            for problem in _validation_problems(
                inner, path if name == "non_field_errors" else f"{path}/{name}"
            )
        ]
    if isinstance(detail, list | tuple):
        return [
            problem
            for index, inner in enumerate(detail)
            for problem in _validation_problems(
                inner, f"{path}/{index}" if isinstance(inner, Mapping) and inner else path
            )
        ]
    code = str(getattr(detail, "code", "invalid"))
    return [{"severity": "error", "code": code, "path": path, "message": str(detail)}]
