"""The rules at publish where they must hold back, and where several things meet."""

from dataclasses import replace
from typing import Any

import pytest

from orchestrator.engine.definition.document import parse
from orchestrator.engine.definition.model import TaskPolicy
from orchestrator.engine.definition.validation.check import (
    check,
    has_effects,
    has_undo,
    needed_children,
    needed_groups,
    unconditional_children,
)
from orchestrator.engine.definition.validation.facts import ChildFacts, Facts
from orchestrator.engine.definition.validation.schemas import lacks
from tests.unit.engine.definition.samples import (
    FACTS,
    Document,
    a_call,
    a_child,
    a_fork,
    a_loop,
    a_noop,
    a_reversible,
    a_workflow,
)


def codes(document: Document, facts: Facts = FACTS) -> list[str]:
    """Return the codes that the rules find in a document of the right shape."""
    result = parse(document)
    assert result.problems == ()
    assert result.definition is not None
    return [problem.code for problem in check(result.definition, facts)]


def a_saga(*tasks: Document, **saga: Any) -> Document:
    """Build a definition with saga checks."""
    return a_workflow(*tasks, saga=saga)


def a_switch(reference: str, *tasks: Document) -> Document:
    """Build a switch with one case."""
    return {
        "name": reference,
        "taskReferenceName": reference,
        "type": "SWITCH",
        "evaluatorType": "value-param",
        "expression": "case",
        "decisionCases": {"x": list(tasks)},
    }


def a_worker(reference: str, **keys: Any) -> Document:
    """Build a worker step that is timed."""
    policy = {"timeoutSeconds": 60, "retryCount": 0}
    task = {"name": reference, "taskReferenceName": reference, "type": "SIMPLE"}
    return task | {"taskDefinition": policy} | keys


@pytest.mark.parametrize(
    "kind", ["NOOP", "SET_VARIABLE", "HUMAN", "WAIT", "INLINE", "COMPENSATE", "START_WORKFLOW"]
)
def test_e1_step_that_stays_inside_needs_no_effect_class(kind: str) -> None:
    assert codes(a_saga(a_noop("a") | {"type": kind})) == []


@pytest.mark.parametrize("kind", ["SIMPLE", "MY_WORKER", "HTTP_POLL", "JDBC", "LLM_CHAT_COMPLETE"])
def test_e1_step_that_leaves_needs_one(kind: str) -> None:
    task = a_noop("a") | {"type": kind, "taskDefinition": {"timeoutSeconds": 9}}

    assert codes(a_saga(task)) == ["E1"]


def test_e2_reversible_child_may_undo_itself() -> None:
    child = a_child("c", "child", effect="REVERSIBLE")
    plain = replace(FACTS, children={("child", 1): ChildFacts()})

    assert codes(a_saga(child)) == []
    assert codes(a_saga(child), plain) == ["E2"]


def test_e2_reversible_loop_is_undone_by_its_rounds() -> None:
    assert codes(a_saga(a_loop("l", [a_reversible("a")], effect="REVERSIBLE"))) == []


def test_e5_extra_order_between_parallel_branches_is_fine() -> None:
    branches = a_fork("f", [a_reversible("a", {"after": ["b"]})], [a_reversible("b")])

    assert codes(a_saga(*branches)) == []


def test_e5_extra_order_that_says_what_holds_anyway_is_fine() -> None:
    assert codes(a_saga(a_reversible("a", {"after": ["b"]}), a_reversible("b"))) == []


def test_e5_undo_that_waits_for_itself_is_a_circle() -> None:
    assert codes(a_saga(a_reversible("a", {"after": ["a"]}))) == ["E5"]


def test_e5_two_branches_that_wait_for_each_other_are_a_circle() -> None:
    left, right = a_reversible("a", {"after": ["b"]}), a_reversible("b", {"after": ["a"]})

    assert codes(a_saga(*a_fork("f", [left], [right]))) == ["E5", "E5"]


def test_e5_undo_nobody_waits_for_may_wait_for_what_came_before() -> None:
    late = a_reversible("b", {"after": ["a"], "independent": True})

    assert codes(a_saga(a_reversible("a"), late)) == []


def test_e5_waiting_for_a_step_without_undo_closes_no_circle() -> None:
    assert codes(a_saga(a_noop("a"), a_reversible("b", {"after": ["a"]}))) == []


def test_e5_circle_inside_a_loop_is_found() -> None:
    body = [a_reversible("a"), a_noop("n"), a_reversible("b", {"after": ["a"]})]

    assert codes(a_saga(a_loop("l", body))) == ["E5"]


def pivot(reference: str = "p") -> Document:
    """Build a pivot."""
    return a_call(reference, effect="PIVOT")


def test_e8_harmless_and_retriable_steps_may_follow_a_pivot() -> None:
    tasks = [pivot(), a_call("r", effect="RETRIABLE"), a_call("n", effect="NONE"), a_noop("x")]

    assert codes(a_saga(*tasks)) == []


def test_e8_step_beside_or_before_a_pivot_is_fine() -> None:
    tasks = [a_reversible("a"), *a_fork("f", [pivot()], [a_reversible("b")])]

    assert codes(a_saga(*tasks)) == []


def test_e8_pivot_in_one_case_reaches_what_comes_after_the_switch() -> None:
    assert codes(a_saga(a_switch("s", pivot()), a_reversible("a"))) == ["E8"]


def test_e8_savepoint_after_the_pivot_gives_a_way_back() -> None:
    tasks = [pivot(), a_noop("s") | {"savepoint": True}, a_reversible("a")]

    assert codes(a_saga(*tasks, onFailure="FORWARD", maxRetries=2)) == []


def test_e8_block_with_a_savepoint_of_its_own_gives_a_way_back() -> None:
    body = [a_noop("s") | {"savepoint": True}, a_reversible("a")]
    block = a_loop("l", body, saga={"onFailure": "FORWARD", "maxRetries": 1})

    assert codes(a_saga(pivot(), block)) == []


def test_e9_block_without_a_limit_is_told() -> None:
    block = a_loop("l", [a_reversible("a", savepoint=True)], saga={"onFailure": "FORWARD"})

    assert codes(a_saga(block, maxRetries=3)) == ["E9"]


def test_e7_publisher_does_not_count_where_he_may_not_decide() -> None:
    rule = {"policy": "APPROVAL", "approval": {"groups": ["leads"]}}
    document = a_saga(a_reversible("a", rule))

    assert codes(document, replace(FACTS, publisher="cy")) == ["E7"]
    assert codes(document, replace(FACTS, publisher="ada")) == []


def test_e7_without_groups_every_approver_counts() -> None:
    rule = {"policy": "APPROVAL", "approval": {"quorum": 2}}
    document = a_saga(a_reversible("a", rule))

    assert codes(document) == []
    assert codes(document, replace(FACTS, approvers=frozenset({"ada"}))) == ["E7"]


def test_e7_rule_that_is_not_used_is_not_checked() -> None:
    assert codes(a_saga(a_reversible("a", {"approval": {"groups": ["nobody"]}}))) == []


def test_e10_self_call_under_a_condition_is_fine() -> None:
    assert codes(a_saga(a_switch("s", a_child("me", "sample")))) == []


def test_e10_self_call_of_another_version_without_condition_is_told() -> None:
    child = a_child("me", "sample")
    child["subWorkflowParam"]["version"] = 7

    assert codes(a_saga(a_loop("l", [child]))) == ["E10"]


def test_e10_child_named_by_an_expression_is_not_checked() -> None:
    assert codes(a_saga(a_child("c", "${workflow.input.name}"))) == []


def test_e11_output_schema_of_the_child_is_used() -> None:
    undo = {"tasks": [a_noop("u", bad="${c.output.nosuch}", good="${c.output.id}")]}
    child = a_child("c", "child", effect="REVERSIBLE")
    child["compensation"] = undo | {"safeIfNotApplied": True}
    schema: Document = {"type": "object", "properties": {"id": {}}}
    known = ChildFacts(has_output_schema=True, output_schema=schema)

    assert codes(a_saga(child)) == ["E11", "E11"]
    assert codes(a_saga(child), replace(FACTS, children={("child", 1): known})) == ["E4"]


def test_registered_task_definitions_are_used() -> None:
    task = a_worker("call", effect="NONE")
    del task["taskDefinition"]
    registered = replace(FACTS, policies={"call": TaskPolicy(name="call", timeout_seconds=5)})

    assert codes(a_saga(task)) == ["W3"]
    assert codes(a_saga(task), registered) == []


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, []),
        ({"onUnknown": ["ASK"]}, ["W5"]),
        ({"onUnknown": ["PROBE", "ASK"], "probe": a_call("look")}, []),
        ({"onUnknown": ["PROBE", "ASK"]}, ["W5"]),
    ],
    ids=["undo is safe", "asks", "probed", "nothing to probe with"],
)
def test_w5_only_when_nothing_else_settles(keys: Document, expected: list[str]) -> None:
    assert codes(a_saga(a_loop("l", [a_reversible("a", **keys)]))) == expected


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"loopCondition": "$.l['iteration'] < 9"}, []),
        ({"loopCondition": "$.l.iteration <= $.most && $.more"}, []),
        ({"loopCondition": "9 > $.l['iteration']"}, []),
        ({"loopCondition": "$.more", "items": "${workflow.input.items}"}, []),
        ({"loopCondition": "$.iterations"}, ["W11"]),
        ({"loopCondition": "true"}, ["W11"]),
    ],
    ids=range(6),
)
def test_w11_loop_is_bounded_by_its_rounds_or_its_items(
    keys: Document, expected: list[str]
) -> None:
    assert codes(a_saga(a_loop("l", [a_reversible("a")]) | keys)) == expected


def test_w11_loop_without_effects_may_go_on() -> None:
    assert codes(a_saga(a_loop("l", [a_noop("a")], loopCondition="true"))) == []


def test_w1_last_irreversible_step_is_fine() -> None:
    mail = a_call("mail", effect="IRREVERSIBLE")

    assert codes(a_saga(a_reversible("a"), mail)) == []
    assert codes(a_saga(a_reversible("a"), mail, a_call("r", effect="RETRIABLE"))) == []


def test_waiver_for_one_step_leaves_the_others() -> None:
    waive = [{"code": "W8", "taskReferenceName": "payment_1", "reason": "Free of charge."}]
    document = a_saga(a_reversible("payment_1"), a_reversible("payment_2"), waive=waive)
    definition = parse(document).definition
    assert definition is not None

    found = check(definition, FACTS)

    assert [(problem.task_reference, problem.waived) for problem in found] == [
        ("payment_1", "Free of charge."),
        ("payment_2", ""),
    ]


def test_without_saga_no_warning_is_given() -> None:
    document = a_workflow(a_reversible("payment"), a_call("mail", effect="IRREVERSIBLE"))

    assert codes(document) == []


def test_plain_definition_has_conductors_rules_only() -> None:
    assert codes(a_workflow(a_call("call"), a_child("c", "missing"))) == []


def test_what_the_rules_want_to_know_is_named() -> None:
    rule = {
        "policy": "APPROVAL",
        "approval": {"groups": ["finance"], "escalation": [{"groups": ["leads"]}]},
    }
    start = a_noop("go", startWorkflow={"name": "started"}) | {"type": "START_WORKFLOW"}
    brings = a_child("brings", "inline")
    brings["subWorkflowParam"]["workflowDefinition"] = a_workflow(a_child("deep", "far"))
    document = a_saga(
        a_reversible("a", rule),
        start,
        brings,
        a_switch("s", a_child("b", "maybe")),
        a_child("c", "child"),
    )
    definition = parse(document).definition
    assert definition is not None

    assert needed_groups(definition) == {"finance", "leads"}
    assert needed_children(definition) == {
        ("started", None),
        ("far", 1),
        ("maybe", 1),
        ("child", 1),
    }
    assert unconditional_children(definition) == {"child", "far"}
    assert has_undo(definition)
    assert has_effects(definition)


@pytest.mark.parametrize(
    ("schema", "path", "expected"),
    [
        ({}, ("a", "b"), False),
        ({"type": "object"}, ("a",), False),
        ({"type": "string"}, ("a",), True),
        ({"type": ["object", "null"]}, ("a",), False),
        ({"properties": {"a": {}}}, ("a", "b"), False),
        ({"properties": {"a": {}}}, ("b",), True),
        ({"properties": {"a": {}}, "additionalProperties": True}, ("b",), False),
        ({"additionalProperties": False}, ("b",), True),
        ({"additionalProperties": {"type": "string"}}, ("b", "c"), True),
        ({"properties": {"a": {}}, "anyOf": []}, ("b",), False),
        ({"$ref": "#/$defs/x", "$defs": {"x": {"properties": {"a": {}}}}}, ("b",), True),
        ({"$ref": "#/$defs/x", "$defs": {"x": {"$ref": "#"}}}, ("b",), False),
        ({"$ref": "https://elsewhere.example/x"}, ("b",), False),
        ({"properties": {"a": False}}, ("a",), True),
        ({"properties": {"a": 5}}, ("a", "b"), False),
    ],
    ids=range(15),
)
def test_schema_lacks_a_path(schema: Document, path: tuple[str, ...], *, expected: bool) -> None:
    assert lacks(schema, path) is expected


def test_w4_approval_in_time_for_the_last_moment_is_fine() -> None:
    undo = {
        "policy": "APPROVAL",
        "approval": {"groups": ["finance"], "deadlineSeconds": 3600},
        "notBefore": {"at": "${workflow.input.stay}", "lead": "PT24H"},
        "notAfter": {"at": "${workflow.input.stay}"},
    }

    assert codes(a_saga(a_reversible("a", undo))) == []


@pytest.mark.parametrize(
    "undo",
    [
        {"notBefore": {"at": "${workflow.input.a}"}, "notAfter": {"at": "${workflow.input.b}"}},
        {"notBefore": {"at": "${workflow.input.a}"}},
        {"notAfter": {"at": "2027-01-01T00:00:00Z"}},
    ],
)
def test_w4_times_that_nobody_can_compare_are_left_alone(undo: Document) -> None:
    approval = {"policy": "APPROVAL", "approval": {"groups": ["finance"]}}

    assert codes(a_saga(a_reversible("a", undo | approval))) == []


def test_w5_probe_may_read_the_output_that_the_undo_does_not_need() -> None:
    probe = a_call(
        "look", inputParameters={"http_request": {"uri": "${a.output.u}", "method": "GET"}}
    )
    step = a_reversible("a", probe=probe, onUnknown=["COMPENSATE", "ASK"])

    assert codes(a_saga(a_loop("l", [step]))) == []


def test_w5_nobody_is_asked_about_an_optional_step() -> None:
    step = a_reversible("a", onUnknown=["ASK"])

    assert codes(a_saga(a_loop("l", [step]))) == ["W5"]
    assert codes(a_saga(a_loop("l", [step | {"optional": True}]))) == []


def test_w12_floor_is_a_setting_of_the_organisation() -> None:
    document = a_saga(a_reversible("a"), a_call("mail", effect="IRREVERSIBLE"))

    assert codes(document, replace(FACTS, coverage_floor=0.5)) == []
    assert codes(document, replace(FACTS, coverage_floor=0.6)) == ["W12"]
    assert codes(document, replace(FACTS, coverage_floor=0)) == []


def test_w12_counts_steps_that_only_their_undo_speaks_for() -> None:
    form = {
        "name": "form",
        "taskReferenceName": "form",
        "type": "HUMAN",
        "compensation": {"tasks": [a_call("unform")], "safeIfNotApplied": True},
    }

    assert codes(a_saga(form, a_call("mail", effect="IRREVERSIBLE"))) == []
