"""Every role against every right: allowed where the table says so, and nowhere else."""

import pytest
from django.db import transaction

from orchestrator.access import grants, policy
from orchestrator.access.errors import Forbidden, NotFound
from orchestrator.access.grants import Grant
from orchestrator.access.permissions import GlobalPermission, Permission
from orchestrator.access.roles import ROLE_PERMISSIONS, Role
from orchestrator.access.scoping import visible_to
from orchestrator.models import Workflow

# Written out a second time on purpose: a change of the table must be a change here.
MAY = {
    "viewer": {"view_workflow"},
    "operator": {
        "view_workflow",
        "start_execution",
        "control_execution",
        "cancel_execution",
        "compensate_execution",
        "settle_compensation",
        "report_task",
    },
    "approver": {"view_workflow", "approve_compensation"},
    "editor": {"view_workflow", "edit_draft", "simulate_workflow"},
    "publisher": {
        "view_workflow",
        "edit_draft",
        "simulate_workflow",
        "publish_version",
        "change_rollout",
    },
    "admin": {permission.value for permission in Permission} - {"break_glass"},
    "break_glass": {"view_workflow", "break_glass"},
}


@pytest.mark.parametrize("role", list(Role))
def test_role_holds_exactly_its_rights(role, person, workflow, give, django_assert_num_queries):
    somebody = person("somebody")
    give(workflow, somebody, role)

    with django_assert_num_queries(1):
        held = policy.permissions_of(somebody, workflow)

    assert {permission.value for permission in held} == MAY[role.value]
    for permission in Permission:
        assert policy.can(somebody, permission, workflow).allowed is (permission in held)


@pytest.mark.parametrize("role", list(Role))
def test_role_on_another_workflow_gives_nothing_here(role, person, workflow, give):
    somebody = person("somebody")
    give(Workflow.objects.create(name="other"), somebody, role)

    assert policy.permissions_of(somebody, workflow) == frozenset()
    for permission in Permission:
        assert not policy.can(somebody, permission, workflow)
        with pytest.raises(NotFound):
            policy.require(somebody, permission, workflow)


@pytest.mark.parametrize("permission", list(Permission))
def test_who_sees_but_may_not_is_told_what_role_is_missing(permission, person, workflow, give):
    owner, viewer = person("owner"), person("viewer")
    give(workflow, owner, Role.ADMIN)
    give(workflow, viewer, Role.VIEWER)

    if permission is Permission.VIEW_WORKFLOW:
        policy.require(viewer, permission, workflow)
        return
    with pytest.raises(Forbidden) as refused:
        policy.require(viewer, permission, workflow)

    assert refused.value.details == {"permission": permission.value, "ask": ["owner"]}
    assert refused.value.message.endswith("Ask owner.")
    assert policy.can(viewer, permission, workflow).ask == ("owner",)


def test_superuser_holds_every_right(person, workflow):
    root = person("root", superuser=True)

    assert policy.permissions_of(root, workflow) == frozenset(Permission)
    assert policy.can(root, Permission.BREAK_GLASS, workflow).reason == "You are a superuser."


def test_deactivated_people_hold_nothing(person, workflow, give):
    somebody, root = person("somebody"), person("root", superuser=True)
    give(workflow, somebody, Role.ADMIN)
    for user in (somebody, root):
        user.is_active = False
        user.save()

    for user in (somebody, root):
        assert policy.permissions_of(user, workflow) == frozenset()
        assert list(visible_to(user, Workflow.objects.all(), path="pk")) == []
        assert not policy.holds(user, GlobalPermission.CREATE_WORKFLOW)


def test_the_system_may_everything(workflow):
    policy.require(None, Permission.DELETE_WORKFLOW, workflow)
    assert policy.holds(None, GlobalPermission.READ_AUDIT)


def test_group_gives_its_members_the_role_until_they_leave(person, workflow):
    member = person("member", "finance")
    group = member.groups.get()
    with transaction.atomic():
        grants.give(None, workflow, Grant(role=Role.APPROVER, group_id=group.pk, name="finance"))

    answer = policy.can(member, Permission.APPROVE_COMPENSATION, workflow)
    assert (answer.allowed, answer.because) == (
        True,
        "You have the role approver through the group finance.",
    )
    member.groups.clear()
    assert not policy.can(member, Permission.APPROVE_COMPENSATION, workflow)


def test_lists_show_what_may_be_seen_with_one_query(
    person, workflow, give, django_assert_num_queries
):
    somebody = person("somebody", "ops")
    mine = Workflow.objects.create(name="mine")
    ours = Workflow.objects.create(name="ours")
    give(mine, somebody, Role.OPERATOR)
    with transaction.atomic():
        group_id = somebody.groups.get().pk
        grants.give(None, ours, Grant(role=Role.VIEWER, group_id=group_id, name="ops"))
        grants.give(None, mine, Grant(role=Role.VIEWER, group_id=group_id, name="ops"))

    with django_assert_num_queries(1):
        seen = list(visible_to(somebody, Workflow.objects.all(), path="pk"))
    startable = visible_to(somebody, Workflow.objects.all(), Permission.START_EXECUTION, "pk")

    assert [row.name for row in seen] == ["mine", "ours"]
    assert [row.name for row in startable] == ["mine"]


def test_rights_of_many_workflows_take_a_constant_number_of_queries(
    person, give, django_assert_num_queries
):
    somebody = person("somebody")
    rows = [Workflow.objects.create(name=f"w{index}") for index in range(7)]
    for row in rows:
        give(row, somebody, Role.EDITOR)

    with django_assert_num_queries(3):
        rights = policy.rights_by_workflow(somebody, [row.pk for row in rows])

    assert len(rights) == 7
    assert {(right.permission, right.because) for right in rights[rows[0].pk]} == {
        (permission, "You have the role editor.") for permission in ROLE_PERMISSIONS[Role.EDITOR]
    }
