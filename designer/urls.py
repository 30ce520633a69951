"""Addresses of the pages under /workflows/."""

from importlib.util import find_spec

from django.urls import URLPattern, path

from designer.views import workflows

urlpatterns: list[URLPattern] = [
    path("workflows/", workflows.workflow_list, name="workflow_list"),
    path("workflows/<str:name>/", workflows.workflow_overview, name="workflow_overview"),
]
if find_spec("orchestrator.services.executions"):
    from designer.views import start

    urlpatterns.append(path("workflows/<str:name>/run/", start.start, name="workflow_start"))
