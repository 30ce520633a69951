"""Regular expressions of filters: like Python's where both understand them, and always linear."""

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.engine.expressions.patterns import MalformedPattern, compile_pattern

PIECES = st.sampled_from(
    [
        "a",
        "b",
        ".",
        "[ab]",
        "[^a]",
        "(a|b)",
        "(?:ab)",
        r"\d",
        r"\w",
        r"\.",
        "a*",
        "b+",
        "(ab)?",
        "a{2}",
        "b{1,3}",
        "a{2,}",
        "^",
        "$",
        "|",
        "[a-c1]",
        "(a*b)*",
        "(a|b{2})+",
        r"[\d.]",
        "()",
    ]
)


@settings(deadline=None)
@given(
    pattern=st.lists(PIECES, max_size=6).map("".join),
    text=st.text(alphabet="abc1.\n", max_size=8),
)
def test_matches_what_python_matches(pattern: str, text: str) -> None:
    # Python's `$` also stands before a newline at the end; ours only at the very end.
    expected = re.fullmatch(pattern.replace("$", r"\Z"), text)

    assert compile_pattern(pattern).matches(text) is (expected is not None)


@pytest.mark.parametrize(
    ("pattern", "flags", "text"),
    [("HALLO", "i", "hallo"), ("[A-C]+", "i", "abc"), (".", "s", "\n"), (r"\S\W\D", "", "a-b")],
)
def test_flags_and_classes(pattern: str, flags: str, text: str) -> None:
    assert compile_pattern(pattern, flags).matches(text)


@pytest.mark.parametrize(
    "pattern",
    [
        "(",
        ")",
        "a)",
        "[",
        "[]",
        "*",
        "a**",
        "a{",
        "a{x}",
        "a{3,2}",
        "a{0}",
        r"\1",
        r"\b",
        "(?=a)",
        "(?<n>a)",
        "\\",
        "[b-a]",
        "(" * 60 + ")" * 60,
        "((a{99}){99}){99}",
        "a" * 1025,
    ],
)
def test_what_is_not_understood_is_refused(pattern: str) -> None:
    with pytest.raises(MalformedPattern):
        compile_pattern(pattern)


def test_unknown_flag_is_refused() -> None:
    with pytest.raises(MalformedPattern):
        compile_pattern("a", "x")


@pytest.mark.parametrize("pattern", ["(a+)+b", "(a|a)*b", "(a|aa)+b", "(.*)*(.*)*b"])
def test_hostile_pattern_takes_time_in_proportion(pattern: str) -> None:
    begun = time.perf_counter()

    assert not compile_pattern(pattern).matches("a" * 5_000)

    assert time.perf_counter() - begun < 3
