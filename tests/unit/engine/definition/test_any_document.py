"""Properties: no JSON value breaks the parser or the rules, and the schema agrees with both."""

import copy
import re
import time
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from orchestrator.engine.canonical import canonical
from orchestrator.engine.definition import saga_keys, saga_settings
from orchestrator.engine.definition.carrier import TASK_KEYS
from orchestrator.engine.definition.document import parse, parse_task, parse_task_policy, scripts_of
from orchestrator.engine.definition.model import Problem
from orchestrator.engine.definition.validation.check import (
    check,
    has_effects,
    has_undo,
    needed_children,
    needed_groups,
)
from tests.unit.engine.definition.samples import (
    FACTS,
    FOLDER,
    SCHEMA,
    Document,
    a_reversible,
    a_workflow,
    at,
    load,
    stored,
)

RICH = load(FOLDER / "valid" / "saga_every_key.json")
DOCUMENTS = [load(path) for path in stored("valid")]
VALIDATOR = Draft202012Validator(load(SCHEMA))
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(min_value=-3, max_value=100)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(
        ["", "a", "ASK", "SERIAL", "P1D", "${workflow.input.x}", "reserve", "3", "W1"]
    )
    | st.text(max_size=5)
)
KEYS = st.sampled_from([*TASK_KEYS, "tasks", "type", "name", "taskReferenceName", "x", "at"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)


def places(value: Any, path: str = "") -> list[str]:
    """Return the pointer of everything inside a value."""
    items: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    return [
        place for key, item in items for place in [f"{path}/{key}", *places(item, f"{path}/{key}")]
    ]


def changed(document: Document, place: str, value: Any) -> Document:
    """Return a copy of a document with another value at a place."""
    copied = copy.deepcopy(document)
    above, _, last = place.rpartition("/")
    holder = at(copied, above)
    holder[int(last) if isinstance(holder, list) else last] = value
    return copied


def problems_of(document: Any) -> list[Problem]:
    """Apply everything there is to a document."""
    result = parse(document)
    if result.definition is None:
        return list(result.problems)
    scripts_of(result.definition)
    needed_children(result.definition)
    needed_groups(result.definition)
    has_undo(result.definition)
    has_effects(result.definition)
    return [*result.problems, *check(result.definition, FACTS)]


@settings(deadline=None)
@given(document=VALUES)
def test_no_value_breaks_the_parser(document: Any) -> None:
    before = canonical(document)

    problems_of(document)
    parse_task(document)
    parse_task_policy(document)

    assert canonical(document) == before


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_no_change_of_a_valid_document_breaks_anything(data: st.DataObject) -> None:
    original = data.draw(st.sampled_from(DOCUMENTS))
    document = changed(original, data.draw(st.sampled_from(places(original))), data.draw(VALUES))

    for problem in problems_of(document):
        at(document, problem.path)
        assert problem.message


SAGA_PLACES = [
    place
    for place in places(RICH)
    if any(f"/{key}" in place for key in (*TASK_KEYS, "saga"))
    and "inputParameters" not in place
    and not place.endswith(("/name", "/taskReferenceName", "/type"))
]
MEANING = re.compile(
    r"No task has|is not a moment|name of a time zone|is taken"
    r"|meaning of its own|`compensation` only with"
    r"|belongs to|^The expression reads|^An? [A-Z_]+ (task|node) |^The WAIT task|not both"
    r"|`name` or a|is no savepoint|of its own\.$"
)
"""What a schema cannot see: names of steps, keys that depend on others, needs of each type."""


@settings(deadline=None, max_examples=400)
@given(place=st.sampled_from(SAGA_PLACES), value=VALUES)
def test_schema_and_parser_agree_about_shapes(place: str, value: Any) -> None:
    document = changed(RICH, place, value)

    by_parser = [
        problem for problem in parse(document).problems if not MEANING.search(problem.message)
    ]
    by_schema = list(VALIDATOR.iter_errors(document))

    assert bool(by_schema) == bool(by_parser), (by_parser, [each.message for each in by_schema])


def test_schema_names_the_keys_the_parser_knows() -> None:
    schemas = load(SCHEMA)["$defs"]

    assert set(schemas["saga"]["properties"]) == set(saga_settings.DEFINITION_KEYS)
    assert set(schemas["block"]["properties"]) == set(saga_settings.BLOCK_KEYS)
    assert set(schemas["compensation"]["properties"]) == set(saga_keys.COMPENSATION_KEYS)
    assert set(schemas["sagaKeys"]["properties"]) == set(TASK_KEYS)


def test_thousand_steps_are_checked_in_two_seconds() -> None:
    document = a_workflow(*[a_reversible(f"s{number}") for number in range(1000)], saga={})
    begun = time.process_time()

    problems = problems_of(document)

    assert problems == []
    assert time.process_time() - begun < 2
