"""What every view of the Conductor face shares: reading leniently, answering as clients expect."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, Any

from django.http import HttpResponse
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import JSONRenderer
from rest_framework.views import APIView

from orchestrator.border import input as border_input
from orchestrator.services.errors import Invalid, Malformed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from django.http import HttpRequest
    from rest_framework.renderers import BaseRenderer
    from rest_framework.request import Request
    from rest_framework.response import Response

MOST_IDS = 1000
_ABSENT = frozenset({"", "none", "null"})


class BadRequest(Malformed):
    """A 400 that says what is wrong with which part of the body."""

    def __init__(self, message: str, problems: Iterable[Mapping[str, object]] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


class AnyBody(BaseParser):
    """Reads the body as JSON, whatever content type a client package puts on it."""

    media_type = "*/*"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,  # noqa: ARG002  # the framework's signature
        parser_context: Mapping[str, Any] | None = None,  # noqa: ARG002
    ) -> Any:
        """Return the parsed body; nothing at all is an empty object."""
        raw = border_input.read_capped(stream, size=border_input.LARGE_LIMITS.size)
        if not raw.strip():
            return {}
        return border_input.parse_json(raw, limits=border_input.LARGE_LIMITS)


class AlwaysJSON(BaseContentNegotiation):
    """Never 406: some packages ask for plain text where the protocol answers JSON."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser | None:  # noqa: ARG002
        """Take the one parser there is."""
        return next(iter(parsers), None)

    def select_renderer(
        self,
        request: Request,  # noqa: ARG002  # the framework's signature
        renderers: Iterable[BaseRenderer],  # noqa: ARG002
        format_suffix: str | None = None,  # noqa: ARG002
    ) -> tuple[BaseRenderer, str]:
        """Render JSON."""
        return JSONRenderer(), JSONRenderer.media_type


class ConductorView(APIView):
    """A view of the Conductor face."""

    parser_classes = (AnyBody,)
    content_negotiation_class = AlwaysJSON
    schema = None  # Conductor has its own description.

    def handle_exception(self, exc: Exception) -> Response:
        """Answer what our own face calls 422 as the 400 that Conductor's clients know."""
        return super().handle_exception(as_conductor(exc))


def as_conductor(error: Exception) -> Exception:
    """Return the error that this face shows for one of the layers below."""
    if isinstance(error, Invalid):
        return BadRequest(error.message, error.problems)
    if isinstance(error, border_input.InputError) and error.status == 422:
        return BadRequest(error.message, [{"path": error.pointer, "message": error.message}])
    return error


# ---- answers -----------------------------------------------------------------------------------


def bare(value: object) -> HttpResponse:
    """Answer an id or a number as text and nothing else: quotes would become part of an id."""
    return HttpResponse(str(value), content_type="text/plain; charset=utf-8")


def done() -> HttpResponse:
    """Answer 200 with nothing."""
    response = HttpResponse()
    del response.headers["Content-Type"]
    return response


def nothing() -> HttpResponse:
    """Answer 204, without the content type that Django would put on it."""
    response = HttpResponse(status=204)
    del response.headers["Content-Type"]
    return response


# ---- queries -----------------------------------------------------------------------------------


def text(query: Mapping[str, str], name: str, default: str = "") -> str:
    """Return a text of the query; Python's `None` and nothing at all are absent."""
    value = query.get(name)
    return default if value is None or value.lower() in _ABSENT else value


def flag(query: Mapping[str, str], name: str, *, default: bool = False) -> bool:
    """Return a boolean of the query, in whatever case it is written."""
    value = text(query, name).lower()
    return default if not value else value == "true"


def number(query: Mapping[str, str], name: str, default: int) -> int:
    """Return a number of the query.

    Raises:
        Malformed: It is none.
    """
    value = text(query, name)
    if not value:
        return default
    try:
        return int(value)
    except ValueError:
        raise Malformed(f"{name} must be a whole number, not {value[:40]!r}.") from None


def moment(query: Mapping[str, str], name: str) -> datetime | None:
    """Return a time of the query, which comes as epoch milliseconds; 0 is none."""
    millis = number(query, name, 0)
    if not millis:
        return None
    try:
        return datetime.fromtimestamp(millis / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        raise Malformed(f"{name} is no time in milliseconds.") from None


# ---- bodies ------------------------------------------------------------------------------------


def raw_body(request: HttpRequest) -> bytes:
    """Return the body as it came; what came in chunks was read at the door already."""
    taken = getattr(request, "_body", None)
    if isinstance(taken, bytes):
        return taken
    return border_input.read_capped(request, size=border_input.LARGE_LIMITS.size)


def object_in(request: HttpRequest) -> dict[str, Any]:
    """Return the body of a plain request as an object; nothing at all is an empty one."""
    raw = raw_body(request)
    body = border_input.parse_json(raw, limits=border_input.LARGE_LIMITS) if raw.strip() else {}
    if not isinstance(body, dict):
        raise BadRequest("The body must be a JSON object.", [_problem("", "not an object")])
    return body


def mapping_of(request: Request) -> dict[str, Any]:
    """Return the body as an object.

    Raises:
        BadRequest: It is something else.
    """
    body = request.data
    if not isinstance(body, dict):
        raise BadRequest("The body must be a JSON object.", [_problem("", "not an object")])
    return body


def list_of(request: Request) -> list[Any]:
    """Return the body as a list; a single object is a list of one."""
    body = request.data
    return body if isinstance(body, list) else [body]


def texts(value: object) -> list[str]:
    """Return a list of texts, without doubles.

    Raises:
        BadRequest: It is something else, or too long.
    """
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise BadRequest("A list of texts is wanted here.")
    if len(value) > MOST_IDS:
        raise BadRequest(f"At most {MOST_IDS} at a time, not {len(value)}.")
    return list(dict.fromkeys(value))


def required(body: Mapping[str, Any], *names: str) -> None:
    """Raise `BadRequest` naming every one of these properties that is missing."""
    missing = [name for name in names if not isinstance(body.get(name), str) or not body[name]]
    if missing:
        raise BadRequest(
            "Validation failed, check below errors for detail.",
            [_problem(name, f"{name} cannot be null or empty") for name in missing],
        )


def _problem(path: str, message: str) -> dict[str, object]:
    return {"path": path, "message": message}
