"""What the parser takes from people, what it refuses, and where it says the trouble is."""

from __future__ import annotations

import io
import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.border.input import (
    InputError,
    Limits,
    check,
    clean,
    clean_text,
    locate,
    parse_answer,
    parse_json,
    read_capped,
)

TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | TEXTS
    | st.floats(allow_nan=False, allow_infinity=False)
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner), max_leaves=30
)
ANY_TEXT = st.text(st.characters(exclude_categories=[]))
DIRTY_VALUES = st.recursive(
    ANY_TEXT | st.integers(),
    lambda inner: st.lists(inner) | st.dictionaries(ANY_TEXT, inner),
    max_leaves=20,
)


@given(VALUES)
def test_every_proper_value_comes_back(value):
    assert parse_json(json.dumps(value).encode()) == value
    assert parse_json(json.dumps(value, ensure_ascii=False, indent=1).encode()) == value


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_give_a_value_or_an_input_error(raw):
    with suppress(InputError):
        json.dumps(parse_json(raw), allow_nan=False, ensure_ascii=False).encode()


@given(st.text(alphabet='{}[]",:\\u0dé 1e-.tnul', max_size=60).map(str.encode))
def test_almost_json_gives_a_value_or_an_input_error(raw):
    with suppress(InputError):
        json.dumps(parse_json(raw), allow_nan=False, ensure_ascii=False).encode()


@given(DIRTY_VALUES)
def test_cleaned_values_can_be_stored_and_are_left_alone(value):
    cleaned = clean(value)

    text = json.dumps(cleaned, ensure_ascii=False)
    text.encode()
    assert "\\u0000" not in text
    assert clean(cleaned) == cleaned
    check(cleaned)


@given(VALUES)
def test_clean_changes_nothing_that_is_clean(value):
    assert clean(value) == value


@pytest.mark.parametrize(
    ("raw", "code", "pointer"),
    [
        (b"", "not_json", ""),
        (b"{", "not_json", ""),
        (b"{}{}", "not_json", ""),
        (b"'a'", "not_json", ""),
        (b"\xef\xbb\xbf{}", "not_json", ""),
        (b'"\xff"', "not_utf8", ""),
        (b'"\xed\xa0\x80"', "not_utf8", ""),
        (b'"\x00"', "not_json", ""),
        (b"NaN", "number_not_finite", ""),
        (b'{"a": [-Infinity]}', "number_not_finite", ""),
        (b'{"a": 1e999}', "number_not_finite", "/a"),
        (b'{"a": ' + b"1" * 309 + b"}", "number_too_long", ""),
        (b'{"a": 0.' + b"1" * 309 + b"}", "number_too_long", ""),
        (b'{"a": {"b/c": 1, "x": 2, "b/c": 3}}', "duplicate_key", "/a/b~1c"),
        (b'[{"a": 1, "\\u0061": 2}]', "duplicate_key", "/0/a"),
        (b'{"a": ["x", "\\u0000"]}', "bad_character", "/a/1"),
        (b'{"a": "\\ud800"}', "bad_character", "/a"),
        (b'{"a": {"\\u0000": 1}}', "bad_character", "/a"),
        (b"[" * 101 + b"]" * 101, "too_deep", "/0" * 100),
        (b'{"a":' * 101 + b"1" + b"}" * 101, "too_deep", "/a" * 100),
        (b"[" * 100_000 + b"]" * 100_000, "too_deep", ""),
        (b"[" * 1_000_000, "too_deep", ""),
        (b"[" + b"1," * 200_000 + b"1]", "too_many_values", ""),
        (b"[" + b"[]," * 200_000 + b"[]]", "too_many_values", ""),
        (b'{"' + b"k" * 1025 + b'": 1}', "key_too_long", ""),
    ],
    ids=lambda value: value[:20].decode("latin-1") if isinstance(value, bytes) else None,
)
def test_document_is_refused(raw, code, pointer):
    with pytest.raises(InputError) as refused:
        parse_json(raw)

    assert (refused.value.code, refused.value.pointer) == (code, pointer)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    "raw",
    [
        b"[" * 100 + b"]" * 100,
        b"1" * 308,
        b'{"' + b"k" * 1024 + b'": 1}',
        b'"\\ud83d\\ude00"',
        b'["' + b"," * 300_000 + b'"]',
        b'[{"a": 1}, {"a": 1}]',
    ],
    ids=["depth", "digits", "key", "pair", "commas in a text", "same key elsewhere"],
)
def test_document_at_the_limit_is_taken(raw):
    parse_json(raw)


def test_size_is_limited():
    assert parse_json(b'"12345678"', limits=Limits(size=10)) == "12345678"
    with pytest.raises(InputError) as refused:
        parse_json(b'"123456789"', limits=Limits(size=10))

    assert (refused.value.code, refused.value.status) == ("body_too_large", 413)


def test_stream_is_cut_while_it_is_read():
    class Endless:
        read_bytes = 0

        def read(self, size):
            self.read_bytes += size
            return b"x" * size

    endless = Endless()

    assert read_capped(io.BytesIO(b"abc"), size=3) == b"abc"
    with pytest.raises(InputError) as refused:
        read_capped(endless, size=100_000)

    assert refused.value.status == 413
    assert endless.read_bytes < 300_000


def test_syntax_error_has_its_place():
    with pytest.raises(InputError) as refused:
        parse_json(b'{\n  "a": 1,\n  "b": oops\n}')

    assert refused.value.at == (3, 8)


def test_repeated_key_has_its_place():
    with pytest.raises(InputError) as refused:
        parse_json(b'{\n  "a": 1,\n  "a": 2\n}')

    assert refused.value.at == (3, 3)
    assert refused.value.message == "The key 'a' appears twice in one object."


def test_answers_of_services_are_cleaned_instead():
    assert parse_answer(b'{"a": "x\\u0000", "b": 1, "b": "\\ud800"}') == {
        "a": "x\ufffd",
        "b": "\ufffd",
    }
    with pytest.raises(InputError):
        parse_answer(b'{"a": NaN}')
    with pytest.raises(InputError):
        parse_answer(b"[" * 100_000)


def test_clean_text():
    assert clean_text("a\0b\udfff") == "a\ufffdb\ufffd"


DOCUMENT = """{
  "name": "x",
  "tasks": [
    {"type": "A"},
    {
      "type": "B",
      "in/put~": {"text": "a, \\"b\\": [ü]"}
    }
  ]
}"""


@pytest.mark.parametrize(
    ("pointer", "place"),
    [
        ("", (1, 1)),
        ("/name", (2, 3)),
        ("/tasks", (3, 3)),
        ("/tasks/0", (4, 5)),
        ("/tasks/0/type", (4, 6)),
        ("/tasks/1/type", (6, 7)),
        ("/tasks/1/in~1put~0/text", (7, 19)),
        ("/tasks/1/missing/more", (5, 5)),
        ("/tasks/7", (3, 3)),
        ("/nothing", (1, 1)),
    ],
)
def test_pointer_is_located(pointer, place):
    assert locate(DOCUMENT, pointer) == place


@given(VALUES)
def test_every_part_of_a_document_is_located(value):
    text = json.dumps(value, indent=2)
    lines = text.split("\n")

    def visit(part, pointer):
        line, column = locate(text, pointer)
        assert 1 <= line <= len(lines)
        assert 1 <= column <= len(lines[line - 1]) + 1
        if isinstance(part, list):
            for index, item in enumerate(part):
                visit(item, f"{pointer}/{index}")

    visit(value, "")


@given(st.text(max_size=100))
def test_locating_in_what_is_no_json_does_no_harm(text):
    line, column = locate(text, "/a/0")

    assert line >= 1
    assert column >= 1
