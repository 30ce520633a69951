"""Registering definitions: numbers, content, rights, locks and what is written down."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission as PermissionRow
from django.contrib.auth.models import User

from orchestrator.access import policy
from orchestrator.access.errors import Forbidden, NotFound
from orchestrator.access.permissions import Permission
from orchestrator.audit.models import AuditEntry
from orchestrator.models import Rollout, TaskDefinition, Workflow, WorkflowVersion
from orchestrator.services import validating, versions
from orchestrator.services.errors import Conflict, Invalid
from tests.integration.api.conftest import make_execution


def a_task(reference: str = "only", **fields: Any) -> dict[str, Any]:
    return {"name": reference, "taskReferenceName": reference, "type": "NOOP", **fields}


def a_definition(name: str = "orders", **fields: Any) -> dict[str, Any]:
    return {"name": name, "version": 1, "schemaVersion": 2, "tasks": [a_task()], **fields}


def a_saga(name: str = "orders", *tasks: dict[str, Any]) -> dict[str, Any]:
    return a_definition(name, saga={}, tasks=list(tasks) or [a_task()])


def a_step_with_undo(reference: str) -> dict[str, Any]:
    undo = {
        "name": f"undo_{reference}",
        "taskReferenceName": f"undo_{reference}",
        "type": "SIMPLE",
    }
    return {
        "name": reference,
        "taskReferenceName": reference,
        "type": "SIMPLE",
        "effect": "REVERSIBLE",
        "compensation": {"tasks": [undo], "safeIfNotApplied": True},
    }


def a_call(reference: str, child: str, **param: Any) -> dict[str, Any]:
    return {
        "name": reference,
        "taskReferenceName": reference,
        "type": "SUB_WORKFLOW",
        "subWorkflowParam": {"name": child, **param},
    }


def numbers(name: str) -> list[int | None]:
    return list(
        WorkflowVersion.objects.filter(workflow__name=name)
        .order_by("number")
        .values_list("number", flat=True)
    )


def actions() -> list[str]:
    return list(AuditEntry.objects.order_by("seq").values_list("action", flat=True))


@pytest.fixture
def creator(make_user: Callable[[str], User]) -> User:
    user = make_user("creator")
    user.user_permissions.add(PermissionRow.objects.get(codename="create_workflow"))
    return user


def test_the_creator_becomes_admin_and_both_acts_are_written_down(creator: User) -> None:
    registered = versions.register(actor=creator, document=a_definition(), note="first")

    assert (registered.version.number, registered.created) == (1, True)
    workflow = Workflow.objects.get(name="orders")
    assert policy.can(creator, Permission.CHANGE_GRANTS, workflow)
    assert actions() == ["workflow.create", "workflow.publish"]
    assert AuditEntry.objects.get(action="workflow.publish").reason == "first"


def test_without_the_right_nothing_is_created(make_user: Callable[[str], User]) -> None:
    with pytest.raises(Forbidden):
        versions.register(actor=make_user("nobody"), document=a_definition())

    assert not Workflow.objects.exists()
    assert actions() == []


@pytest.mark.parametrize(("role", "error"), [("editor", Forbidden), ("", NotFound)])
def test_publishing_needs_its_right(
    make_user: Callable[[str], User],
    give_role: Callable[..., bool],
    role: str,
    error: type[Exception],
) -> None:
    version = versions.register(actor=None, document=a_definition()).version
    user = make_user("other")
    if role:
        give_role(user, role, version.workflow)

    with pytest.raises(error):
        versions.register(actor=user, document=a_definition(description="mine"))

    assert WorkflowVersion.objects.get().checksum == version.checksum


def test_the_same_content_changes_nothing(db: None) -> None:
    first = versions.register(actor=None, document=a_definition())
    again = versions.register(actor=None, document=a_definition(createTime=5, updatedBy="somebody"))

    assert (again.version.pk, again.created) == (first.version.pk, False)
    assert actions() == ["workflow.create", "workflow.publish"]


def test_an_unstarted_version_is_replaced(db: None) -> None:
    first = versions.register(actor=None, document=a_definition()).version
    second = versions.register(actor=None, document=a_definition(description="new")).version

    assert numbers("orders") == [1]
    assert second.pk != first.pk
    assert second.checksum != first.checksum


def test_a_started_version_stays_and_the_content_gets_the_next_number(db: None) -> None:
    first = versions.register(actor=None, document=a_definition()).version
    make_execution(first.workflow)
    changed = a_definition(description="new")

    second = versions.register(actor=None, document=changed)
    third = versions.register(actor=None, document=changed)

    assert (second.version.number, second.created) == (2, True)
    assert second.version.document["version"] == 2
    assert (third.version.pk, third.created) == (second.version.pk, False)
    assert WorkflowVersion.objects.get(number=1).checksum == first.checksum


def test_no_overwrite_refuses_a_number_that_exists(db: None) -> None:
    versions.register(actor=None, document=a_definition())

    with pytest.raises(Conflict):
        versions.register(actor=None, document=a_definition(), overwrite=False)

    created = versions.register(
        actor=None, document=a_definition(version=4), overwrite=False
    ).version
    assert created.number == 4
    assert numbers("orders") == [1, 4]


def test_errors_block_and_leave_nothing(db: None) -> None:
    outside = {"name": "call", "taskReferenceName": "call", "type": "HTTP"}
    request = {"http_request": {"uri": "http://x.example/", "method": "POST"}}

    with pytest.raises(Invalid) as refused:
        versions.register(
            actor=None, document=a_saga("orders", {**outside, "inputParameters": request})
        )

    assert {problem["code"] for problem in refused.value.problems} >= {"E1"}
    assert not Workflow.objects.exists()
    assert actions() == []


@pytest.mark.parametrize("document", [None, [], "text", 7, {}, {"name": 5, "tasks": []}])
def test_a_document_of_the_wrong_shape_is_invalid(db: None, document: Any) -> None:
    with pytest.raises(Invalid) as refused:
        versions.register(actor=None, document=document)

    assert refused.value.problems
    assert not Workflow.objects.exists()


def test_a_script_that_is_no_javascript_is_named_with_its_place(db: None) -> None:
    switch = {
        "name": "which",
        "taskReferenceName": "which",
        "type": "SWITCH",
        "evaluatorType": "javascript",
        "expression": "if (",
        "decisionCases": {"a": [a_task("inner")]},
    }

    problems = validating.validate(document=a_definition(tasks=[switch]))["problems"]

    assert [(row["code"], row["path"]) for row in problems] == [
        ("CONDUCTOR", "/tasks/0/expression")
    ]


def test_the_lock_names_the_stable_child(db: None) -> None:
    """Invariant 45."""
    for number in (1, 2, 3):
        versions.register(actor=None, document=a_definition("child", version=number))
    Rollout.objects.create(workflow=Workflow.objects.get(name="child"), stable=2)

    saga = versions.register(
        actor=None,
        document=a_saga("parent", a_call("a", "child"), a_call("b", "child", version=3)),
    ).version
    plain = versions.register(
        actor=None, document=a_definition("plain", tasks=[a_call("a", "child")])
    ).version

    assert (saga.kind, saga.lock) == ("SAGA", {"child": 2})
    assert (plain.kind, plain.lock) == ("PLAIN", {})


def test_undo_of_a_child_counts_as_undo_of_the_parent(db: None) -> None:
    child = versions.register(
        actor=None, document=a_saga("child", a_step_with_undo("book"))
    ).version
    parent = versions.register(
        actor=None, document=a_saga("parent", a_call("sub", "child"))
    ).version
    bare = versions.register(actor=None, document=a_saga("bare")).version

    assert [row.has_undo for row in (child, parent, bare)] == [True, True, False]


def test_missing_children_and_endless_sagas_are_errors(db: None) -> None:
    versions.register(actor=None, document=a_saga("inner", a_task()))
    versions.register(actor=None, document=a_saga("outer", a_call("c", "inner")))

    missing = validating.validate(document=a_saga("x", a_call("c", "nosuch")))["problems"]
    itself = validating.validate(document=a_saga("x", a_call("c", "x")))["problems"]
    through = validating.validate(document=a_saga("inner", a_call("c", "outer")))["problems"]

    for problems in (missing, itself, through):
        assert {row["code"] for row in problems if row["severity"] == "error"} == {"E10"}


def test_registered_templates_fill_what_a_task_need_not_say(db: None) -> None:
    TaskDefinition.objects.create(
        name="call",
        document={
            "name": "call",
            "inputTemplate": {"http_request": {"uri": "http://x.example/", "method": "GET"}},
        },
    )
    task = {"name": "call", "taskReferenceName": "call", "type": "HTTP", "inputParameters": {}}

    assert validating.validate(document=a_definition(tasks=[task]))["problems"] == []


def test_resolving(db: None) -> None:
    for number in (1, 2):
        versions.register(actor=None, document=a_definition(version=number))
    workflow = Workflow.objects.get(name="orders")

    assert versions.resolve("orders").number == 2
    assert versions.resolve("orders", 0).number == 2
    assert versions.resolve("orders", 1).number == 1
    Rollout.objects.create(workflow=workflow, stable=1)
    assert versions.resolve("orders").number == 1
    with pytest.raises(NotFound):
        versions.resolve("orders", 9)
    with pytest.raises(NotFound):
        versions.resolve("nosuch")


def test_a_deleted_version_is_hidden_and_can_come_back(db: None) -> None:
    first = versions.register(actor=None, document=a_definition()).version
    make_execution(first.workflow)

    versions.delete_version(actor=None, name="orders", number=1)

    with pytest.raises(NotFound):
        versions.resolve("orders")
    with pytest.raises(NotFound):
        versions.delete_version(actor=None, name="orders", number=1)
    other = versions.register(actor=None, document=a_definition(description="other")).version
    again = versions.register(actor=None, document=a_definition()).version
    assert (other.number, again.pk) == (2, first.pk)


def test_inline_definitions_are_stored_once(creator: User) -> None:
    first = versions.inline_version(actor=creator, document=a_definition("loose"))
    again = versions.inline_version(actor=creator, document=a_definition("loose"))
    other = versions.inline_version(actor=creator, document=a_definition("loose", version=2))

    assert first.number is None
    assert again.pk == first.pk
    assert other.pk != first.pk
    workflow = Workflow.objects.get()
    assert not workflow.is_listed
    assert policy.can(creator, Permission.START_EXECUTION, workflow)
    with pytest.raises(NotFound):
        versions.resolve("loose")


def test_an_inline_saga_follows_its_children(db: None) -> None:
    versions.register(actor=None, document=a_definition("child"))
    document = a_saga("loose", a_call("c", "child"))
    first = versions.inline_version(actor=None, document=document)
    versions.register(actor=None, document=a_definition("child", version=2))

    second = versions.inline_version(actor=None, document=document)

    assert (first.lock, second.lock) == ({"child": 1}, {"child": 2})


def test_inline_needs_the_right_to_start_there(
    creator: User, make_user: Callable[[str], User], give_role: Callable[..., bool]
) -> None:
    version = versions.register(actor=None, document=a_definition()).version
    viewer = make_user("viewer")
    give_role(viewer, "viewer", version.workflow)

    with pytest.raises(NotFound):
        versions.inline_version(actor=creator, document=a_definition())
    with pytest.raises(Forbidden):
        versions.inline_version(actor=viewer, document=a_definition())
    with pytest.raises(Forbidden):
        versions.inline_version(actor=viewer, document=a_definition("new"))
    assert WorkflowVersion.objects.count() == 1


def test_registering_lists_the_home_of_an_inline_definition(creator: User) -> None:
    versions.inline_version(actor=creator, document=a_definition("loose"))

    versions.register(actor=creator, document=a_definition("loose"))

    assert Workflow.objects.get().is_listed
    assert versions.resolve("loose").number == 1


def test_samples_are_kept_until_others_are_given(db: None) -> None:
    samples: list[dict[str, Any]] = [{"name": "happy", "input": {"n": 1}}]
    versions.register(actor=None, document=a_definition(), samples=samples)
    versions.register(actor=None, document=a_definition(version=2))

    assert Workflow.objects.get().samples == samples


def test_a_child_that_comes_inline_lives_with_its_parent(db: None) -> None:
    parent = versions.register(actor=None, document=a_definition("parent")).version
    versions.register(actor=None, document=a_definition("others"))

    first = versions.inline_child_locked(parent_name="parent", document=a_definition("others"))
    again = versions.inline_child_locked(parent_name="parent", document=a_definition("others"))

    assert (first.workflow_id, first.number) == (parent.workflow_id, None)
    assert again.pk == first.pk
    assert first.document["name"] == "others"


def test_an_unusable_child_says_why(db: None) -> None:
    versions.register(actor=None, document=a_definition("parent"))
    document = a_definition("child", tasks=[a_task(), a_task()])

    with pytest.raises(versions.UnusableDefinition, match="only"):
        versions.inline_child_locked(parent_name="parent", document=document)


def test_floor_of_coverage_is_the_organisations(db: None, settings: Any) -> None:
    undo = {"tasks": [a_task("undo_a")], "safeIfNotApplied": True}
    timed = {"taskDefinition": {"timeoutSeconds": 9, "retryCount": 0}}
    kept = {**a_task("a"), **timed, "effect": "REVERSIBLE", "compensation": undo}
    lost = {**a_task("b"), **timed, "effect": "IRREVERSIBLE"}

    def codes() -> list[str]:
        found = validating.validate(document=a_saga("x", kept, lost))
        return [problem["code"] for problem in found["problems"]]

    assert codes() == []
    settings.AMENDS_COVERAGE_FLOOR = 0.75
    assert codes() == ["W12"]


def test_waived_warning_is_stored_with_its_reason(db: None) -> None:
    lost = {**a_task("b"), "type": "SIMPLE", "effect": "IRREVERSIBLE"}
    document = a_saga("x", lost)
    document["saga"] = {
        "waive": [
            {"code": "W12", "reason": "letters only"},
            {"code": "W3", "taskReferenceName": "b", "reason": "a person answers"},
        ]
    }

    version = versions.register(actor=None, document=document).version

    told = {problem["code"]: problem["waived"] for problem in version.problems}
    assert told == {"W12": "letters only", "W3": "a person answers"}
