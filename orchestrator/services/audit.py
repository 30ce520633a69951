"""Take the audit trail away, which is an act of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction

from orchestrator.audit import log
from orchestrator.selectors import audit as selectors

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from django.db.models import QuerySet

    from orchestrator.audit.models import AuditEntry
    from orchestrator.audit.selectors import Filters


@transaction.atomic(durable=True)
def begin_export(*, actor: User | None, filters: Filters, form: str) -> QuerySet[AuditEntry]:
    """Record that the trail is taken away, and return what there was before that.

    Raises:
        Forbidden: The actor may take nothing away.
    """
    rows = selectors.audit_export(actor=actor, filters=filters)
    asked = {
        "subject": filters.subject,
        "action": filters.action,
        "actor": filters.actor,
        "text": filters.text,
    }
    entry = log.record(
        "audit.export",
        "audit",
        actor,
        changes={"format": form, **{name: value for name, value in asked.items() if value}},
    )
    return rows.filter(seq__lt=entry.seq)
