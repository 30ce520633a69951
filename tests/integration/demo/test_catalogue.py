"""The files of the demo: definitions address the shop, samples ask for what it can do."""

from collections.abc import Iterator
from typing import Any

import pytest

from orchestrator.demo import catalogue
from orchestrator.demo.chaos import LATE_ANSWER_SECONDS, chaos_for
from orchestrator.demo.participants import participant_of
from orchestrator.engine.definition import document
from orchestrator.engine.definition.model import Kind

WORKFLOWS = {workflow.name: workflow for workflow in catalogue.workflows()}
CHILDREN = {"invoice_run": "invoice_item", "access_offboarding": "access_removal"}
ENDS = {
    "COMPLETED",
    "FAILED",
    "COMPENSATED",
    "PARTIALLY_COMPENSATED",
    "COMPENSATING",
    "RUNNING",
    "NEEDS_ATTENTION",
}
each_workflow = pytest.mark.parametrize("name", WORKFLOWS)


def tasks_of(value: Any) -> Iterator[dict[str, Any]]:
    """Find every task of a definition, undos and probes too."""
    if isinstance(value, dict):
        if "taskReferenceName" in value:
            yield value
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from tasks_of(each)


def http_requests(name: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return the HTTP tasks of a definition with what each sends."""
    tasks = tasks_of(WORKFLOWS[name].document)
    return [
        (task, task["inputParameters"]["http_request"]) for task in tasks if task["type"] == "HTTP"
    ]


@each_workflow
def test_definition_has_its_own_name_and_is_a_saga(name):
    definition = WORKFLOWS[name].document

    assert (definition["name"], definition["version"]) == (name, 1)
    assert definition["saga"]["onFailure"] == "BACKWARD"


@each_workflow
def test_reference_names_are_unique(name):
    references = [task["taskReferenceName"] for task in tasks_of(WORKFLOWS[name].document)]

    assert len(references) == len(set(references))


@each_workflow
def test_every_call_goes_to_the_shop_and_gives_up_before_a_late_answer(name):
    called = http_requests(name)

    assert called
    for _, request in called:
        assert request["uri"].startswith("http://demo.amends.internal/demo/api/")
        assert request["method"] == ("GET" if "/probe/" in request["uri"] else "POST")
        assert request["readTimeOut"] < LATE_ANSWER_SECONDS * 1000


@each_workflow
def test_every_forward_step_is_known_to_the_shop_and_says_what_it_does_to_the_world(name):
    forward = [task for task, request in http_requests(name) if "/do/" in request["uri"]]

    for task in forward:
        assert participant_of(task["name"]).service != "Anything"
        assert task["effect"] in {"REVERSIBLE", "PIVOT", "RETRIABLE", "IRREVERSIBLE"}
        assert ("compensation" in task) == (task["effect"] == "REVERSIBLE")


@each_workflow
def test_every_undo_works_after_an_unknown_outcome(name):
    undone = [task for task in tasks_of(WORKFLOWS[name].document) if "compensation" in task]

    for task in undone:
        undo = task["compensation"]
        [call] = undo["tasks"]
        sent = call["inputParameters"]["http_request"]
        assert sent["uri"].endswith(f"/undo/{task['name']}")
        assert undo["safeIfNotApplied"] is True
        assert f"{task['taskReferenceName']}.output" not in str(sent)


@each_workflow
def test_happy_sample_comes_first_and_the_others_fail(name):
    first, *others = WORKFLOWS[name].samples

    assert "happy" in first.name
    assert first.input["chaos"] == {}
    for sample in others:
        assert "fails" in sample.name
        assert sample.input["chaos"]
        assert sample.ends in ENDS


@each_workflow
def test_chaos_of_a_sample_names_steps_and_switches_that_exist(name):
    documents = [WORKFLOWS[name].document]
    if child := CHILDREN.get(name):
        documents.append(WORKFLOWS[child].document)
    steps = {task["name"] for task in tasks_of(documents)}

    for sample in WORKFLOWS[name].samples:
        for key, switch in sample.input["chaos"].items():
            step = key.partition("#")[0]
            assert step in steps
            chaos_for(switch, step=step)


def test_every_sample_has_an_order_of_its_own():
    orders = [
        sample.input["orderId"] for workflow in WORKFLOWS.values() for sample in workflow.samples
    ]

    assert len(orders) == len(set(orders))


@each_workflow
def test_definition_parses_without_a_problem(name):
    parsed = document.parse(dict(WORKFLOWS[name].document))

    assert parsed.problems == ()
    assert parsed.definition is not None
    assert parsed.definition.kind is Kind.SAGA
