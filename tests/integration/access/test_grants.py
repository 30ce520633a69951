"""Giving and taking roles: rights follow at once, the last admin stays, all of it is audited."""

import json

import pytest
from django.db import transaction

from orchestrator.access import grants, policy
from orchestrator.access.grants import Grant
from orchestrator.access.permissions import Permission
from orchestrator.access.roles import Role
from orchestrator.audit.models import AuditEntry
from orchestrator.models import (
    Workflow,
    WorkflowGroupObjectPermission,
    WorkflowRole,
    WorkflowUserObjectPermission,
)
from orchestrator.services.errors import Forbidden, Invalid, NotFound
from orchestrator.services.grants import change_grants


def rows_of(workflow):
    """Everything that a change of grants could change."""
    return (
        list(WorkflowRole.objects.filter(workflow=workflow).order_by("id").values()),
        list(WorkflowUserObjectPermission.objects.order_by("id").values()),
        list(WorkflowGroupObjectPermission.objects.order_by("id").values()),
        AuditEntry.objects.count(),
    )


def test_replacing_gives_and_takes_at_once(person, workflow, give):
    owner, old, new = person("owner"), person("old"), person("new", "finance")
    give(workflow, owner, Role.ADMIN)
    give(workflow, old, Role.OPERATOR)

    after = change_grants(
        actor=owner,
        workflow_name="orders",
        wanted=[{"user": "new", "role": "editor"}, {"group": "finance", "role": "approver"}],
    )

    assert after == [
        {"user": "owner", "role": "admin"},
        {"user": "new", "role": "editor"},
        {"group": "finance", "role": "approver"},
    ]
    assert policy.permissions_of(old, workflow) == frozenset()
    assert Permission.EDIT_DRAFT in policy.permissions_of(new, workflow)
    assert Permission.APPROVE_COMPENSATION in policy.permissions_of(new, workflow)
    entry = AuditEntry.objects.get(action="grants.change", actor="owner")
    assert json.loads(entry.changes) == {
        "given": [
            {"user": "new", "role": "editor"},
            {"group": "finance", "role": "approver"},
        ],
        "taken": [{"user": "old", "role": "operator"}],
        "grants": after,
    }


def test_own_admin_role_stays_before_that_of_others(person, workflow, give):
    first, second = person("first"), person("second")
    give(workflow, first, Role.ADMIN)
    give(workflow, second, Role.ADMIN)

    after = change_grants(actor=second, workflow_name="orders", wanted=[])

    assert after == [{"user": "second", "role": "admin"}]


def test_another_admin_may_take_over(person, workflow, give):
    owner = person("owner")
    person("heir")
    give(workflow, owner, Role.ADMIN)

    after = change_grants(
        actor=owner, workflow_name="orders", wanted=[{"user": "heir", "role": "admin"}]
    )

    assert after == [{"user": "heir", "role": "admin"}]


def test_same_grants_again_change_nothing(person, workflow, give):
    owner = person("owner")
    give(workflow, owner, Role.ADMIN)
    before = rows_of(workflow)

    change_grants(actor=owner, workflow_name="orders", wanted=[{"user": "owner", "role": "admin"}])

    assert rows_of(workflow) == before


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.ADMIN])
def test_only_admins_change_grants(role, person, workflow, give):
    somebody = person("somebody")
    give(workflow, somebody, role)
    before = rows_of(workflow)

    with pytest.raises(Forbidden):
        change_grants(
            actor=somebody, workflow_name="orders", wanted=[{"user": "somebody", "role": "admin"}]
        )

    assert rows_of(workflow) == before


def test_for_strangers_there_is_no_such_workflow(person, workflow):
    stranger = person("stranger")
    before = rows_of(workflow)

    with pytest.raises(NotFound):
        change_grants(actor=stranger, workflow_name="orders", wanted=[])

    assert rows_of(workflow) == before


def test_admin_cannot_break_the_glass_by_granting_it(person, workflow, give):
    owner = person("owner")
    give(workflow, owner, Role.ADMIN)
    before = rows_of(workflow)

    with pytest.raises(Forbidden):
        change_grants(
            actor=owner, workflow_name="orders", wanted=[{"user": "owner", "role": "break_glass"}]
        )

    assert rows_of(workflow) == before


def test_superuser_grants_break_glass_and_an_admin_may_keep_it(person, workflow, give):
    root, owner = person("root", superuser=True), person("owner")
    give(workflow, owner, Role.ADMIN)
    wanted = [{"user": "owner", "role": "admin"}, {"user": "owner", "role": "break_glass"}]

    change_grants(actor=root, workflow_name="orders", wanted=wanted)
    after = change_grants(actor=owner, workflow_name="orders", wanted=wanted)

    assert after == wanted
    assert policy.can(owner, Permission.BREAK_GLASS, workflow)


def test_unknown_names_are_all_told_with_their_place(person, workflow):
    root = person("root", superuser=True)
    before = rows_of(workflow)

    with pytest.raises(Invalid) as refused:
        change_grants(
            actor=root,
            workflow_name="orders",
            wanted=[
                {"user": "root", "role": "viewer"},
                {"user": "nobody", "role": "viewer"},
                {"group": "none", "role": "viewer"},
                {"user": "root", "role": "emperor"},
                {"role": "viewer"},
            ],
        )

    assert [problem["path"] for problem in refused.value.problems] == [
        "/grants/1/user",
        "/grants/2/group",
        "/grants/3/role",
        "/grants/4/user",
    ]
    assert rows_of(workflow) == before


def test_sync_repairs_rows_that_do_not_follow_from_roles(person, workflow, give):
    somebody = person("somebody")
    give(workflow, somebody, Role.OPERATOR)
    right = WorkflowUserObjectPermission.objects.get(permission__codename="start_execution")
    admin_right = WorkflowUserObjectPermission.objects.get(permission__codename="report_task")
    right.delete()
    admin_right.permission_id = type(admin_right.permission).objects.get(codename="break_glass").pk
    admin_right.save()

    changed = grants.sync()

    assert changed == 3
    assert not policy.can(somebody, Permission.BREAK_GLASS, workflow)
    assert policy.can(somebody, Permission.START_EXECUTION, workflow)
    assert grants.sync() == 0


def test_grants_go_with_their_workflow(person, give):
    somebody, workflow = person("somebody"), Workflow.objects.create(name="short")
    give(workflow, somebody, Role.ADMIN)

    workflow.delete()

    assert WorkflowRole.objects.count() == 0
    assert WorkflowUserObjectPermission.objects.count() == 0


def test_taking_the_last_admin_away_is_not_done(person, workflow, give):
    owner = person("owner")
    give(workflow, owner, Role.ADMIN)

    with transaction.atomic():
        changed = grants.take(
            owner, workflow, Grant(role=Role.ADMIN, user_id=owner.pk, name="owner")
        )

    assert changed is False
    assert policy.can(owner, Permission.CHANGE_GRANTS, workflow)
