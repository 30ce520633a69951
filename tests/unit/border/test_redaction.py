"""Secrets disappear, whatever they are wrapped in."""

from __future__ import annotations

import base64
import json
import time
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from orchestrator.border.redaction import BLOT, Redactor, redact, redact_text

if TYPE_CHECKING:
    from orchestrator.engine.canonical import JSONValue

SECRET = 'pa"ss/wörd+1'


def test_values_under_telling_keys():
    value: JSONValue = {
        "accessToken": "a",
        "client_secret": {"a": 1},
        "Password": 7,
        "Set-Cookie": ["a"],
        "Authorization": "Bearer x",
        "tokens": None,
        "name": "kept",
        "list": [{"x-api-token": "a", "n": 1}],
    }

    assert redact(value) == {
        "accessToken": BLOT,
        "client_secret": BLOT,
        "Password": BLOT,
        "Set-Cookie": BLOT,
        "Authorization": BLOT,
        "tokens": None,
        "name": "kept",
        "list": [{"x-api-token": BLOT, "n": 1}],
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("GET http://me:pw@host/x", f"GET http://{BLOT}@host/x"),
        ("at https://host/x?a=1&key=2#f", f"at https://host/x?a={BLOT}&key={BLOT}#f"),
        ("Authorization: Basic abcdefgh", f"Authorization: {BLOT}"),
        ("Cookie: a=b; c=d\nX: y", f"Cookie: {BLOT}\nX: y"),
        ("sent Bearer abc.def-ghi now", f"sent Bearer {BLOT} now"),
        ("token=abc&x=1", f"token={BLOT}&x=1"),
        ('{"db_password": "abc", "x": 1}', f'{{"db_password": {BLOT}, "x": 1}}'),
        ("my_secret: abc, more", f"my_secret: {BLOT}, more"),
        ("nothing to hide here", "nothing to hide here"),
    ],
)
def test_texts(text, expected):
    assert redact_text(text) == expected


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        quote(SECRET, safe=""),
        json.dumps(SECRET)[1:-1],
        SECRET.encode().hex(),
        base64.b64encode(SECRET.encode()).decode().rstrip("=")[:-1],
        base64.b64encode(f"user:{SECRET}".encode()).decode(),
        base64.b64encode(f"u:{SECRET}x".encode()).decode(),
        base64.urlsafe_b64encode(f"us:{SECRET}".encode()).decode(),
    ],
    ids=["plain", "url", "json", "hex", "base64", "in base64", "in base64 1", "in base64 2"],
)
def test_exact_secret_in_every_form(form):
    text = Redactor([SECRET]).text(f"<{form}>")

    assert BLOT in text
    assert form not in text


def test_exact_secret_in_keys_and_values():
    assert Redactor(["hunter22"]).value({"hunter22": ["a hunter22 b"]}) == {BLOT: [f"a {BLOT} b"]}


def test_short_secret_blots_out_nothing():
    assert Redactor(["a"]).text("banana") == "banana"


def test_deep_value_is_cut():
    value: JSONValue = "x"
    for _ in range(5000):
        value = [value]

    assert BLOT in json.dumps(redact(value))


@pytest.mark.parametrize(
    "unit", ["token", "a.", "http://", "a:", "x-", "Bearer ", "secret=", "cookie", "user@"]
)
def test_long_texts_take_no_square_of_time(unit):
    text = unit * (300_000 // len(unit))
    began = time.monotonic()

    redact_text(text)

    assert time.monotonic() - began < 3
