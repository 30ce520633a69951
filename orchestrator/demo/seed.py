"""Set the demo up: people, groups, a key, the workflows, and who may do what with them."""

from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import Group, Permission, User
from django.db import transaction

from orchestrator.access.grants import grants_of
from orchestrator.access.permissions import GlobalPermission
from orchestrator.access.roles import Role
from orchestrator.demo import catalogue
from orchestrator.demo.catalogue import DemoWorkflow, Sample
from orchestrator.services import accounts, grants, versions
from orchestrator.services.errors import NotFound

PASSWORD = "demo"  # noqa: S105  # everybody's, on a server that refuses to leave this machine
KEY_ID = "demo-key"
KEY_SECRET = "demo-secret"  # noqa: S105  # likewise

PEOPLE = ("admin", "editor", "publisher", "operator", "approver", "approver2", "viewer")
GROUPS = {"finance": ("approver", "approver2"), "finance-leads": ("admin",)}
CREATORS = ("admin", "editor", "publisher", KEY_ID)
ROLES = {
    "admin": Role.ADMIN,
    "editor": Role.EDITOR,
    "publisher": Role.PUBLISHER,
    "operator": Role.OPERATOR,
    "approver": Role.APPROVER,
    "approver2": Role.APPROVER,
    "viewer": Role.VIEWER,
    KEY_ID: Role.ADMIN,
}
GROUP_ROLES = {"finance": Role.APPROVER}


@dataclass(frozen=True, slots=True, kw_only=True)
class Seeded:
    """What one call found missing and made."""

    people: tuple[str, ...]
    workflows: tuple[str, ...]


def seed() -> Seeded:
    """Make whatever of the demo is missing; what is there already keeps what people made of it."""
    people = _make_people()
    accounts.ensure_service_account(name=KEY_ID, key_id=KEY_ID, secret=KEY_SECRET)
    _let_create()
    made = tuple(workflow.name for workflow in catalogue.workflows() if _publish(workflow))
    return Seeded(people=people, workflows=made)


@transaction.atomic
def _make_people() -> tuple[str, ...]:
    made = tuple(name for name in PEOPLE if _make_person(name))
    for group_name, members in GROUPS.items():
        group, is_new = Group.objects.get_or_create(name=group_name)
        if is_new:
            group.user_set.add(*User.objects.filter(username__in=members))
    return made


def _make_person(name: str) -> bool:
    if User.objects.filter(username=name).exists():
        return False
    is_admin = name == "admin"
    person = User(
        username=name,
        email=f"{name}@example.com",
        is_superuser=is_admin,
        is_staff=is_admin,
    )
    person.set_password(PASSWORD)
    person.save()
    return True


@transaction.atomic
def _let_create() -> None:
    right = Permission.objects.get(
        content_type__app_label="orchestrator", codename=GlobalPermission.CREATE_WORKFLOW.value
    )
    for person in User.objects.filter(username__in=CREATORS):
        person.user_permissions.add(right)


def _publish(workflow: DemoWorkflow) -> bool:
    """Publish a workflow that nobody has made yet, and say who may do what with it."""
    is_missing = not _exists(workflow.name)
    if is_missing:
        versions.register(
            # The key publishes: a person would then be barred from deciding about its undos.
            actor=User.objects.get(username=KEY_ID),
            document=dict(workflow.document),
            note="Demo",
            samples=[_public(sample) for sample in workflow.samples],
        )
    _give_roles(workflow.name)
    return is_missing


def _exists(name: str) -> bool:
    try:
        versions.find_workflow(name)
    except NotFound:
        return False
    return True


def _public(sample: Sample) -> dict[str, Any]:
    return {
        "name": sample.name,
        "description": sample.description,
        "input": dict(sample.input),
    }


def _give_roles(name: str) -> None:
    # More than the creator's own role: somebody decided about it already, maybe differently. Not
    # more also after a seeding that died between publishing and here.
    if len(grants_of(versions.find_workflow(name))) > 1:
        return
    wanted = [{"user": user, "role": role.value} for user, role in ROLES.items()]
    wanted += [{"group": group, "role": role.value} for group, role in GROUP_ROLES.items()]
    grants.change_grants(actor=None, workflow_name=name, wanted=wanted)
