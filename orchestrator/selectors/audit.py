"""The audit trail as far as an actor may read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.access import policy, scoping
from orchestrator.access.errors import Forbidden
from orchestrator.access.permissions import GlobalPermission, Permission
from orchestrator.audit import selectors as trail
from orchestrator.models import Workflow
from orchestrator.selectors.errors import Malformed
from orchestrator.selectors.paging import DEFAULT_LIMIT, Order, Page, page_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.contrib.auth.models import User
    from django.db.models import QuerySet

    from orchestrator.audit.models import AuditEntry
    from orchestrator.audit.selectors import Filters, Verdict

TEXT_LIMIT = 200
_NEWEST_FIRST = Order(field="seq", parse=int, falling=True)


def audit_page(
    *,
    actor: User | None,
    filters: Filters,
    cursor: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Page[dict[str, object]]:
    """Return one page of entries, the newest first.

    Who may not read the whole trail sees what was done to the workflows they may see.

    Raises:
        Malformed: The cursor, the limit or the text cannot be read.
    """
    rows = _readable(actor, filters, Permission.VIEW_WORKFLOW)
    page = page_of(rows, order=_NEWEST_FIRST, cursor=cursor, limit=limit)
    return Page(
        results=[trail.public(entry) for entry in page.results],
        next=page.next,
        previous=page.previous,
    )


def audit_export(*, actor: User | None, filters: Filters) -> QuerySet[AuditEntry]:
    """Return all entries that the actor may take away.

    Raises:
        Forbidden: The actor holds the right neither for the whole trail nor for any workflow.
    """
    if not may_export(actor=actor):
        raise Forbidden(
            "For this you need the right to read the whole audit trail, or the role admin on a "
            "workflow. Ask an administrator.",
            permission=Permission.EXPORT_AUDIT.value,
        )
    return _readable(actor, filters, Permission.EXPORT_AUDIT)


def may_export(*, actor: User | None) -> bool:
    """Say whether there is anything in the trail that the actor may take away."""
    return (
        policy.holds(actor, GlobalPermission.READ_AUDIT)
        or _workflows(actor, Permission.EXPORT_AUDIT).exists()
    )


def verify(*, actor: User | None) -> Verdict:
    """Read the whole chain and say whether it holds.

    Raises:
        Forbidden: The actor may not read the whole trail.
    """
    policy.require_global(actor, GlobalPermission.READ_AUDIT)
    return trail.verify()


def in_pieces(rows: QuerySet[AuditEntry], *, size: int = 1000) -> Iterator[AuditEntry]:
    """Yield entries, the newest first, with a short query for each piece."""
    before: int | None = None
    while True:
        piece = rows if before is None else rows.filter(seq__lt=before)
        found = list(piece.order_by("-seq")[:size])
        yield from found
        if len(found) < size:
            return
        before = found[-1].seq


def _readable(actor: User | None, filters: Filters, permission: Permission) -> QuerySet[AuditEntry]:
    if len(filters.text) > TEXT_LIMIT:
        raise Malformed(f"A search text has at most {TEXT_LIMIT} characters.")
    rows = trail.entries(filters)
    if policy.holds(actor, GlobalPermission.READ_AUDIT):
        return rows
    return rows.filter(workflow__in=_workflows(actor, permission).values("name"))


def _workflows(actor: User | None, permission: Permission) -> QuerySet[Workflow]:
    return scoping.visible_to(actor, Workflow.objects.order_by(), permission, path="pk")
