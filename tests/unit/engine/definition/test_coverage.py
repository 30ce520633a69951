"""How many effects can be undone, of all effects."""

from typing import Any

import pytest

from orchestrator.engine.definition.document import parse
from orchestrator.engine.definition.validation.coverage import Coverage, coverage
from orchestrator.engine.definition.validation.facts import ChildFacts, Facts
from tests.unit.engine.definition.samples import (
    Document,
    a_call,
    a_child,
    a_loop,
    a_noop,
    a_reversible,
    a_workflow,
)

CHILDREN = Facts(children={("child", 1): ChildFacts(undoable=2, effects=3)})
BOX: Document = {"tasks": [a_call("undo_c")], "safeIfNotApplied": True}


def counted(document: Document, facts: Facts = CHILDREN) -> tuple[int, int]:
    definition = parse(document).definition
    assert definition is not None
    found = coverage(definition, facts)
    return found.undoable, found.effects


def a_saga(*tasks: Document, **saga: Any) -> Document:
    return a_workflow(*tasks, saga=saga)


@pytest.mark.parametrize(
    ("tasks", "expected"),
    [
        ([a_reversible("a"), a_call("b", effect="NONE"), a_noop("c")], (1, 1)),
        ([a_reversible("a"), a_call("b", effect="IRREVERSIBLE")], (1, 2)),
        ([a_call("p", effect="PIVOT"), a_call("r", effect="RETRIABLE")], (0, 2)),
        ([a_loop("l", [a_reversible("a"), a_call("b", effect="IRREVERSIBLE")])], (1, 2)),
        ([a_child("c", "child")], (2, 3)),
        ([a_child("c", "child", compensation=BOX)], (1, 1)),
        ([a_child("c", "unknown")], (0, 0)),
    ],
    ids=["none", "irreversible", "pivot", "loop", "child", "black box", "unknown child"],
)
def test_effects_are_counted(tasks: list[Document], expected: tuple[int, int]) -> None:
    assert counted(a_saga(*tasks)) == expected


def test_loop_that_is_undone_once_undoes_all_in_it() -> None:
    loop = a_loop("l", [a_call("a", effect="REVERSIBLE")]) | {
        "compensate": "ONCE",
        "compensation": BOX,
    }

    assert counted(a_saga(loop)) == (1, 1)


def test_inline_child_counts_with_its_own_effects() -> None:
    inner = a_workflow(a_reversible("x"), a_call("y", effect="IRREVERSIBLE"), saga={})
    called = {"name": "inner", "workflowDefinition": inner}
    step = a_child("c", "inner") | {"subWorkflowParam": called}

    assert counted(a_saga(step)) == (1, 2)


def test_plain_definition_can_undo_nothing() -> None:
    assert counted(a_workflow(a_call("a"))) == (0, 1)


def test_numbers_are_told_in_a_sentence() -> None:
    assert Coverage(undoable=11, effects=13).public() == {
        "undoable": 11,
        "effects": 13,
        "share": 0.8462,
        "text": "11 of 13 effects can be undone",
    }
    assert Coverage().public()["text"] == "There is no effect to undo"
