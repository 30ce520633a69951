"""Addresses of orchestrator: sign-in, both faces of the API, pages, and the demo shop."""

from django.contrib.auth.views import LogoutView
from django.urls import include, path

from orchestrator.views.login import SignInView

urlpatterns = [
    path("login/", SignInView.as_view(), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("", include("orchestrator.api.urls")),
    path("", include("orchestrator.views.urls")),
    path("", include("orchestrator.demo.urls")),
]
