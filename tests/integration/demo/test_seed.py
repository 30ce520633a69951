"""Seeding the demo: who and what is there after it, and that a second time changes nothing."""

from io import StringIO

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command

from orchestrator.access import policy
from orchestrator.access.permissions import GlobalPermission, Permission
from orchestrator.audit.models import AuditEntry
from orchestrator.demo import catalogue, seed
from orchestrator.models import ApiKey, ServiceAccount, Workflow, WorkflowRole, WorkflowVersion

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def quick_hashes(settings):
    """Hash passwords in no time: each test makes seven people."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def seeded() -> seed.Seeded:
    """Seed an empty database."""
    return seed.seed()


def test_people_can_sign_in_and_only_admin_is_a_superuser(seeded):
    people = {user.username: user for user in User.objects.exclude(username="demo-key")}

    assert set(people) == set(seeded.people) == set(seed.PEOPLE)
    assert all(user.check_password("demo") for user in people.values())
    assert [name for name, user in people.items() if user.is_superuser] == ["admin"]


def test_groups_have_their_members(seeded):
    members = {
        group.name: sorted(group.user_set.values_list("username", flat=True))
        for group in Group.objects.all()
    }

    assert members == {"finance": ["approver", "approver2"], "finance-leads": ["admin"]}


def test_the_key_is_a_service_account_of_its_name(seeded):
    account = ServiceAccount.objects.get()

    assert account.user.username == "demo-key"
    assert ApiKey.objects.get().key_id == "demo-key"
    assert not account.user.is_superuser


def test_who_may_create_workflows(seeded):
    creators = {
        user.username
        for user in User.objects.all()
        if policy.holds(user, GlobalPermission.CREATE_WORKFLOW)
    }

    assert creators == {"admin", "editor", "publisher", "demo-key"}


def test_every_workflow_is_published_once_with_its_samples(seeded):
    versions = WorkflowVersion.objects.order_by("workflow__name")

    assert seeded.workflows == catalogue.NAMES
    assert list(versions.values_list("workflow__name", "number", "kind")) == [
        (name, 1, "SAGA") for name in sorted(catalogue.NAMES)
    ]
    for workflow in catalogue.workflows():
        kept = Workflow.objects.get(name=workflow.name).samples
        assert [sample["name"] for sample in kept] == [each.name for each in workflow.samples]
        assert set(kept[0]) == {"name", "description", "input"}


def test_sub_workflows_are_locked_to_their_first_version(seeded):
    lock = WorkflowVersion.objects.get(workflow__name="invoice_run").lock

    assert lock == {"invoice_item": 1}


def test_no_definition_has_an_error(seeded):
    for version in WorkflowVersion.objects.all():
        errors = [each for each in version.problems if each["severity"] == "error"]
        assert errors == [], version


def test_everybody_has_the_role_of_their_name(seeded):
    expected = {
        ("admin", None, "admin"),
        ("editor", None, "editor"),
        ("publisher", None, "publisher"),
        ("operator", None, "operator"),
        ("approver", None, "approver"),
        ("approver2", None, "approver"),
        ("viewer", None, "viewer"),
        ("demo-key", None, "admin"),
        (None, "finance", "approver"),
    }

    for name in catalogue.NAMES:
        roles = WorkflowRole.objects.filter(workflow__name=name)
        assert set(roles.values_list("user__username", "group__name", "role")) == expected


def test_second_time_changes_nothing(seeded):
    before = (User.objects.count(), WorkflowRole.objects.count(), AuditEntry.objects.count())

    again = seed.seed()

    assert again == seed.Seeded(people=(), workflows=())
    assert WorkflowVersion.objects.count() == len(catalogue.NAMES)
    assert ApiKey.objects.count() == 1
    assert before == (
        User.objects.count(),
        WorkflowRole.objects.count(),
        AuditEntry.objects.count(),
    )


def test_what_people_changed_stays(seeded):
    viewer = User.objects.get(username="viewer")
    viewer.set_password("something of my own")
    viewer.save()
    Group.objects.get(name="finance").user_set.clear()
    WorkflowRole.objects.filter(workflow__name="order_fulfilment", role="viewer").delete()

    seed.seed()

    viewer.refresh_from_db()
    assert viewer.check_password("something of my own")
    assert Group.objects.get(name="finance").user_set.count() == 0
    assert not WorkflowRole.objects.filter(
        workflow__name="order_fulfilment", role="viewer"
    ).exists()


def test_a_seeding_that_died_half_way_is_finished(seeded):
    key = User.objects.get(username="demo-key")
    WorkflowRole.objects.exclude(user=key).filter(workflow__name="travel_booking").delete()

    seed.seed()

    workflow = Workflow.objects.get(name="travel_booking")
    operator = User.objects.get(username="operator")
    assert WorkflowRole.objects.filter(workflow=workflow).count() == 9
    assert policy.can(operator, Permission.START_EXECUTION, workflow)


def test_command_says_what_it_made():
    first, second = StringIO(), StringIO()

    call_command("demo", stdout=first)
    call_command("demo", stdout=second)

    assert "API key: demo-key / demo-secret" in first.getvalue()
    assert "order_fulfilment" in first.getvalue()
    assert second.getvalue() == "The demo was there already; nothing changed.\n"
