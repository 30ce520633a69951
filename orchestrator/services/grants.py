"""Say who may do what on a workflow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib.auth.models import Group, User
from django.db import transaction

from orchestrator.access import grants as access_grants
from orchestrator.access import policy
from orchestrator.access.grants import Grant
from orchestrator.access.permissions import Permission
from orchestrator.access.roles import Role
from orchestrator.models import Workflow
from orchestrator.services.errors import Forbidden, Invalid, NotFound

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MOST_GRANTS = 1000


@transaction.atomic(durable=True)
def change_grants(
    *, actor: User | None, workflow_name: str, wanted: Sequence[Mapping[str, str]]
) -> list[dict[str, str]]:
    """Make the roles on a workflow exactly these, each `{"user"|"group": name, "role": role}`.

    Only the last admin stays even when not named. Returns the roles as they are then.

    Raises:
        Forbidden: The actor may not change grants, or gives what only a superuser may give.
        Invalid: A user, group or role is unknown.
    """
    workflow = Workflow.objects.filter(name=workflow_name).first()
    if workflow is None:
        raise NotFound(f"There is no workflow named {workflow_name}.")
    policy.require(actor, Permission.CHANGE_GRANTS, workflow)
    resolved = _resolve(wanted)
    _check_glass(actor, workflow, resolved)
    after = access_grants.replace(actor, workflow, resolved)
    return [grant.public for grant in after]


def sync_roles() -> int:
    """Write the rights of all roles anew, one transaction per workflow; return rows changed."""
    return access_grants.sync()


def _check_glass(actor: User | None, workflow: Workflow, wanted: Sequence[Grant]) -> None:
    """Let only who may break the glass hand out the hammer; an admin of a workflow may not."""
    if policy.can(actor, Permission.BREAK_GLASS, workflow):
        return
    held = {grant.key for grant in access_grants.grants_of(workflow)}
    if any(grant.role is Role.BREAK_GLASS and grant.key not in held for grant in wanted):
        raise Forbidden(
            "The role break_glass is given by who holds it. Ask an administrator.",
            permission=Permission.BREAK_GLASS.value,
        )


def _resolve(wanted: Sequence[Mapping[str, str]]) -> list[Grant]:
    if len(wanted) > MOST_GRANTS:
        raise Invalid(f"A workflow has at most {MOST_GRANTS} grants; use groups.")
    users = _ids(
        User.objects.filter(username__in=[g["user"] for g in wanted if "user" in g]), "username"
    )
    groups = _ids(
        Group.objects.filter(name__in=[g["group"] for g in wanted if "group" in g]), "name"
    )
    problems: list[dict[str, object]] = []
    grants: list[Grant] = []
    for index, given in enumerate(wanted):
        problem = _problem_of(given, users, groups)
        if problem is not None:
            key, message = problem
            problems.append(
                {
                    "severity": "error",
                    "code": "unknown",
                    "path": f"/grants/{index}/{key}",
                    "message": message,
                }
            )
            continue
        grants.append(
            Grant(
                role=Role(given["role"]),
                user_id=users.get(given.get("user", "")),
                group_id=groups.get(given.get("group", "")) if "user" not in given else None,
                name=given.get("user") or given["group"],
            )
        )
    if problems:
        raise Invalid(str(problems[0]["message"]), problems)
    return grants


def _problem_of(
    given: Mapping[str, str], users: Mapping[str, int], groups: Mapping[str, int]
) -> tuple[str, str] | None:
    role = given.get("role", "")
    if role not in {each.value for each in Role}:
        return "role", f"There is no role {role!r}; there are {', '.join(Role)}."
    if ("user" in given) == ("group" in given):
        return "user", "A grant names either a user or a group."
    if "user" in given and given["user"] not in users:
        return "user", f"There is no user named {given['user']}."
    if "group" in given and given["group"] not in groups:
        return "group", f"There is no group named {given['group']}."
    return None


def _ids(rows, field: str) -> dict[str, int]:  # type: ignore[no-untyped-def]  # users or groups
    return {str(name): int(pk) for name, pk in rows.values_list(field, "pk")}
