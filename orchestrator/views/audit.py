"""The audit log: who did what, and whether the record still holds."""

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from orchestrator.audit.actions import ACTIONS
from orchestrator.audit.selectors import Filters
from orchestrator.selectors import audit
from orchestrator.views.requests import PageRequest


@require_safe
def audit_list(request: PageRequest) -> HttpResponse:
    """Show entries, the newest first; the filter stands in the address, named as in the API."""
    query = request.GET
    filters = Filters(
        subject=query.get("subject", "").strip(),
        action=query.get("action", "").strip(),
        actor=query.get("actor", "").strip(),
        text=query.get("text", "").strip(),
    )
    page = audit.audit_page(actor=request.user, filters=filters, cursor=query.get("cursor") or None)
    context = {
        "page": page,
        "filters": filters,
        "actions": ACTIONS,
        "is_filtered": filters != Filters(),
        "may_export": audit.may_export(actor=request.user),
    }
    return render(request, "orchestrator/audit_list.html", context)
