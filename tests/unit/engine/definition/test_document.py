"""Reading a document: kinds, coercions, the carrier, limits, and tasks that are given as data."""

import json
from typing import Any

import pytest

from orchestrator.engine.definition.document import parse, parse_task, scripts_of
from orchestrator.engine.definition.model import Kind, OnUnknown, SagaSettings, Script
from tests.unit.engine.definition.samples import (
    FOLDER,
    Document,
    a_call,
    a_child,
    a_fork,
    a_loop,
    a_noop,
    a_reversible,
    a_workflow,
    load,
)


def definition_of(document: Document) -> Any:
    """Parse a document that has nothing wrong with it."""
    result = parse(document)
    assert result.problems == ()
    return result.definition


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        (a_workflow(a_noop("a")), Kind.PLAIN),
        (a_workflow(a_noop("a"), saga={}), Kind.SAGA),
        (a_workflow(a_noop("a"), saga=None), Kind.PLAIN),
        (a_workflow(a_noop("a"), metadata={"amends": {"saga": {}}}), Kind.SAGA),
        (a_workflow(a_call("a", effect="NONE")), Kind.IMPLICIT),
        (a_workflow(a_call("a", effect=None)), Kind.PLAIN),
        (a_workflow(a_loop("l", [a_call("a", savepoint=False)])), Kind.IMPLICIT),
        (
            a_workflow(a_call("a"), metadata={"amends": {"tasks": {"a": {"effect": "NONE"}}}}),
            Kind.IMPLICIT,
        ),
        (a_workflow(a_noop("a"), metadata={"other": 1}), Kind.PLAIN),
    ],
    ids=range(9),
)
def test_kind_follows_from_where_saga_keys_stand(document: Document, kind: Kind) -> None:
    assert definition_of(document).kind is kind


def test_conductors_fields_are_coerced_as_conductor_does() -> None:
    definition = definition_of(load(FOLDER / "valid" / "plain_coerced.json"))

    assert (definition.version, definition.timeout_seconds) == (3, 60)
    assert definition.restartable is False
    step = definition.tasks[0]
    assert (step.start_delay, step.optional, step.retry_count) == (5, True, 2)
    assert (step.task_policy.retry_count, step.task_policy.timeout_seconds) == (7, 30)
    assert step.inputs == {}


def test_unknown_keys_are_kept_in_the_documents() -> None:
    document = a_workflow(a_noop("a") | {"canvas": {"x": 1}}, colour="green")

    definition = definition_of(document)

    assert definition.document is document
    assert definition.tasks[0].document["canvas"] == {"x": 1}


def test_every_saga_key_reaches_its_value() -> None:
    definition = definition_of(load(FOLDER / "valid" / "saga_every_key.json"))

    reserve = definition.tasks[0]
    undo = reserve.compensation
    assert definition.saga.serial
    assert definition.saga.max_parallel == 3
    assert definition.saga.confirm_plan == Script(
        evaluator="javascript", expression="$.amount > 5000"
    )
    assert reserve.on_unknown == (OnUnknown.PROBE, OnUnknown.ASK)
    assert reserve.outcomes["5xx"] == "UNKNOWN"
    assert reserve.probe.path == "/tasks/0/probe"
    assert reserve.confirm[0].path == "/tasks/0/confirm/tasks/0"
    assert undo.tasks[0].path == "/tasks/0/compensation/tasks/0"
    assert undo.alternate[0].outcomes == {"409": "APPLIED"}
    assert undo.approval.escalation[0].groups == ("leads",)
    assert undo.retry.initial_interval_seconds == 0.5
    assert undo.not_before.lead == "PT24H"
    assert (undo.blocks_on_failure, undo.independent) == (False, True)
    assert definition.tasks[1].saga == SagaSettings(
        on_failure="FORWARD",
        max_retries=1,
        retry_delay_seconds=2,
        retry_on=("TIMED_OUT",),
        accept_partial=True,
        keep=("seen",),
    )
    assert definition.tasks[2].compensate_once
    assert definition.tasks[3].compensation.cascade


def test_every_key_left_out_has_its_default() -> None:
    definition = definition_of(a_workflow(a_reversible("a"), saga={}))

    step = definition.tasks[0]
    assert definition.saga == SagaSettings()
    assert step.compensation.approval.distinct_from == ("STARTER", "TRIGGERER", "PUBLISHER")
    assert step.compensation.retry.maximum_attempts == 10
    assert step.compensation.blocks_on_failure
    assert step.on_unknown == tuple(OnUnknown)
    assert (step.on_stop, step.savepoint, step.window) == ("WAIT", False, None)


def test_carried_keys_mean_the_same_as_in_their_place() -> None:
    task = a_reversible("a", savepoint=True)
    keys = {key: task.pop(key) for key in ("effect", "compensation", "savepoint")}
    amends = {"saga": {"mode": "SERIAL"}, "tasks": {"a": keys}}

    carried = definition_of(a_workflow(task, metadata={"amends": amends}))
    placed = definition_of(a_workflow(task | keys, saga={"mode": "SERIAL"}))

    assert carried.saga == placed.saga
    assert carried.tasks[0].effect is placed.tasks[0].effect
    assert carried.tasks[0].savepoint
    assert carried.tasks[0].document == placed.tasks[0].document
    assert carried.tasks[0].carried["effect"] == "/metadata/amends/tasks/a/effect"
    undo = carried.tasks[0].compensation.tasks[0]
    assert undo.path == "/metadata/amends/tasks/a/compensation/tasks/0"
    assert undo.inputs == placed.tasks[0].compensation.tasks[0].inputs


def test_key_given_twice_with_the_same_content_is_no_problem() -> None:
    task = a_call("a", effect="NONE")

    result = parse(a_workflow(task, metadata={"amends": {"tasks": {"a": {"effect": "NONE"}}}}))

    assert result.problems == ()


@pytest.mark.parametrize("document", [[], "text", 7, None, True, [{"name": "a"}]], ids=str)
def test_what_is_no_object_cannot_be_represented(document: Any) -> None:
    result = parse(document)

    assert result.definition is None
    assert [(problem.code, problem.path) for problem in result.problems] == [("FORMAT", "")]


def test_inline_definition_may_be_empty() -> None:
    assert parse({"name": "a", "tasks": []}, inline=True).problems == ()
    assert parse({"name": "a"}, inline=True).problems == ()


def nested(depth: int) -> Document:
    """Build a document with an input nested as deep as asked for, all levels counted."""
    value: Any = 1
    for _ in range(depth - 4):
        value = [value]
    return a_workflow(a_noop("a", x=value))


def test_document_may_be_nested_fifty_deep_and_no_deeper() -> None:
    assert parse(nested(50)).problems == ()
    assert parse(nested(51)).definition is None
    deep = parse(nested(100_000))
    assert [problem.code for problem in deep.problems] == ["FORMAT"]


def test_more_tasks_than_can_be_handled_are_refused() -> None:
    result = parse(a_workflow(*[a_noop(str(number)) for number in range(10_001)]))

    assert result.definition is None
    assert [problem.code for problem in result.problems] == ["FORMAT"]


def test_long_text_that_is_no_expression_is_fine() -> None:
    assert parse(a_workflow(a_noop("a", text="x" * 100_000))).problems == ()
    assert parse(a_workflow(a_noop("a", expression="x" * 9_000))).problems != ()


def test_huge_numbers_are_refused_in_words() -> None:
    document = json.loads(json.dumps(a_workflow(a_noop("a"), version=10**300)))

    [problem] = parse(document).problems

    assert problem.path == "/version"


def test_registered_task_template_gives_what_a_task_lacks() -> None:
    task = a_call("a") | {"inputParameters": {}}
    template = {"http_request": {"uri": "https://shop.example", "method": "GET"}}

    assert [problem.code for problem in parse(a_workflow(task)).problems] == ["CONDUCTOR"]
    assert parse(a_workflow(task), task_templates={"a": template}).problems == ()


def test_task_given_as_data_is_read_with_its_saga_keys() -> None:
    step, problems = parse_task(a_reversible("item"), "/tasks/3")

    assert problems == ()
    assert step is not None
    assert (step.reference, step.path) == ("item", "/tasks/3")
    assert step.compensation is not None


@pytest.mark.parametrize(
    ("task", "code", "path"),
    [
        (5, "CONDUCTOR", "/x"),
        (a_noop("a") | {"effect": "MAYBE"}, "FORMAT", "/x/effect"),
        ({"name": "a", "type": "NOOP"}, "CONDUCTOR", "/x"),
        (a_noop("a") | {"type": "EVENT"}, "CONDUCTOR", "/x"),
        (a_noop("a", deep=nested(60)), "FORMAT", "/x"),
    ],
    ids=range(5),
)
def test_broken_task_given_as_data_is_told(task: Any, code: str, path: str) -> None:
    _, problems = parse_task(task, "/x")

    [problem] = problems
    assert problem.code == code
    assert problem.path.startswith(path)


def test_reference_may_be_used_again_inside_an_inline_child() -> None:
    child = a_child("a", "inner")
    child["subWorkflowParam"]["workflowDefinition"] = a_workflow(a_noop("a"))

    assert parse(a_workflow(child)).problems == ()


def test_expressions_of_an_undo_may_read_what_only_it_has() -> None:
    reads = a_call(
        "back",
        inputParameters={
            "http_request": {"uri": "${compensation.reason}", "method": "${a.output.method}"}
        },
    )
    document = a_workflow(a_reversible("a", {"tasks": [reads]}), saga={})

    assert parse(document).problems == ()
    document["tasks"].append(a_noop("b", x="${compensation.reason}"))
    assert [problem.path for problem in parse(document).problems] == ["/tasks/1/inputParameters/x"]


def test_scripts_to_check_are_listed_with_their_places() -> None:
    switch = {
        "name": "s",
        "taskReferenceName": "s",
        "type": "SWITCH",
        "evaluatorType": "javascript",
        "expression": "$.a",
        "decisionCases": {"x": [a_noop("in_x")]},
    }
    by_value = switch | {"taskReferenceName": "v", "evaluatorType": "value-param"}
    by_value["decisionCases"] = {"x": [a_noop("in_v")]}
    asked = {"approvalIf": {"evaluatorType": "javascript", "expression": "$.b"}}
    document = a_workflow(
        switch,
        by_value,
        *a_fork("f", [a_reversible("a", asked | {"policy": "APPROVAL_IF"})], [a_noop("b")]),
        saga={
            "confirmPlan": {"evaluatorType": "javascript", "expression": "$.c"},
            "triggers": [{"event": "conductor:x", "condition": "$.d"}],
        },
    )

    assert [
        (place.path, place.reference, place.expression)
        for place in scripts_of(definition_of(document))
    ] == [
        ("/saga/confirmPlan/expression", "", "$.c"),
        ("/saga/triggers/0/condition", "", "$.d"),
        ("/tasks/0/expression", "s", "$.a"),
        ("/tasks/2/forkTasks/0/0/compensation/approvalIf/expression", "a", "$.b"),
    ]
