"""Addresses of the pages under /approvals/."""

from django.urls import URLPattern, path

from approvals import views

urlpatterns: list[URLPattern] = [
    path("approvals/", views.approval_list, name="approval_list"),
    path("approvals/<uuid:approval_id>/", views.approval_detail, name="approval_detail"),
]
