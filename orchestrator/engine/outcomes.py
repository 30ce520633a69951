"""What an attempt can come to, and which answer of an HTTP participant means which.

Four outcomes, and the difference that matters most is between *failed* and *unknown*: failed says
that the participant certainly changed nothing, unknown that nobody can say. Whoever cannot prove
the first must answer the second.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias, assert_never

from orchestrator.engine.canonical import JSONValue

JSONObject: TypeAlias = Mapping[str, JSONValue]

LONGEST_RETRY_AFTER = 86_400.0
"""A participant may ask us to wait, but not for longer than a day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Succeeded:
    """The work is done and took effect."""

    output: JSONObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The work is certainly not applied, unless `partial` says that something was."""

    reason: str
    terminal: bool = False
    """Trying again would not help: no attempt follows."""
    partial: bool = False
    """Something was applied all the same, so the step must be undone like an unknown one."""
    output: JSONObject | None = None
    retry_after: float | None = None
    """Seconds the participant asked us to wait before the next attempt."""
    timed_out: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """Nobody can say whether the work took effect."""

    reason: str
    output: JSONObject | None = None
    timed_out: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """The work goes on elsewhere; somebody will report it, or the step is handed out again."""

    callback_seconds: float | None = None
    """Hand the step out again after this time; None waits for an outside update."""
    output: JSONObject | None = None


Outcome: TypeAlias = Succeeded | Failed | Unknown | Waiting


class HttpMeaning(StrEnum):
    """What an author may say, in `outcomes`, that an answer of a participant means."""

    APPLIED = "APPLIED"
    NOT_APPLIED = "NOT_APPLIED"
    TERMINAL = "TERMINAL"
    UNKNOWN = "UNKNOWN"


class CallError(StrEnum):
    """Why a call came back without an answer."""

    REFUSED = "refused"
    """Refused by our own rules before anything was sent; no author can override that."""
    NOT_CONNECTED = "not_connected"
    """Connection refused, name not found, TLS handshake failed: nothing was sent."""
    CONNECT_TIMEOUT = "connect_timeout"
    """No connection in time: nothing was sent."""
    BROKEN = "broken"
    """The connection broke after the request may have been sent."""
    TIMEOUT = "timeout"
    """The answer did not come in time."""


_OVERRIDE_KEY: Mapping[CallError, str] = {
    CallError.NOT_CONNECTED: "connection",
    CallError.CONNECT_TIMEOUT: "connection",
    CallError.BROKEN: "connection",
    CallError.TIMEOUT: "timeout",
}
_CERTAINLY_NOT_SENT = frozenset(
    {CallError.REFUSED, CallError.NOT_CONNECTED, CallError.CONNECT_TIMEOUT}
)
_TIMEOUTS = frozenset({CallError.CONNECT_TIMEOUT, CallError.TIMEOUT})
_UNSURE_4XX = frozenset({408, 409, 425})


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswered:
    """An HTTP answer, as far as its meaning needs it."""

    status: int
    headers: Mapping[str, str]
    """Names in any case."""
    reason: str
    """The sentence to keep when the answer is not a success."""
    output: JSONObject
    """What the step gives on, whether it succeeded or not."""


def classify_http(
    answer: HttpAnswered, *, overrides: Mapping[str, str], plain: bool = False
) -> Outcome:
    """Say what an HTTP answer means.

    Args:
        answer: The last answer, redirects followed.
        overrides: The step's `outcomes` map; an exact status wins over its class (`"5xx"`).
        plain: A definition without saga parts, where every error is a failure.
    """
    retry_after = _retry_after(answer)
    if plain:
        meaning = HttpMeaning.APPLIED if _is_success(answer) else HttpMeaning.NOT_APPLIED
    else:
        exact, family = str(answer.status), f"{answer.status // 100}xx"
        meaning = _overridden(overrides, exact, family) or _meaning_of(answer)
    return _outcome(meaning, reason=answer.reason, output=answer.output, retry_after=retry_after)


def classify_call_error(
    *,
    error: CallError,
    overrides: Mapping[str, str],
    reason: str,
    output: JSONObject | None = None,
    plain: bool = False,
) -> Outcome:
    """Say what a call that came back without a usable answer means."""
    timed_out = error in _TIMEOUTS
    if plain:
        # To Conductor a call that timed out is a failed one; only its own timeouts time a task out.
        return Failed(reason=reason, output=output)
    default = HttpMeaning.NOT_APPLIED if error in _CERTAINLY_NOT_SENT else HttpMeaning.UNKNOWN
    key = _OVERRIDE_KEY.get(error)
    meaning = (_overridden(overrides, key) if key is not None else None) or default
    return _outcome(meaning, reason=reason, output=output, timed_out=timed_out)


def _is_success(answer: HttpAnswered) -> bool:
    return 200 <= answer.status < 300


def _meaning_of(answer: HttpAnswered) -> HttpMeaning:
    if _is_success(answer):
        return HttpMeaning.APPLIED
    if 400 <= answer.status < 500 and answer.status not in _UNSURE_4XX:
        return HttpMeaning.NOT_APPLIED
    if answer.status == 503 and _header(answer.headers, "retry-after") is not None:
        return HttpMeaning.NOT_APPLIED
    return HttpMeaning.UNKNOWN


def _overridden(overrides: Mapping[str, str], *keys: str) -> HttpMeaning | None:
    for key in keys:
        if key in overrides:
            return HttpMeaning(overrides[key])
    return None


def _outcome(
    meaning: HttpMeaning,
    *,
    reason: str,
    output: JSONObject | None,
    retry_after: float | None = None,
    timed_out: bool = False,
) -> Outcome:
    match meaning:
        case HttpMeaning.APPLIED:
            return Succeeded(output=output or {})
        case HttpMeaning.NOT_APPLIED:
            return Failed(
                reason=reason,
                output=output,
                retry_after=retry_after,
                timed_out=timed_out,
            )
        case HttpMeaning.TERMINAL:
            return Failed(reason=reason, output=output, terminal=True, timed_out=timed_out)
        case HttpMeaning.UNKNOWN:
            return Unknown(reason=reason, output=output, timed_out=timed_out)
        case _:
            assert_never(meaning)


def _header(headers: Mapping[str, str], wanted: str) -> str | None:
    return next((value for name, value in headers.items() if name.lower() == wanted), None)


def _retry_after(answer: HttpAnswered) -> float | None:
    """The wait that a 429 or 503 asks for, in seconds.

    A date is measured against the answer's own `Date`, so that no clock is needed and a skewed
    one on either side does no harm.
    """
    if answer.status not in {429, 503}:
        return None
    asked = (_header(answer.headers, "retry-after") or "").strip()
    if asked.isascii() and asked.isdigit():
        return min(float(asked[:9]), LONGEST_RETRY_AFTER)
    until, sent = _http_date(asked), _http_date(_header(answer.headers, "date") or "")
    if until is None or sent is None:
        return None
    return min(max((until - sent).total_seconds(), 0.0), LONGEST_RETRY_AFTER)


def _http_date(text: str) -> datetime | None:
    # HTTP knows no other zone, and writes it as a word that strptime would read as no zone.
    written = text.strip().removesuffix("GMT") + "+0000"
    try:
        return datetime.strptime(written, "%a, %d %b %Y %H:%M:%S %z")
    except ValueError:
        return None
