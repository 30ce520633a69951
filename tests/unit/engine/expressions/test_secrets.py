"""Secrets are filled in where the template asks for them, and nowhere else."""

from typing import Any

from orchestrator.engine.expressions.mapping import resolve
from orchestrator.engine.expressions.secrets import fill_secrets

VALUES = {"TOKEN": "t0p", "OTHER": "h1dden"}


def test_secret_is_filled_in_where_the_template_names_it() -> None:
    template: dict[str, Any] = {
        "headers": [{"Authorization": "Bearer ${workflow.secrets.TOKEN}"}],
        "n": 1,
    }

    resolved = resolve(template, {})

    assert resolved == template
    assert fill_secrets(resolved, template, VALUES) == {
        "headers": [{"Authorization": "Bearer t0p"}],
        "n": 1,
    }


def test_text_from_outside_that_looks_like_a_secret_stays_a_text() -> None:
    template: dict[str, Any] = {
        "sent": "${workflow.input.text}",
        "both": "${workflow.input.text} ${workflow.secrets.TOKEN}",
        "literal": "$${workflow.secrets.OTHER}",
        "list": ["x"],
    }
    outside = "${workflow.secrets.OTHER}"

    resolved = resolve(template, {"workflow": {"input": {"text": outside}}})

    assert isinstance(resolved, dict)
    longer = {**resolved, "list": ["x", outside], "added": outside}
    assert fill_secrets(longer, template, VALUES) == {
        "sent": outside,
        "both": f"{outside} t0p",
        "literal": outside,
        "list": ["x", outside],
        "added": outside,
    }


def test_unknown_secret_stays_as_it_is() -> None:
    text = "${workflow.secrets.MISSING}"

    assert fill_secrets(text, text, VALUES) == text
