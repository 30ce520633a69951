"""Every stored document gives exactly the problems written beside it."""

from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from orchestrator.engine.canonical import canonical
from orchestrator.engine.definition.document import parse
from orchestrator.engine.definition.model import Problem
from orchestrator.engine.definition.problems import to_public
from orchestrator.engine.definition.validation.check import check
from tests.unit.engine.definition.samples import FACTS, SCHEMA, Document, at, load, stored


def problems_of(document: Document) -> list[Problem]:
    """Return everything that is wrong with a document."""
    result = parse(document)
    if result.definition is None:
        return list(result.problems)
    return [*result.problems, *check(result.definition, FACTS)]


def in_short(problem: Problem) -> dict[str, str]:
    """Return what the stored documents say about a problem."""
    shown = {"severity": problem.severity, "code": problem.code, "path": problem.path}
    return shown | ({"waived": problem.waived} if problem.waived else {})


@pytest.mark.parametrize("path", stored("valid"), ids=lambda path: path.stem)
def test_valid_document_has_no_error(path: Path) -> None:
    document = load(path)

    result = parse(document)

    assert result.problems == ()
    assert [problem for problem in problems_of(document) if problem.severity == "error"] == []


@pytest.mark.parametrize("path", stored("invalid"), ids=lambda path: path.stem)
def test_invalid_document_has_exactly_its_problems(path: Path) -> None:
    sample = load(path)

    found = problems_of(sample["definition"])

    shown = sorted(map(in_short, found), key=lambda problem: (problem["path"], problem["code"]))
    assert shown == sample["problems"]


@pytest.mark.parametrize("path", stored("invalid"), ids=lambda path: path.stem)
def test_problem_is_a_sentence_about_a_place_that_exists(path: Path) -> None:
    sample = load(path)

    for problem in problems_of(sample["definition"]):
        at(sample["definition"], problem.path)
        assert problem.message[-1] in ".;"
        assert len(problem.message) > 20


@pytest.mark.parametrize("path", stored("valid"), ids=lambda path: path.stem)
def test_parsing_leaves_the_document_as_it_is(path: Path) -> None:
    document = load(path)
    before = canonical(document)

    definition = parse(document).definition

    assert canonical(document) == before
    assert definition is not None
    assert definition.document is document


@pytest.mark.parametrize("path", stored("valid"), ids=lambda path: path.stem)
def test_valid_document_keeps_the_schema(path: Path) -> None:
    validator = Draft202012Validator(load(SCHEMA))

    errors = [error.message for error in validator.iter_errors(load(path))]

    assert errors == []


def test_public_problem_names_everything() -> None:
    problem = Problem(
        code="W1", severity="warning", path="/tasks/0", message="Text.", task_reference="a"
    )

    assert to_public(problem) == {
        "severity": "warning",
        "code": "W1",
        "path": "/tasks/0",
        "taskReferenceName": "a",
        "message": "Text.",
    }
