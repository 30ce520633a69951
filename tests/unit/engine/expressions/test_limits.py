"""Expressions end: no template costs more than its bound, and none fails by recursion."""

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.engine.expressions.limits import (
    MAX_BUILT,
    MAX_DEPTH,
    MAX_RESULT,
    MAX_TEXT,
    MAX_VISITS,
    ExpressionTooLarge,
)
from orchestrator.engine.expressions.mapping import reads, resolve
from orchestrator.engine.expressions.paths import parse_path

PARTS = st.sampled_from(
    [
        "${",
        "}",
        "$",
        ".",
        "[",
        "]",
        "(",
        ")",
        "?",
        "@",
        "*",
        "'",
        "a",
        "0",
        ":",
        ",",
        "=~",
        "/",
        "length()",
        " ",
        "..",
        "==",
        "&&",
        "!",
        "{",
        "workflow",
        "secrets",
        "\\",
        "-1",
    ]
)
TEXTS = st.lists(PARTS, max_size=40).map("".join) | st.text(max_size=60)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None)
@given(template=VALUES, value=VALUES)
def test_resolving_never_fails(template: Any, value: Any) -> None:
    reads(template)
    resolve(template, {"a": value, "workflow": {"input": value}})


@settings(deadline=None)
@given(text=TEXTS)
def test_parsing_a_path_never_fails(text: str) -> None:
    parse_path(text)


def nested(depth: int) -> Any:
    """Build lists inside each other."""
    value: Any = "${a}"
    for _ in range(depth):
        value = [value]
    return value


def test_template_may_be_nested_this_deep_and_no_deeper() -> None:
    assert resolve(nested(MAX_DEPTH), {"a": 1}) == eval("[" * MAX_DEPTH + "1" + "]" * MAX_DEPTH)  # noqa: S307
    with pytest.raises(ExpressionTooLarge):
        resolve(nested(MAX_DEPTH + 1), {"a": 1})


def test_expressions_nested_too_deeply_are_null() -> None:
    assert resolve("${" * 60 + "a" + "}" * 60, {"a": 1}) is None


@pytest.mark.parametrize(
    "path",
    ["(" * 3000, "a[?(" + "(" * 200 + "@.b" + ")" * 200 + ")]", "a" + "[?(@.b" * 80 + ")]" * 80],
)
def test_brackets_nested_too_deeply_are_no_path(path: str) -> None:
    assert parse_path(path) is None


def test_very_long_path_is_no_path() -> None:
    assert parse_path("a" * (MAX_TEXT + 1)) is None


def test_text_may_not_grow_past_the_bound() -> None:
    piece = "x" * (MAX_BUILT // 4)

    assert len(str(resolve("${a}${a}${a}", {"a": piece}))) == 3 * len(piece)
    with pytest.raises(ExpressionTooLarge):
        resolve("${a}${a}${a}${a}-", {"a": piece})


def test_object_in_a_text_may_not_be_larger_than_the_bound() -> None:
    with pytest.raises(ExpressionTooLarge):
        resolve("-${a}", {"a": {"b": "x" * MAX_BUILT}})


def test_list_of_matches_may_not_be_larger_than_the_bound() -> None:
    with pytest.raises(ExpressionTooLarge):
        resolve("${a..b}", {"a": [{"b": "x" * 1024}] * 300})


def test_large_value_may_be_passed_on_but_not_multiplied() -> None:
    large = {"b": "x" * (MAX_RESULT // 3)}

    assert resolve(["${a}", "${a}"], {"a": large}) == [large, large]
    with pytest.raises(ExpressionTooLarge):
        resolve(["${a}", "${a}", "${a}"], {"a": large})


def test_scans_of_scans_are_stopped() -> None:
    value: Any = 1
    for _ in range(60):
        value = {"a": value, "b": value}
        if len(str(value)) > 20_000:
            break

    with pytest.raises(ExpressionTooLarge) as caught:
        resolve("${r..*..*..*..*}", {"r": value})

    assert caught.value.limit in (MAX_VISITS, MAX_BUILT)


@pytest.mark.parametrize(
    "text",
    ["${" * 50_000, "}" * 100_000, "${a}" * 20_000, "{" * 50_000 + "}" * 50_000, "$" * 100_000],
)
def test_long_texts_take_time_in_proportion(text: str) -> None:
    begun = time.perf_counter()

    resolve(text, {"a": 1})

    assert time.perf_counter() - begun < 3
