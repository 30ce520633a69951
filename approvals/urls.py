"""Addresses of approvals: the pages, and what /api/v1 says about them."""

from django.urls import URLPattern, path

from approvals import api, views

urlpatterns: list[URLPattern] = [
    path("approvals/", views.approval_list, name="approval_list"),
    path("approvals/<uuid:approval_id>/", views.approval_detail, name="approval_detail"),
    path("api/v1/approvals", api.ApprovalsView.as_view(), name="api-approvals"),
    path("api/v1/approvals/<uuid:approval_id>", api.ApprovalView.as_view(), name="api-approval"),
    path(
        "api/v1/approvals/<uuid:approval_id>/decide",
        api.DecideView.as_view(),
        name="api-approval-decide",
    ),
]
