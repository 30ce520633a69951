"""Give and take roles on a workflow; the rows that rights are read from follow.

All of it runs inside the caller's transaction. Roles are what people give, guardian's rows are
what is asked: they are written together, and `sync` writes them anew when the table of roles
changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.contrib.auth.models import Permission as PermissionRow
from django.db import transaction

from orchestrator.access.permissions import Permission
from orchestrator.access.roles import Role, permissions_of_roles
from orchestrator.access.rows import group_rows, role_model, user_rows, workflow_model
from orchestrator.audit import log

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from django.contrib.auth.models import User

    from orchestrator.models import Workflow


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A role of one user or one group."""

    role: Role
    user_id: int | None = None
    group_id: int | None = None
    name: str = ""
    row_id: int | None = None

    @property
    def public(self) -> dict[str, str]:
        """The shape of the API: `{"user"|"group": name, "role": role}`."""
        kind = "user" if self.user_id is not None else "group"
        return {kind: self.name, "role": self.role.value}

    @property
    def key(self) -> tuple[int | None, int | None, Role]:
        """What makes two grants the same."""
        return (self.user_id, self.group_id, self.role)


def grants_of(workflow: Workflow) -> tuple[Grant, ...]:
    """Return the roles given on a workflow, in the order in which they were given."""
    rows = role_model().objects.filter(workflow_id=workflow.pk).order_by("id")
    return tuple(
        Grant(
            role=Role(role),
            user_id=user_id,
            group_id=group_id,
            name=username or group_name or "",
            row_id=pk,
        )
        for pk, role, user_id, group_id, username, group_name in rows.values_list(
            "pk", "role", "user_id", "group_id", "user__username", "group__name"
        )
    )


def give(actor: User | None, workflow: Workflow, grant: Grant) -> bool:
    """Give one role; safe to call twice. Audited when it changes anything."""
    before = _locked(workflow)
    if grant.key in {each.key for each in before}:
        return False
    _write(actor, workflow, before, (*before, grant))
    return True


def take(actor: User | None, workflow: Workflow, grant: Grant) -> bool:
    """Take one role away, unless that would leave the workflow without an admin."""
    before = _locked(workflow)
    after = tuple(each for each in before if each.key != grant.key)
    return _write(actor, workflow, before, _with_an_admin(actor, before, after))


def replace(actor: User | None, workflow: Workflow, wanted: Sequence[Grant]) -> tuple[Grant, ...]:
    """Make the roles on a workflow exactly these; only the last admin stays in any case."""
    before = _locked(workflow)
    unique = tuple({grant.key: grant for grant in wanted}.values())
    after = _with_an_admin(actor, before, unique)
    _write(actor, workflow, before, after)
    return grants_of(workflow)


def make_admin(creator: User, workflow: Workflow) -> None:
    """Give the creator of a workflow the role admin; part of creating it, so no act of its own."""
    role_model().objects.create(workflow_id=workflow.pk, user_id=creator.pk, role=Role.ADMIN.value)
    write_rows(workflow.pk)


def sync() -> int:
    """Write the rows of every workflow anew from the table of roles; return how many changed."""
    changed = 0
    for workflow_id in workflow_model().objects.order_by("pk").values_list("pk", flat=True):
        with transaction.atomic():
            changed += write_rows(workflow_id)
    return changed


def write_rows(workflow_id: int) -> int:
    """Bring guardian's rows of one workflow in step with its roles; return how many changed."""
    users: dict[int, set[Role]] = {}
    groups: dict[int, set[Role]] = {}
    for row in role_model().objects.filter(workflow_id=workflow_id):
        if row.user_id is not None:
            users.setdefault(row.user_id, set()).add(Role(row.role))
        elif row.group_id is not None:
            groups.setdefault(row.group_id, set()).add(Role(row.role))
    ids = _permission_ids()
    return _align(user_rows(), "user_id", workflow_id, _wanted(users, ids)) + _align(
        group_rows(), "group_id", workflow_id, _wanted(groups, ids)
    )


def _locked(workflow: Workflow) -> tuple[Grant, ...]:
    """Lock the workflow, so that two changes of its grants cannot both take the last admin."""
    workflow_model().objects.select_for_update().only("pk").get(pk=workflow.pk)
    return grants_of(workflow)


def _with_an_admin(
    actor: User | None, before: Iterable[Grant], after: tuple[Grant, ...]
) -> tuple[Grant, ...]:
    if any(grant.role is Role.ADMIN for grant in after):
        return after
    admins = [grant for grant in before if grant.role is Role.ADMIN]
    if not admins:
        return after
    own = [grant for grant in admins if actor is not None and grant.user_id == actor.pk]
    return ((own or admins)[0], *after)


def _write(
    actor: User | None, workflow: Workflow, before: tuple[Grant, ...], after: tuple[Grant, ...]
) -> bool:
    held = {grant.key: grant for grant in before}
    wanted = {grant.key: grant for grant in after}
    if held.keys() == wanted.keys():
        return False
    model = role_model()
    gone = [grant.row_id for grant in before if grant.key not in wanted and grant.row_id]
    model.objects.filter(pk__in=gone).delete()
    model.objects.bulk_create(
        model(
            workflow_id=workflow.pk,
            user_id=grant.user_id,
            group_id=grant.group_id,
            role=grant.role.value,
        )
        for key, grant in wanted.items()
        if key not in held
    )
    write_rows(workflow.pk)
    log.record(
        "grants.change",
        workflow.name,
        actor,
        workflow=workflow.name,
        changes={
            "given": [wanted[key].public for key in wanted if key not in held],
            "taken": [held[key].public for key in held if key not in wanted],
            "grants": [grant.public for grant in after],
        },
    )
    return True


def _permission_ids() -> dict[Permission, int]:
    rows = PermissionRow.objects.filter(
        content_type__app_label="orchestrator",
        content_type__model="workflow",
        codename__in=[each.value for each in Permission],
    )
    return {Permission(codename): pk for codename, pk in rows.values_list("codename", "pk")}


def _wanted(holders: dict[int, set[Role]], ids: dict[Permission, int]) -> set[tuple[int, int]]:
    return {
        (holder, ids[permission])
        for holder, roles in holders.items()
        for permission in permissions_of_roles(frozenset(roles))
    }


def _align(model, holder: str, workflow_id: int, wanted: set[tuple[int, int]]) -> int:  # type: ignore[no-untyped-def]  # two models, one shape
    rows = model.objects.filter(content_object_id=workflow_id)
    held = {(row[1], row[2]): row[0] for row in rows.values_list("pk", holder, "permission_id")}
    surplus = [pk for key, pk in held.items() if key not in wanted]
    missing = sorted(wanted - held.keys())
    if surplus:
        model.objects.filter(pk__in=surplus).delete()
    model.objects.bulk_create(
        model(content_object_id=workflow_id, permission_id=permission_id, **{holder: holder_id})
        for holder_id, permission_id in missing
    )
    return len(surplus) + len(missing)
