"""The page about the format: its examples are valid, and no key or code is missing."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from orchestrator.engine.definition.document import parse
from orchestrator.engine.definition.validation.check import check
from tests.unit.engine.definition.samples import FACTS, SCHEMA, load

PAGE = (Path(__file__).parents[4] / "docs" / "definition-format.md").read_text()
EXAMPLES = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]
CODES = [f"E{number}" for number in range(1, 12)] + [f"W{number}" for number in range(1, 13)]
STRICT = ("saga", "block", "compensation", "approval", "retry", "sagaKeys", "notBefore", "waiver")


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: str(example["name"]))
def test_example_has_no_problem(example: dict[str, Any]) -> None:
    result = parse(example)

    assert result.problems == ()
    assert result.definition is not None
    assert check(result.definition, FACTS) == ()


def test_page_has_its_examples() -> None:
    assert len(EXAMPLES) == 3


def test_every_key_is_on_the_page() -> None:
    schemas = load(SCHEMA)["$defs"]
    keys = {key for name in STRICT for key in schemas[name]["properties"]}

    assert {key for key in keys if not re.search(rf"`[^`\n]*\b{key}\b[^`\n]*`", PAGE)} == set()


def test_every_name_of_a_choice_is_on_the_page() -> None:
    names = re.findall(r'"([A-Z_]{3,})"', SCHEMA.read_text())

    assert {name for name in names if name not in PAGE} - set(CONDUCTORS) == set()


CONDUCTORS = (
    "ALERT_ONLY",
    "DECISION",
    "EXCLUSIVE_JOIN",
    "EXPONENTIAL_BACKOFF",
    "FIXED",
    "JOIN",
    "LINEAR_BACKOFF",
    "RETRY",
    "SIMPLE",
    "TERMINATE",
    "TIME_OUT_WF",
)
"""Names that belong to Conductor's own keys."""


@pytest.mark.parametrize("code", CODES)
def test_every_code_is_on_the_page(code: str) -> None:
    assert f"| {code} |" in PAGE
