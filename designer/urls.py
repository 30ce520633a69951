"""Addresses of the pages under /workflows/."""

from django.urls import path

from designer.views import start, workflows

urlpatterns = [
    path("workflows/", workflows.workflow_list, name="workflow_list"),
    path("workflows/<str:name>/", workflows.workflow_overview, name="workflow_overview"),
    path("workflows/<str:name>/run/", start.start, name="workflow_start"),
]
