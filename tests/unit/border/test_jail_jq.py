"""jq in the jail: outputs, refusals and programs that never end."""

from __future__ import annotations

import time

import pytest

from orchestrator.border.jail import pool
from orchestrator.border.jail.jq_tokens import first_forbidden
from orchestrator.border.jail.scripts import ErrorKind, Language, ScriptCall, ScriptError


def run(source, data=None):
    (result,) = pool.evaluate([ScriptCall(language=Language.JQ, source=source, data=data)])
    return result


@pytest.mark.parametrize(
    ("program", "data", "expected"),
    [
        (".data[] | .v * 10", {"data": [{"v": 1}, {"v": 2}]}, [10, 20]),
        ("empty", {}, []),
        (".env, .input", {"env": 1, "input": 2}, [1, 2]),
        ("{env: 1, input: .a}", {"a": 2}, [{"env": 1, "input": 2}]),
        ("{debug} # env is not read here", {"debug": 1}, [{"debug": 1}]),
        ('"the env is \\(.x)"', {"x": 1}, ["the env is 1"]),
    ],
)
def test_outputs_of_a_program(program, data, expected):
    assert run(program, data).value == expected


def test_error_of_a_program():
    assert run('.a | error("no")', {}).error == ScriptError(kind=ErrorKind.ERROR, message="no")


@pytest.mark.parametrize(
    ("program", "word"),
    [
        ("env", "env"),
        ("$ENV.PATH", "$ENV"),
        ("$ ENV", "$ENV"),
        ("{$ENV}", "$ENV"),
        ('"\\(env.HOME)"', "env"),
        ('"a\\("b\\(1 + env)")"', "env"),
        ("[1, env]", "env"),
        ("{a: (1, env)}", "env"),
        ("{a: env}", "env"),
        (". env", "env"),
        ('import "a" as a; a::b', "import"),
        ('include "a"; .', "include"),
        ("[inputs]", "inputs"),
        ("input_filename", "input_filename"),
        ("# a comment\renv", "env"),
        ("def f: halt; f", "halt"),
        ("debug", "debug"),
        ("stderr", "stderr"),
        ('"m" | modulemeta', "modulemeta"),
    ],
)
def test_program_that_asks_for_more_than_its_input_is_refused(program, word):
    assert first_forbidden(program) == word
    assert run(program, {}).error == ScriptError(
        kind=ErrorKind.REFUSED, message=f"{word!r} is not allowed in a jq program."
    )


@pytest.mark.parametrize(
    "program",
    [
        "repeat(1)",
        "[range(1e12)]",
        "range(1e12) | empty",
        "def f: f | f; f",
        "def f: def g: f; g; f",
        '[limit(1e9; repeat("x"))] | add',
        '"x" * 1e9',
        '("a" * 40 + "!") | test("^(a+)+$")',
        "last(range(1e12))",
        "reduce range(1e9) as $i ([]; . + [$i])",
        "[., .] | until(false; .)",
        "{} | .[1e9 | tostring] | recurse(.; true)",
        '[limit(100000; repeat("xxxxxxxxxx"))]',
        ".[999999999] = 1",
    ],
)
def test_program_without_end_or_measure_fails_soon(program):
    pool.warm()
    began = time.monotonic()

    result = run(program)

    assert result.error is not None
    assert time.monotonic() - began < 5
    assert run(".", 1).value == [1]
