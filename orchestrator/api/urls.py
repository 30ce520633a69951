"""Addresses of both faces under /api/; which of them answer without a login: access/public.py."""

from django.urls import include, path

from orchestrator.api.schema import DocsView, SchemaView
from orchestrator.api.tokens import TokenView, UserInfoView
from orchestrator.api.v1 import accounts, audit, grants, me, users

urlpatterns = [
    path("api/schema/", SchemaView.as_view(), name="schema"),
    path("api/docs/", DocsView.as_view(), name="docs"),
    path("api/token", TokenView.as_view(), name="token"),
    path("api/token/userInfo", UserInfoView.as_view(), name="user-info"),
    path("api/v1/me", me.MeView.as_view(), name="api-me"),
    path("api/v1/users", users.UsersView.as_view(), name="api-users"),
    path("api/v1/users/<str:username>", users.UserView.as_view(), name="api-user"),
    path(
        "api/v1/service-accounts",
        accounts.ServiceAccountsView.as_view(),
        name="api-service-accounts",
    ),
    path("api/v1/workflows/<str:name>/grants", grants.GrantsView.as_view(), name="api-grants"),
    path("api/v1/audit", audit.AuditView.as_view(), name="api-audit"),
    path("api/v1/audit/verify", audit.AuditVerifyView.as_view(), name="api-audit-verify"),
    path("api/v1/audit/export", audit.AuditExportView.as_view(), name="api-audit-export"),
    path("api/v1/", include("orchestrator.api.v1.urls")),
    path("api/", include("orchestrator.api.conductor.urls")),
]
