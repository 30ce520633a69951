"""The inbox of approvals, and one request with its decision."""

from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render


def approval_list(request: HttpRequest) -> HttpResponse:
    """Show what waits for a decision."""
    return render(request, "approvals/approval_list.html", {"rows": ()})


def approval_detail(request: HttpRequest, approval_id: UUID) -> HttpResponse:
    """Show one request."""
    raise Http404
