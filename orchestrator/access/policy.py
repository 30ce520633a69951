"""Who may do what, and why: the one place that answers.

An actor is a signed-in user, or None for the system itself, which may do everything. Nothing is
remembered between two questions, so a grant that was taken away counts at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db.models import Q

from orchestrator.access.errors import Forbidden, NotFound
from orchestrator.access.permissions import GlobalPermission, Permission, sentence_of
from orchestrator.access.roles import ROLE_PERMISSIONS, Role, roles_with
from orchestrator.access.rows import group_rows, role_model, user_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from django.contrib.auth.models import User

    from orchestrator.models import Workflow

SUPERUSER = "You are a superuser."
SYSTEM = "This is the system itself."
_ASK_AT_MOST = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Whether somebody may, with the reason in a sentence."""

    allowed: bool
    reason: str
    ask: tuple[str, ...] = ()  # who could give the right: users, and groups with a leading @

    def __bool__(self) -> bool:
        return self.allowed

    @property
    def because(self) -> str:
        """The reason, under the name that the API gives it."""
        return self.reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """One right that an actor holds, with the reason."""

    permission: Permission
    because: str


def can(actor: User | None, permission: Permission, workflow: Workflow) -> Answer:
    """Say whether the actor holds a right on a workflow, and why or why not."""
    everything = _may_everything(actor)
    if everything:
        return Answer(allowed=True, reason=everything)
    held = _codenames(actor, workflow.pk)
    if permission.value in held:
        return Answer(allowed=True, reason=_because(actor, permission, workflow.pk))
    if Permission.VIEW_WORKFLOW.value not in held:
        return Answer(allowed=False, reason="You have no role on this workflow.")
    return Answer(
        allowed=False,
        reason=_why_not(permission),
        ask=administrators_of(workflow),
    )


def require(
    actor: User | None, permission: Permission, workflow: Workflow, *, what: str = ""
) -> None:
    """Raise unless the actor holds the right.

    Args:
        actor: Who asks.
        permission: The right.
        workflow: On what.
        what: How to name what cannot be seen, such as "run 0198…"; the workflow if not given.

    Raises:
        NotFound: The actor may not even see the workflow.
        Forbidden: The actor sees it but lacks the right.
    """
    if _may_everything(actor):
        return
    held = _codenames(actor, workflow.pk)
    if permission.value in held:
        return
    if Permission.VIEW_WORKFLOW.value not in held:
        raise NotFound(f"There is no {what or f'workflow named {workflow.name}'}.")
    ask = administrators_of(workflow)
    hint = f" Ask {', '.join(ask)}." if ask else " Ask an administrator."
    raise Forbidden(_why_not(permission) + hint, permission=permission.value, ask=list(ask))


def holds(actor: User | None, permission: GlobalPermission) -> bool:
    """Say whether the actor holds a right that belongs to no single workflow."""
    if _may_everything(actor):
        return True
    return actor is not None and actor.has_perm(f"orchestrator.{permission.value}")


def require_global(actor: User | None, permission: GlobalPermission) -> None:
    """Raise `Forbidden` unless the actor holds a right that belongs to no single workflow."""
    if not holds(actor, permission):
        raise Forbidden(
            f"For this you need the right “{sentence_of(permission)}”. Ask an administrator.",
            permission=permission.value,
        )


def require_superuser(actor: User | None) -> None:
    """Raise `Forbidden` unless the actor is a superuser or the system."""
    if not _may_everything(actor):
        raise Forbidden("Only superusers may do this. Ask an administrator.")


def permissions_of(actor: User | None, workflow: Workflow) -> frozenset[Permission]:
    """Return every right of the actor on one workflow, with one query."""
    if _may_everything(actor):
        return frozenset(Permission)
    return _known(_codenames(actor, workflow.pk))


def rights_by_workflow(actor: User, workflow_ids: Iterable[int]) -> Mapping[int, tuple[Right, ...]]:
    """Return the rights of the actor on each of these workflows, with their reasons."""
    ids = list(workflow_ids)
    everything = _may_everything(actor)
    if everything:
        all_rights = tuple(Right(permission=each, because=everything) for each in Permission)
        return dict.fromkeys(ids, all_rights)
    held: dict[int, set[str]] = {}
    for rows in _rows_of(actor):
        found = rows.filter(content_object_id__in=ids)
        for workflow_id, codename in found.values_list("content_object_id", "permission__codename"):
            held.setdefault(workflow_id, set()).add(codename)
    reasons = _reasons(actor, ids)
    return {
        workflow_id: tuple(
            Right(
                permission=permission,
                because=reasons.get((workflow_id, permission), "It was granted directly."),
            )
            for permission in Permission
            if permission.value in codenames
        )
        for workflow_id, codenames in held.items()
    }


def administrators_of(workflow: Workflow) -> tuple[str, ...]:
    """Return who can give rights on the workflow: user names, and groups with a leading @."""
    rows = role_model().objects.filter(workflow_id=workflow.pk, role=Role.ADMIN.value)
    names = rows.order_by("id").values_list("user__username", "group__name")[:_ASK_AT_MOST]
    return tuple(user or f"@{group}" for user, group in names)


def _may_everything(actor: User | None) -> str:
    """Return the reason why the actor may do everything, or nothing."""
    if actor is None:
        return SYSTEM
    return SUPERUSER if actor.is_active and actor.is_superuser else ""


def _rows_of(actor: User | None):  # type: ignore[no-untyped-def]  # two models, one shape
    if actor is None or not actor.is_active:
        return (user_rows().objects.none(), group_rows().objects.none())
    return (
        user_rows().objects.filter(user_id=actor.pk),
        group_rows().objects.filter(group__user=actor.pk),
    )


def _codenames(actor: User | None, workflow_id: int) -> frozenset[str]:
    of_user, of_groups = (
        rows.filter(content_object_id=workflow_id).values_list("permission__codename", flat=True)
        for rows in _rows_of(actor)
    )
    return frozenset(of_user.union(of_groups))


def _known(codenames: frozenset[str]) -> frozenset[Permission]:
    return frozenset(each for each in Permission if each.value in codenames)


def _because(actor: User | None, permission: Permission, workflow_id: int) -> str:
    if actor is None:
        return SYSTEM
    reasons = _reasons(actor, [workflow_id])
    return reasons.get((workflow_id, permission), "It was granted directly.")


def _reasons(actor: User, workflow_ids: list[int]) -> dict[tuple[int, Permission], str]:
    given = role_model().objects.filter(
        Q(user_id=actor.pk) | Q(group__user=actor.pk), workflow_id__in=workflow_ids
    )
    reasons: dict[tuple[int, Permission], str] = {}
    # The newest first: the oldest role that holds a right is the one that is named.
    for workflow_id, name, group in given.order_by("-id").values_list(
        "workflow_id", "role", "group__name"
    ):
        via = f" through the group {group}" if group else ""
        for permission in ROLE_PERMISSIONS[Role(name)]:
            reasons[workflow_id, permission] = f"You have the role {name}{via}."
    return reasons


def _why_not(permission: Permission) -> str:
    roles = " or ".join(role.value for role in roles_with(permission))
    return f"For this you need the role {roles}."
