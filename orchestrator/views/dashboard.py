"""The first page: is anything stuck, wrong, or waiting for me?"""

from datetime import timedelta

from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from orchestrator.selectors import overview
from orchestrator.views.requests import PageRequest

SPANS = {"24h": timedelta(hours=24), "7d": timedelta(days=7), "30d": timedelta(days=30)}
SPAN_WORDS = {"24h": "Last 24 hours", "7d": "Last 7 days", "30d": "Last 30 days"}
WORKFLOWS_SHOWN = 12


@require_safe
def dashboard(request: PageRequest) -> HttpResponse:
    """Show what needs somebody, and how runs went lately."""
    wanted = request.GET.get("span", "24h")
    span = wanted if wanted in SPANS else "24h"
    rows = overview.counts_since(actor=request.user, since=timezone.now() - SPANS[span])
    context = {
        "attention": overview.attention(actor=request.user),
        "open": overview.open_counts(actor=request.user),
        "span": span,
        "spans": SPAN_WORDS,
        "span_word": SPAN_WORDS[span],
        "workflows": rows[:WORKFLOWS_SHOWN],
        "totals": {
            "runs": sum(row.runs for row in rows),
            "succeeded": sum(row.succeeded for row in rows),
            "failed": sum(row.failed for row in rows),
            "undone": sum(row.undone for row in rows),
        },
        "is_new": not rows and not overview.has_workflows(actor=request.user),
    }
    return render(request, "orchestrator/dashboard.html", context)
