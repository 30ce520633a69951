"""What may be shown of a value: the one place where secrets are blotted out."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from orchestrator.engine.canonical import JSONValue

BLOT = "[redacted]"
SHORTEST_SECRET = 6
"""A shorter value would blot out half of every text."""

_DEEPEST = 100
_SECRET_NAME = re.compile(
    r"token|secret|password|passwd|passphrase|authorization|cookie|api[-_]?key|private[-_]?key",
    re.IGNORECASE,
)
# Every repetition below has a bound, or a long hostile text would take the square of its length.
_HEADER = re.compile(
    r"(?P<name>\b(?:proxy-)?authorization|\bset-cookie|\bcookie)"
    r"(?P<mark>[\"']?\s{0,5}[:=]\s{0,5}[\"']?)(?P<value>[^\r\n\"']+)",
    re.IGNORECASE,
)
_ASSIGNMENT = re.compile(
    r"(?P<name>(?<![\w-])[\w-]{0,64}(?:token|secret|password)[\w-]{0,64})"
    r"(?P<mark>[\"']?\s{0,5}[:=]\s{0,5})"
    r"(?P<value>\"[^\"\r\n]*\"|'[^'\r\n]*'|[^\s,;&\"'}\]]+)",
    re.IGNORECASE,
)
_BEARER = re.compile(r"\b(?P<scheme>Bearer|Basic)\s{1,5}[A-Za-z0-9._~+/=-]{6,}", re.IGNORECASE)
_USERINFO = re.compile(r"(?P<scheme>\b[a-z][a-z0-9+.-]{0,20}://)[^\s/?#@]{1,512}@", re.IGNORECASE)
_URL_QUERY = re.compile(
    r"(?P<url>\bhttps?://[^\s?#\"'<>]{1,512})\?(?P<query>[^\s#\"'<>]+)", re.IGNORECASE
)
_QUERY_VALUE = re.compile(r"=[^&;]*")


class Redactor:
    """Blots out what looks like a secret, and exact secrets in every form they take on the way."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {form for secret in secrets for form in _forms(secret)}
        # The longest first, or a part of a secret would stay behind a shorter one.
        ordered = sorted(forms, key=len, reverse=True)
        self._exact = re.compile("|".join(map(re.escape, ordered))) if ordered else None

    def text(self, text: str) -> str:
        """Return the text without secrets."""
        if self._exact is not None:
            text = self._exact.sub(BLOT, text)
        text = _URL_QUERY.sub(_without_query_values, text)
        text = _USERINFO.sub(rf"\g<scheme>{BLOT}@", text)
        text = _HEADER.sub(rf"\g<name>\g<mark>{BLOT}", text)
        text = _ASSIGNMENT.sub(rf"\g<name>\g<mark>{BLOT}", text)
        return _BEARER.sub(rf"\g<scheme> {BLOT}", text)

    def value(self, value: JSONValue) -> JSONValue:
        """Return a copy of a JSON value without secrets; keys that name one lose their value."""
        return self._value(value, _DEEPEST)

    def _value(self, value: JSONValue, depth: int) -> JSONValue:
        if isinstance(value, str):
            return self.text(value)
        if not isinstance(value, Mapping | list | tuple):
            return value
        if depth == 0:
            return BLOT
        if isinstance(value, Mapping):
            return {
                self._known(name): BLOT
                if _SECRET_NAME.search(name) and item is not None
                else self._value(item, depth - 1)
                for name, item in value.items()
            }
        return [self._value(item, depth - 1) for item in value]

    def _known(self, name: str) -> str:
        return name if self._exact is None else self._exact.sub(BLOT, name)


_plain = Redactor()


def redact_text(text: str) -> str:
    """Return a text without what looks like a secret."""
    return _plain.text(text)


def redact(value: JSONValue) -> JSONValue:
    """Return a JSON value without what looks like a secret."""
    return _plain.value(value)


def _forms(secret: str) -> Iterable[str]:
    """Every form in which a secret may turn up."""
    if len(secret) < SHORTEST_SECRET:
        return
    raw = secret.encode("utf-8", "surrogatepass")
    yield secret
    yield quote(raw, safe="")
    yield quote_plus(raw)
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield raw.hex()
    yield raw.hex().upper()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        # Inside a longer text a secret begins at any of three places of a base64 group.
        for shift in range(3):
            yield _base64_core(encode(bytes(shift) + raw).decode("ascii"), shift, len(raw))


def _base64_core(encoded: str, shift: int, size: int) -> str:
    """Return the characters that depend on the secret alone, not on its neighbours."""
    first = -(-shift * 8 // 6)
    last = (shift + size) * 8 // 6
    return encoded[first:last]


def _without_query_values(match: re.Match[str]) -> str:
    return f"{match['url']}?{_QUERY_VALUE.sub(f'={BLOT}', match['query'])}"
