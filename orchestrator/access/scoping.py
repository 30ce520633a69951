"""Which rows an actor may see: one function for pages, both APIs, streams, search and counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from django.db.models import Model, Q, QuerySet

from orchestrator.access.permissions import Permission
from orchestrator.access.rows import group_rows, user_rows

if TYPE_CHECKING:
    from django.contrib.auth.models import User

_M = TypeVar("_M", bound=Model)


def visible_to(
    actor: User | None,
    queryset: QuerySet[_M],
    permission: Permission = Permission.VIEW_WORKFLOW,
    path: str = "workflow",
) -> QuerySet[_M]:
    """Keep the rows on whose workflow the actor holds a right; no query is made here.

    Args:
        actor: Who asks; None is the system, which sees everything.
        queryset: Rows of any model that leads to a workflow.
        permission: The right.
        path: How a row leads to its workflow; "pk" for workflows themselves.
    """
    if actor is None:
        return queryset
    if not actor.is_active:
        return queryset.none()
    if actor.is_superuser:
        return queryset
    of_user = user_rows().objects.filter(user_id=actor.pk, permission__codename=permission.value)
    of_groups = group_rows().objects.filter(
        group__user=actor.pk, permission__codename=permission.value
    )
    return queryset.filter(
        Q(**{f"{path}__in": of_user.values("content_object_id")})
        | Q(**{f"{path}__in": of_groups.values("content_object_id")})
    )
