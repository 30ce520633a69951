"""Every row of the table of expressions: what a template gives, type and all."""

from typing import Any

import pytest

from orchestrator.engine.expressions.mapping import resolve

ROOTS: dict[str, Any] = {
    "workflow": {
        "input": {
            "i": 7,
            "f": 1.5,
            "big": 12345678901.0,
            "tiny": 0.0001,
            "b": True,
            "n": None,
            "s": "str",
            "who": "s",
            "l": [1, "two", {"z": 3}],
            "nums": [1, 2],
            "o": {"k": "v", "a b": 1, "x-y": 5},
            "objs": [{"id": 1, "p": 5, "t": "x"}, {"id": 2, "p": 20, "t": None}],
            "d.ot": "dotted",
            "text": "${workflow.input.i}",
        },
        "secrets": {"X": "must not be seen"},
        "env": {"E": "value"},
    },
    "my-task": {"output": {"result": 42}, "status": "COMPLETED"},
    "CPEWF_TASK_ID": "task-1",
}

ROWS: list[tuple[str, Any]] = [
    ("${workflow.input.i}", 7),
    ("${workflow.input.b}", True),
    ("${workflow.input.l}", [1, "two", {"z": 3}]),
    ("${workflow.input.o}", {"k": "v", "a b": 1, "x-y": 5}),
    ("${workflow.input.n}", None),
    ("${workflow.input.missing}", None),
    ("${workflow.input.missing.deep}", None),
    ("${nosuch.output.x}", None),
    ("${workflow.input.l[0]}", 1),
    ("${workflow.input.l[-1]}", {"z": 3}),
    ("${workflow.input.l[9]}", None),
    ("${workflow.input.l[-9]}", None),
    ("${workflow.input.o[0]}", None),
    ("${workflow.input.l[0:2]}", [1, "two"]),
    ("${workflow.input.l[-2:]}", ["two", {"z": 3}]),
    ("${workflow.input.l[:1]}", [1]),
    ("${workflow.input.l[0,2]}", [1, {"z": 3}]),
    ("${workflow.input.l[*]}", [1, "two", {"z": 3}]),
    ("${workflow.input.o.*}", ["v", 1, 5]),
    ("${workflow.input.objs[*].id}", [1, 2]),
    ("${workflow.input.objs..id}", [1, 2]),
    ("${workflow.input..z}", [3]),
    (
        "${workflow.input.objs..*}",
        [{"id": 1, "p": 5, "t": "x"}, {"id": 2, "p": 20, "t": None}, 1, 5, "x", 2, 20, None],
    ),
    ("${workflow.input.objs[?(@.p > 10)].id}", [2]),
    ("${workflow.input.objs[?(@.p > 99)].id}", []),
    ("${workflow.input.nope[*].id}", []),
    ("${workflow.input.l.length()}", 3),
    ("${workflow.input.o.size()}", 3),
    ("${workflow.input.s.length()}", None),
    ("${workflow.input.missing.length()}", None),
    ("${workflow.input.o.keys()}", ["k", "a b", "x-y"]),
    ("${workflow.input.l.keys()}", None),
    ("${workflow.input.objs..id.length()}", 2),
    ("${workflow.input.objs[*].length()}", [3, 3]),
    ("${workflow.input.nums.sum()}", None),
    ("${workflow.input.i + 1}", None),
    ("${workflow.input.s.toUpperCase()}", None),
    ("${workflow.input.l.length().x}", None),
    ("${workflow.input['d.ot']}", "dotted"),
    ('${workflow.input["d.ot"]}', "dotted"),
    ("${workflow.input[ 'i' ]}", 7),
    ("${workflow.input['i','s']}", {"i": 7, "s": "str"}),
    ("${workflow['input','env'].i}", [7]),
    ("${workflow.input.o['x-y']}", 5),
    ("${workflow.input.o.x-y}", 5),
    ("${my-task.output.result}", 42),
    ("${my-task.status}", "COMPLETED"),
    ("${$.workflow.input.s}", "str"),
    ("${$['workflow'].input.s}", "str"),
    ("x=${workflow.input.i}", "x=7"),
    ("x=${workflow.input.f}", "x=1.5"),
    ("x=${workflow.input.big}", "x=1.2345678901E10"),
    ("x=${workflow.input.tiny}", "x=1.0E-4"),
    ("x=${workflow.input.b}", "x=true"),
    ("x=${workflow.input.n}", "x=null"),
    ("x=${workflow.input.missing}", "x=null"),
    ("x=${workflow.input.o}", "x={k=v, a b=1, x-y=5}"),
    ("x=${workflow.input.l}", "x=[1, two, {z=3}]"),
    ("x=${workflow.input.objs[*].id}", "x=[1,2]"),
    ("${workflow.input.s}${workflow.input.i}", "str7"),
    (" ${workflow.input.i}", " 7"),
    ("${ workflow.input.i }", None),
    ("$${workflow.input.s}", "${workflow.input.s}"),
    ("$${workflow.input.s} ${workflow.input.s}", "${workflow.input.s} str"),
    ("${}", ""),
    ("${  }", ""),
    ("a${}b", "ab"),
    ("${workflow.input.s", "${workflow.input.s"),
    ("${a ${workflow.input.s}", "${a str"),
    ("workflow.input.s", "workflow.input.s"),
    ("{${workflow.input.s}}", "{str}"),
    ("${workflow.input.${workflow.input.who}}", "str"),
    ("${workflow.input.${workflow.input.missing}}", None),
    ("${PATH_NOT_SET}", None),
    ("${HOME}", None),
    ("${CPEWF_TASK_ID}", "task-1"),
    ("${workflow.secrets.X}", "${workflow.secrets.X}"),
    ("Bearer ${workflow.secrets.X}", "Bearer ${workflow.secrets.X}"),
    ("${workflow['secrets'].X}", None),
    ("${$.workflow.secrets.X}", None),
    ("${workflow.secrets.${workflow.input.who}}", None),
    ("${workflow.env.E}", "value"),
    ("${workflow.priority}", None),
    ("${workflow.input.text}", "${workflow.input.i}"),
    ("${@.workflow}", None),
    ("${$}", None),
    ("${workflow.}", None),
    ("${workflow..}", None),
    ("${workflow.input.l[}", None),
    ("${workflow.input.l[0:2:1]}", None),
    ("${__class__.__mro__}", None),
    ("${workflow.input['x\\'y\\u0041']}", None),
    ("${workflow.input['\\u0069']}", 7),
    ("${workflow.input['\\ud800']}", None),
    ("${workflow.input['open}", None),
    ("${workflow.input['i',5]}", None),
    ("${workflow.input.l[ : ]}", [1, "two", {"z": 3}]),
    ("${workflow.input.l[,]}", None),
    ("${workflow.input.l..[?(@.z == 3)].z}", [3]),
    ("${workflow.input..length()}", None),
    ("${workflow.input.l['z']}", None),
    ("${workflow.input['l','o'][0]}", [1]),
    ("${workflow.input.objs[?('x')]}", None),
    ("${workflow.input.objs[?(@.p == )]}", None),
    ("x=${workflow.input.o.*}", 'x=["v",1,5]'),
    ("${workflow.input.s.__class__}", None),
]

FILTERS: list[tuple[str, list[int]]] = [
    ("@.p == 5", [1]),
    ("@.p != 5", [2]),
    ("@.p < 20", [1]),
    ("@.p <= 20", [1, 2]),
    ("@.p >= 20", [2]),
    ("@.t == 'x'", [1]),
    ('@.t == "x"', [1]),
    ("@.t == null", [2]),
    ("@.missing == null", []),
    ("@.t", [1, 2]),
    ("@.missing", []),
    ("!@.missing", [1, 2]),
    ("!(@.p > 10)", [1]),
    ("@.p > 1 && @.id == 2", [2]),
    ("@.id == 1 || @.id == 2", [1, 2]),
    ("@.id == 1 && @.p == 9 || @.p == 20", [2]),
    ("@.id == 1 && (@.p == 9 || @.p == 5)", [1]),
    ("@.p == '5'", [1]),
    ("@.t > 1", []),
    ("@['id'] == 2", [2]),
    ("@.p > @.id", [1, 2]),
    ("@.id == $.workflow.input.nums[1]", [2]),
    ("@.length() == 3", [1, 2]),
    ("@.t =~ /X/i", [1]),
    ("@.t =~ /y|z/", []),
    ("@.p =~ /2\\d/", [2]),
    ("@.p > 1.5e1", [2]),
    ("@.p == true", []),
    ("@.p != true", [1, 2]),
    ("5 == @.p", [1]),
    ("'20' == @.p", [2]),
    ("@.t == 5", []),
    ("@.t > 'a'", [1]),
    ("@.t <= 'a'", []),
    ("@..id", [1, 2]),
    ("@.missing != @.other", []),
    ("@.p =~ 5", []),
    ("/5/ =~ @.p", [1]),
    ("/5/ =~ /5/", []),
    ("@.t == null && true =~ /true/", [2]),
    ("/5/ == 5", []),
]


@pytest.mark.parametrize(("template", "expected"), ROWS, ids=[row[0] for row in ROWS])
def test_template_gives_this_value(template: str, expected: Any) -> None:
    found = resolve([{"value": template}], ROOTS)

    assert found == [{"value": expected}]
    assert type(found[0]["value"]) is type(expected)


@pytest.mark.parametrize(("test", "expected"), FILTERS, ids=[row[0] for row in FILTERS])
def test_filter_keeps_these_elements(test: str, expected: list[int]) -> None:
    template = f"${{workflow.input.objs[?({test})].id}}"

    assert resolve(template, ROOTS) == expected


def test_filter_on_an_object_keeps_the_object() -> None:
    assert resolve("${workflow.input.o[?(@.k == 'v')].k}", ROOTS) == ["v"]


def test_keys_of_maps_are_never_substituted() -> None:
    template = {"${workflow.input.s}": "${workflow.input.s}"}

    assert resolve(template, ROOTS) == {"${workflow.input.s}": "str"}


@pytest.mark.parametrize("template", [{"a": [1, {"b": "text"}]}, [], 7, None, "text", "$ {x} }"])
def test_template_without_expressions_is_the_same_object(template: Any) -> None:
    assert resolve(template, ROOTS) is template


def test_found_value_is_passed_on_unchanged() -> None:
    assert resolve("${workflow.input.o}", ROOTS) is ROOTS["workflow"]["input"]["o"]
