"""Probes: whether the process answers, whether it can work, and its counters."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from orchestrator import metrics as counters
from orchestrator.worker import health

NOT_STORED = {"Cache-Control": "no-store"}


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """Answer as long as the process does."""
    return HttpResponse("ok\n", content_type="text/plain; charset=utf-8", headers=NOT_STORED)


@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """Say whether work can be taken; degraded parts are named but do not close the door."""
    report = health.report()
    return JsonResponse(
        {
            "status": report.level,
            "checks": {check.name: check.sentence for check in report.checks},
        },
        status=200 if report.is_ready else 503,
        headers=NOT_STORED,
    )


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Return the counters in Prometheus's text format."""
    return HttpResponse(
        counters.render(), headers={"Content-Type": counters.TEXT_TYPE, **NOT_STORED}
    )
