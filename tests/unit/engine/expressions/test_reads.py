"""What a template reads is known without resolving it."""

from typing import Any

import pytest

from orchestrator.engine.expressions.mapping import ANY_ROOT, reads, roots, secrets


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("text", set()),
        ("${}", set()),
        ("$${charge.output.id}", set()),
        ("${charge.output.id}", {("charge", "output", "id")}),
        ("${$.charge.output['the id']}", {("charge", "output", "the id")}),
        ("${charge.output.items[0].id}", {("charge", "output", "items")}),
        ("${charge.output.items.length()}", {("charge", "output", "items")}),
        ("${charge..id}", {("charge",)}),
        ("${a.output} and ${b.input}", {("a", "output"), ("b", "input")}),
        ("${CPEWF_TASK_ID}", {("CPEWF_TASK_ID",)}),
        ("${a.output + 1}", set()),
        ("${workflow.input.${a.output.key}}", {("workflow", "input"), ("a", "output", "key")}),
        ("${${a.output.ref}.output}", {(ANY_ROOT,), ("a", "output", "ref")}),
        ("${$..id}", {(ANY_ROOT,)}),
        ({"x": ["${a.output.b}", {"y": "${c.input}"}]}, {("a", "output", "b"), ("c", "input")}),
        ({"${a.output.b}": 1}, set()),
        (None, set()),
    ],
    ids=lambda value: None if isinstance(value, set) else str(value),
)
def test_leading_keys_are_read(template: Any, expected: set[tuple[str, ...]]) -> None:
    assert reads(template) == expected
    assert roots(template) == {read[0] for read in expected}


def test_secrets_that_the_template_asks_for_are_named() -> None:
    template = {"a": "Bearer ${workflow.secrets.TOKEN}", "b": "$${workflow.secrets.OTHER}"}

    assert secrets(template) == {"TOKEN"}
