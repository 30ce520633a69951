"""Addresses of the designer: the pages under /workflows/, and its part of the API."""

from django.urls import path

from designer import api
from designer.views import start, workflows

_API = "api/v1/workflows"

urlpatterns = [
    path("workflows/", workflows.workflow_list, name="workflow_list"),
    path("workflows/<str:name>/", workflows.workflow_overview, name="workflow_overview"),
    path("workflows/<str:name>/run/", start.start, name="workflow_start"),
    path(_API, api.WorkflowsView.as_view()),
    path(f"{_API}/<str:name>/draft", api.DraftView.as_view()),
    path(f"{_API}/<str:name>/publish", api.PublishView.as_view()),
]
