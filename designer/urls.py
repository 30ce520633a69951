"""Addresses of the designer: its part of the API."""

from django.urls import URLPattern, URLResolver, path

from designer import api

_WORKFLOW = "api/v1/workflows/<str:name>"

urlpatterns: list[URLPattern | URLResolver] = [
    path("api/v1/workflows", api.WorkflowsView.as_view()),
    path(f"{_WORKFLOW}/draft", api.DraftView.as_view()),
    path(f"{_WORKFLOW}/publish", api.PublishView.as_view()),
]
