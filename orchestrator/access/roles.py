"""Which role holds which rights: the one table (product.md §7)."""

from collections.abc import Mapping
from enum import StrEnum

from orchestrator.access.permissions import Permission


class Role(StrEnum):
    """A named set of rights that a user or a group gets on a workflow."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    APPROVER = "approver"
    EDITOR = "editor"
    PUBLISHER = "publisher"
    ADMIN = "admin"
    BREAK_GLASS = "break_glass"


_SEE = frozenset({Permission.VIEW_WORKFLOW})
_EDIT = _SEE | {Permission.EDIT_DRAFT, Permission.SIMULATE_WORKFLOW}

ROLE_PERMISSIONS: Mapping[Role, frozenset[Permission]] = {
    Role.VIEWER: _SEE,
    Role.OPERATOR: _SEE
    | {
        Permission.START_EXECUTION,
        Permission.CONTROL_EXECUTION,
        Permission.CANCEL_EXECUTION,
        Permission.COMPENSATE_EXECUTION,
        Permission.SETTLE_COMPENSATION,
        Permission.REPORT_TASK,
    },
    Role.APPROVER: _SEE | {Permission.APPROVE_COMPENSATION},
    Role.EDITOR: _EDIT,
    Role.PUBLISHER: _EDIT | {Permission.PUBLISH_VERSION, Permission.CHANGE_ROLLOUT},
    # Breaking the glass is in no other role: who may do everything still has to be given this.
    Role.ADMIN: frozenset(Permission) - {Permission.BREAK_GLASS},
    Role.BREAK_GLASS: _SEE | {Permission.BREAK_GLASS},
}


def permissions_of_roles(roles: frozenset[Role]) -> frozenset[Permission]:
    """Return what these roles hold together."""
    return frozenset().union(*(ROLE_PERMISSIONS[role] for role in roles))


def roles_with(permission: Permission) -> tuple[Role, ...]:
    """Return the roles that hold a right, the narrowest first."""
    holding = [role for role in Role if permission in ROLE_PERMISSIONS[role]]
    return tuple(sorted(holding, key=lambda role: len(ROLE_PERMISSIONS[role])))
