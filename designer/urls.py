"""Addresses of the designer: the pages under /workflows/, and its part of the API."""

from importlib.util import find_spec

from django.urls import URLPattern, path

from designer import api
from designer.views import workflows

_API = "api/v1/workflows"

urlpatterns: list[URLPattern] = [
    path(_API, api.WorkflowsView.as_view()),
    path(f"{_API}/<str:name>/draft", api.DraftView.as_view()),
    path(f"{_API}/<str:name>/publish", api.PublishView.as_view()),
    path("workflows/", workflows.workflow_list, name="workflow_list"),
    path("workflows/<str:name>/", workflows.workflow_overview, name="workflow_overview"),
]
if find_spec("orchestrator.services.executions"):
    from designer.views import start

    urlpatterns.append(path("workflows/<str:name>/run/", start.start, name="workflow_start"))
