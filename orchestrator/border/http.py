"""The one HTTP client: where calls may go, how long they last, how much they may bring back.

An error says what matters to a saga: whether the request may have been sent.
"""

from __future__ import annotations

import os
import re
import ssl
import time
from dataclasses import dataclass, replace
from functools import lru_cache
from http import HTTPStatus
from ipaddress import ip_network
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

import certifi
import httpcore
import httpx
from django.conf import settings

from orchestrator import metrics
from orchestrator.border import bodies
from orchestrator.border.network import AddressRefused, CallState, GuardedBackend, Rules
from orchestrator.engine.outcomes import CallError

if TYPE_CHECKING:
    from orchestrator.border.addresses import Network

DEMO_HOST = "demo.amends.internal"
"""Stands for the address of the demo shop, whatever port this server has."""

MEBIBYTE = 1024 * 1024
MOST_REDIRECTS = 3
_KEEP_ALIVE_SECONDS = 2.0
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_METHOD = re.compile(r"[A-Z][A-Z-]{0,19}")
_REFUSED_METHODS = frozenset({"CONNECT", "TRACE"})
_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,200}")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_REFUSED_HEADERS = frozenset(
    {
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
        "keep-alive",
        "upgrade",
        "te",
        "trailer",
        "expect",
    }
)
_NOT_FOR_OTHER_HOSTS = frozenset({"authorization", "cookie", "idempotency-key"})

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """A call to make."""

    method: str
    url: str
    headers: Headers = ()
    body: bytes | None = None
    connect_timeout: float = 5.0
    read_timeout: float = 10.0
    """The longest wait for the next piece of the answer."""
    total_timeout: float = 60.0
    """The longest the whole call may take, redirects included."""
    max_size: int = 5 * MEBIBYTE
    """Of the answer's body, once it is inflated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswer:
    """What came back."""

    status: int
    reason_phrase: str
    headers: Headers
    body: bytes

    def header(self, wanted: str) -> str | None:
        """Return the first value of a header, by its name in any case."""
        return next((value for name, value in self.headers if name.lower() == wanted.lower()), None)


class CallFailed(Exception):
    """A call brought no usable answer; the text is a sentence for people."""


class NotSent(CallFailed):
    """Nothing of the request was sent, so it certainly had no effect."""

    def __init__(self, message: str, *, error: CallError) -> None:
        super().__init__(message)
        self.error = error


class MaybeSent(CallFailed):
    """The request may have been sent, and nobody can say what became of it."""

    def __init__(self, message: str, *, error: CallError) -> None:
        super().__init__(message)
        self.error = error


class AnswerRejected(CallFailed):
    """There was an answer, with this status, but its body cannot be used."""

    def __init__(self, message: str, *, head: HttpAnswer) -> None:
        super().__init__(message)
        self.head = head


class TooLarge(AnswerRejected):
    """The answer's body is larger than the caller takes."""


def call(request: HttpRequest) -> HttpAnswer:
    """Make a call and follow at most three redirects.

    A redirect is followed only where the first address did nothing: with a method that is safe,
    or with a status that hands the same request on. Safe to call from any thread.

    Raises:
        NotSent: It was refused, or there was no connection.
        MaybeSent: It broke, or took too long.
        AnswerRejected: The answer was too large or could not be unpacked.
    """
    _check_request(request)
    _state.rules = _rules()
    _state.deadline = time.monotonic() + request.total_timeout
    for _ in range(MOST_REDIRECTS):
        answer = _once(request)
        following = _redirected(request, answer)
        if following is None:
            return answer
        request = following
    return _once(request)


def _once(request: HttpRequest) -> HttpAnswer:
    _state.is_sent = False
    url = _url(request.url)
    try:
        with _client.pool().stream(
            request.method,
            _target(url),
            headers=_wire_headers(request, url),
            content=request.body,
            extensions={
                "timeout": {
                    "connect": request.connect_timeout,
                    "pool": request.connect_timeout,
                    "read": request.read_timeout,
                    "write": request.read_timeout,
                }
            },
        ) as response:
            return _read(request, response)
    except AddressRefused as error:
        metrics.EGRESS_REFUSALS.labels(reason="address").inc()
        message = f"Calling {error} is not allowed: it is not a public address."
        raise NotSent(message, error=CallError.REFUSED) from error
    except httpcore.LocalProtocolError as error:
        raise NotSent(f"The request cannot be sent: {error}", error=CallError.REFUSED) from error
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
        raise _failure(error) from error


def _read(request: HttpRequest, response: httpcore.Response) -> HttpAnswer:
    head = HttpAnswer(
        status=response.status,
        reason_phrase=_phrase(response),
        headers=tuple((_text(name), _text(value)) for name, value in response.headers),
        body=b"",
    )
    if request.method == "HEAD":
        return head
    encoding = head.header("content-encoding") or "identity"
    try:
        chunks = bodies.inflated(response.iter_stream(), encoding, most=request.max_size)
        return replace(head, body=b"".join(chunks))
    except bodies.BodyTooLarge as error:
        message = f"The answer is larger than {request.max_size} bytes."
        raise TooLarge(message, head=head) from error
    except bodies.BodyUnreadable as error:
        raise AnswerRejected(str(error), head=head) from error


def _failure(error: Exception) -> CallFailed:
    text = str(error).strip() or type(error).__name__
    is_timeout = isinstance(error, httpcore.TimeoutException)
    if not _state.is_sent:
        kind = CallError.CONNECT_TIMEOUT if is_timeout else CallError.NOT_CONNECTED
        return NotSent(f"No connection: {text}", error=kind)
    if is_timeout:
        return MaybeSent(f"Timed out: {text}", error=CallError.TIMEOUT)
    return MaybeSent(f"The connection broke: {text}", error=CallError.BROKEN)


def _redirected(request: HttpRequest, answer: HttpAnswer) -> HttpRequest | None:
    """Return the request to make next, if the answer hands it on."""
    location = answer.header("location")
    is_same_request = answer.status in {307, 308}
    is_followed = is_same_request or (
        answer.status in {301, 302, 303} and request.method in _SAFE_METHODS
    )
    if location is None or not is_followed:
        return None
    here = _url(request.url)
    try:
        there = here.join(location)
    except (httpx.InvalidURL, UnicodeError):
        return None
    if (here.scheme, there.scheme) == ("https", "http"):
        raise _refused("A redirect from https to http is not allowed.")
    headers = request.headers
    if _origin(here) != _origin(there):
        headers = tuple(row for row in headers if row[0].lower() not in _NOT_FOR_OTHER_HOSTS)
    moved = replace(request, url=str(there.copy_with(userinfo=b"")), headers=headers)
    _check_request(moved)
    return moved


def _check_request(request: HttpRequest) -> None:
    if not _METHOD.fullmatch(request.method) or request.method in _REFUSED_METHODS:
        raise _refused(f"The method {request.method!r} is not allowed.")
    _url(request.url)
    for name, value in request.headers:
        if not _HEADER_NAME.fullmatch(name):
            raise _refused(f"The header name {name[:50]!r} is not allowed.")
        if name.lower() in _REFUSED_HEADERS or name.lower().startswith("proxy-"):
            raise _refused(f"The header {name!r} is not allowed: it is set by the connection.")
        if _CONTROL.search(value):
            raise _refused(f"The value of the header {name!r} is not allowed: it has a line break.")


def _url(text: str) -> httpx.URL:
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, UnicodeError, ValueError) as error:
        raise _refused(f"This address is not allowed, it is no URL: {error}") from error
    if url.scheme not in {"http", "https"}:
        raise _refused(f"The scheme {url.scheme!r} is not allowed; http and https are.")
    if not url.host:
        raise _refused("A URL without a host is not allowed.")
    if settings.AMENDS_DEMO and url.host == DEMO_HOST:
        host, _, port = settings.AMENDS_DEMO_ADDRESS.rpartition(":")
        return url.copy_with(scheme="http", host=host, port=int(port))
    return url


def _refused(message: str) -> NotSent:
    metrics.EGRESS_REFUSALS.labels(reason="request").inc()
    return NotSent(message, error=CallError.REFUSED)


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _target(url: httpx.URL) -> httpcore.URL:
    return httpcore.URL(
        scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
    )


def _wire_headers(request: HttpRequest, url: httpx.URL) -> list[tuple[bytes, bytes]]:
    given = {name.lower() for name, _ in request.headers}
    headers = [(b"Host", url.netloc)]
    if "user-agent" not in given:
        headers.append((b"User-Agent", b"amends"))
    if "accept-encoding" not in given:
        headers.append((b"Accept-Encoding", b"gzip, deflate"))
    if url.userinfo and "authorization" not in given:
        headers.append((b"Authorization", _basic(url)))
    if request.body is not None:
        headers.append((b"Content-Length", str(len(request.body)).encode()))
    headers.extend((name.encode("ascii"), value.encode()) for name, value in request.headers)
    return headers


def _basic(url: httpx.URL) -> bytes:
    user, _, password = url.userinfo.partition(b":")
    auth = httpx.BasicAuth(unquote_to_bytes(user), unquote_to_bytes(password))
    return next(auth.auth_flow(httpx.Request("GET", url))).headers["Authorization"].encode()


def _phrase(response: httpcore.Response) -> str:
    phrase = response.extensions.get("reason_phrase", b"")
    if phrase:
        return _text(phrase)
    try:
        return HTTPStatus(response.status).phrase
    except ValueError:
        return ""


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _rules() -> Rules:
    own = None
    if settings.AMENDS_DEMO:
        host, _, port = settings.AMENDS_DEMO_ADDRESS.rpartition(":")
        own = (host, int(port))
    return Rules(allow=_networks(tuple(map(str, settings.AMENDS_HTTP_ALLOW))), own_address=own)


@lru_cache(maxsize=8)
def _networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(ip_network(text, strict=False) for text in texts)


class _Client:
    """The connections of this process, made when they are first needed."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        # After a fork the connections are the parent's: they are dropped, not closed.
        self._pool: httpcore.ConnectionPool | None = None

    def pool(self) -> httpcore.ConnectionPool:
        # Two threads may both make one; the loser's is empty and forgotten.
        if self._pool is None:
            self._pool = httpcore.ConnectionPool(
                ssl_context=_tls(),
                max_connections=200,
                max_keepalive_connections=50,
                keepalive_expiry=_KEEP_ALIVE_SECONDS,
                network_backend=GuardedBackend(_state),
            )
        return self._pool

    def close(self) -> None:
        """Close every connection."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()


def _tls() -> ssl.SSLContext:
    # The system's certificates, where a private authority is installed, and a known set for
    # images that have none.
    context = ssl.create_default_context()
    context.load_verify_locations(cafile=certifi.where())
    return context


_state = CallState()
_client = _Client()
os.register_at_fork(after_in_child=_client.reset)


def close() -> None:
    """Close the connections of this process."""
    _client.close()
