"""JSON Schema in the jail: problems with their place, nothing fetched, nothing that explodes."""

from __future__ import annotations

import json

import pytest

from orchestrator.border.jail import pool
from orchestrator.border.jail.scripts import ErrorKind, Language, ScriptCall


def validate(schema, data):
    (result,) = pool.evaluate(
        [ScriptCall(language=Language.SCHEMA, source=json.dumps(schema), data=data)]
    )
    return result


def test_problems_have_a_pointer():
    schema = {"properties": {"a/b": {"items": {"type": "integer"}}}}

    assert validate(schema, {"a/b": [1, "x"]}).value == [
        {"pointer": "/a~1b/1", "message": "'x' is not of type 'integer'"}
    ]


def test_valid_data_have_no_problems():
    schema = {"$ref": "#/$defs/name", "$defs": {"name": {"type": "string"}}}

    assert validate(schema, "x").value == []


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        pytest.param({"$ref": "http://127.0.0.1/x"}, ErrorKind.REFUSED, id="remote"),
        pytest.param({"items": {"$ref": "file:///etc/passwd"}}, ErrorKind.REFUSED, id="file"),
        pytest.param({"$dynamicRef": "other"}, ErrorKind.REFUSED, id="dynamic"),
        pytest.param({"$id": "http://a/", "$ref": "#/$defs/x"}, ErrorKind.ERROR, id="missing"),
        pytest.param({"type": 7}, ErrorKind.ERROR, id="wrong schema"),
        pytest.param([], ErrorKind.ERROR, id="no schema"),
        pytest.param({"$ref": "#"}, ErrorKind.ERROR, id="endless reference"),
        pytest.param({"pattern": "^(a+)+$"}, ErrorKind.TIMEOUT, id="pattern"),
        pytest.param(
            {
                "$ref": "#/$defs/a0",
                "$defs": {
                    **{f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(30)},
                    "a30": {},
                },
            },
            ErrorKind.TIMEOUT,
            id="doubling references",
        ),
    ],
)
def test_schema_that_cannot_be_used(schema, kind):
    result = validate(schema, "a" * 40 + "!")

    assert result.error is not None
    assert result.error.kind is kind
