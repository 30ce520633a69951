"""All addresses: probes at the root, then each app's own."""

from django.urls import include, path

from orchestrator.views import health

urlpatterns = [
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", health.metrics, name="metrics"),
    path("", include("orchestrator.urls")),
    path("", include("designer.urls")),
    path("", include("approvals.urls")),
    # Last: whatever else is asked for under /api/ is answered in JSON.
    path("", include("orchestrator.api.unknown")),
]

handler403 = "orchestrator.views.refusals.no_access"
handler404 = "orchestrator.views.refusals.page_not_found"
