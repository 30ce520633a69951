"""What a person is told about themselves."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db.models import Q

from orchestrator.models import WorkflowRole

if TYPE_CHECKING:
    from django.contrib.auth.models import User

THEMES = ("light", "dark", "system")
DENSITIES = ("cosy", "compact")
"""How a person may want the pages to look; kept in cookies of these names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenRole:
    """One role on one workflow, and the group it came through."""

    workflow: str
    role: str
    group: str


def roles_of(*, user: "User") -> list[GivenRole]:
    """Return the roles a user holds, through groups too, by workflow."""
    rows = WorkflowRole.objects.filter(
        Q(user=user) | Q(group__user=user), workflow__archived_at__isnull=True
    ).distinct()
    found = rows.order_by("workflow__name", "role", "group__name").values_list(
        "workflow__name", "role", "group__name"
    )
    return [GivenRole(workflow=name, role=role, group=group or "") for name, role, group in found]


def groups_of(*, user: "User") -> list[str]:
    """Return the names of a user's groups."""
    return list(user.groups.order_by("name").values_list("name", flat=True))
