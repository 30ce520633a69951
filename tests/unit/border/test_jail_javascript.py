"""JavaScript in the jail: what authors rely on, and what attackers try."""

from __future__ import annotations

import os
import threading
import time

import pytest

from orchestrator.border.jail import pool
from orchestrator.border.jail.scripts import (
    Budget,
    ErrorKind,
    Language,
    ScriptCall,
    ScriptError,
    ScriptResult,
)


def run(source, data=None, **options):
    (result,) = pool.evaluate(
        [ScriptCall(language=Language.JAVASCRIPT, source=source, data=data, **options)]
    )
    return result


@pytest.mark.parametrize(
    ("source", "data", "expected"),
    [
        pytest.param("1 + 1", None, 2, id="expression"),
        pytest.param("function f() { return $.a; } f();", {"a": [1]}, [1], id="function"),
        pytest.param("({a: 1})", None, {"a": 1}, id="object"),
        pytest.param("if ($.a) { 'yes' } else { 'no' }", {"a": 1}, "yes", id="statement"),
        pytest.param("$.missing === undefined", {}, True, id="undefined is seen"),
        pytest.param("$.list.map(x => x * 2)", {"list": [1, 2]}, [2, 4], id="arrow"),
        pytest.param("undefined", None, None, id="undefined becomes null"),
        pytest.param("NaN", None, None, id="NaN becomes null"),
        pytest.param("(function () {})", None, None, id="function becomes null"),
        pytest.param("2 ** 40", None, 2**40, id="whole number stays whole"),
        pytest.param("0.5", None, 0.5, id="fraction"),
        pytest.param("$ + 1", 4, 5, id="scalar data"),
        pytest.param("$.t", {"t": "ü😀\n\"'"}, "ü😀\n\"'", id="text"),
        pytest.param(
            "Object.keys($)", {"__proto__": 1}, ["__proto__"], id="a key called __proto__"
        ),
        pytest.param("['\\ud800']", None, ["\ufffd"], id="half a pair is replaced"),
    ],
)
def test_value_of_a_script(source, data, expected):
    assert run(source, data) == ScriptResult(value=expected)


def test_body_returns_its_value():
    result = run("if ($.n > 1) { return {big: true}; } return 0; // end", {"n": 2}, body=True)

    assert result.value == {"big": True}


def test_error_names_the_line():
    result = run("let a = 1;\nb.c")

    assert result.error == ScriptError(
        kind=ErrorKind.ERROR, message="ReferenceError: b is not defined (line 2)"
    )


@pytest.mark.parametrize(
    ("source", "kinds"),
    [
        pytest.param("while (true) {}", {"timeout"}, id="loop"),
        pytest.param("throw {toString() { while (true) {} }}", {"timeout"}, id="loop in an error"),
        pytest.param("({toJSON() { while (true) {} }})", {"timeout"}, id="loop in the result"),
        pytest.param(
            "new Proxy({}, {ownKeys() { while (true) {} }})", {"timeout"}, id="loop in a proxy"
        ),
        pytest.param(
            "({get a() { while (true) {} }})", {"timeout"}, id="loop in a getter of the result"
        ),
        pytest.param("(function f() { return f(); })()", {"error"}, id="recursion"),
        pytest.param("let a = {}; a.toJSON = () => ({b: a}); a", {"error"}, id="endless result"),
        pytest.param("let a = {}; a.a = a; a", {"error"}, id="circular result"),
        pytest.param(
            "let a = ['x']; while (true) { a = a.concat(a); } a", {"error", "timeout"}, id="growth"
        ),
        pytest.param("'x'.repeat(2 ** 30)", {"error"}, id="long string"),
        pytest.param("'x'.padEnd(2 ** 29)", {"error"}, id="padded string"),
        pytest.param("new Array(1e9).fill(0).join('a')", {"error", "timeout"}, id="long array"),
        pytest.param("new ArrayBuffer(2 ** 31)", {"error"}, id="buffer"),
        pytest.param("/^(a+)+$/.test('a'.repeat(40) + '!')", {"timeout"}, id="pattern"),
        pytest.param("'x'.repeat(300000)", {"refused"}, id="large result"),
        pytest.param("10n", {"error"}, id="result without JSON"),
        pytest.param("'\\ud800'", {"error"}, id="half a pair"),
        pytest.param("require('fs')", {"error"}, id="require"),
        pytest.param("process.env", {"error"}, id="process"),
        pytest.param("std.getenv('PATH')", {"error"}, id="standard module"),
        pytest.param("os.exec(['id'])", {"error"}, id="system module"),
        pytest.param("import * as s from 'std'; s", {"error"}, id="static import"),
        pytest.param("fetch('http://127.0.0.1')", {"error"}, id="network"),
        pytest.param("$.a", {"error"}, id="data that is not there"),
        pytest.param("x = 1", {"error"}, id="undeclared variable"),
        pytest.param("1 +", {"error"}, id="syntax"),
        pytest.param(
            "let a = 0; for (const b of (function* () { while (true) yield 1; })()) a += b",
            {"timeout"},
            id="generator",
        ),
        pytest.param(
            "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)",
            {"error", "timeout"},
            id="sleep",
        ),
    ],
)
def test_attack_ends_in_an_error_soon(source, kinds):
    pool.warm()
    began = time.monotonic()

    result = run(source)

    assert result.error is not None
    assert result.error.kind in kinds
    assert time.monotonic() - began < 5
    assert run("1 + 1").value == 2


@pytest.mark.parametrize(
    "source",
    [
        "Object.prototype.poison = 1; Array.prototype.map = null; 1",
        "globalThis.poison = 1; 1",
        "JSON.stringify = () => '\"forged\"'; 1",
        "Object.defineProperty(globalThis, '$', {get() { return 'forged'; }}); 1",
    ],
    ids=["prototype", "global", "JSON", "data"],
)
def test_nothing_is_left_for_the_next_script(source):
    calls = [
        ScriptCall(language=Language.JAVASCRIPT, source=source, data={}),
        ScriptCall(
            language=Language.JAVASCRIPT,
            source="[typeof poison, typeof $.poison, typeof [].map, $.a]",
            data={"a": 1},
        ),
    ]

    first, second = pool.evaluate(calls)

    assert first.error is None
    assert second.value == ["undefined", "undefined", "function", 1]


def test_async_work_is_never_waited_for():
    assert run("Promise.resolve(1).then(() => { while (true) {} }); 7").value == 7


def test_dynamic_import_loads_nothing():
    assert run("import('std'); 7").value == 7


def test_step_may_compute_longer_than_a_condition():
    source = "let end = Date.now() + 2000; while (Date.now() < end) {} 1"

    condition, step = run(source), run(source, budget=Budget.STEP)

    assert condition.error is not None
    assert condition.error.kind is ErrorKind.TIMEOUT
    assert step.value == 1


def test_long_source_and_data_are_refused():
    long_source = run(f"1 // {'x' * pool.LARGEST_SOURCE}")
    long_data = run("1", "x" * pool.LARGEST_DATA)

    assert long_source.error is not None
    assert long_data.error is not None
    assert (long_source.error.kind, long_data.error.kind) == (ErrorKind.REFUSED,) * 2


def test_large_data_arrive_whole():
    result = run("$.items.length", {"items": ["x" * 100] * 20_000})

    assert result.value == 20_000


@pytest.mark.parametrize(
    ("source", "body", "message"),
    [
        ("$.a > 1", False, None),
        ("while (true) {}", False, None),
        ("return 1", True, None),
        ("return 1", False, "SyntaxError: return not in a function (line 1)"),
        (
            "let a = 1;\nlet a = 2;",
            False,
            "SyntaxError: invalid redefinition of lexical identifier",
        ),
    ],
)
def test_syntax_is_checked_without_running(source, body, message):
    found = pool.check_syntax(source, body=body)

    assert (found or "").startswith(message or "")
    assert (found is None) == (message is None)


def test_threads_share_the_children():
    results: dict[int, object] = {}

    def work(number):
        results[number] = run("let s = 0; for (let i = 0; i <= $; i++) s += i; s", number).value

    threads = [threading.Thread(target=work, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert results == {number: number * (number + 1) // 2 for number in range(20)}


def test_forked_process_has_children_of_its_own():
    assert run("1").value == 1

    pid = os.fork()
    if pid == 0:
        os._exit(0 if run("20 + 1").value == 21 else 1)
    _, status = os.waitpid(pid, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert run("2").value == 2
