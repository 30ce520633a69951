"""Sign in, with patience for nobody who guesses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django import forms
from django.conf import settings
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView
from django.core.exceptions import ValidationError
from django.shortcuts import render

from orchestrator.access.limits import Limit

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

# Beside django-axes, which counts (user, address): somebody who tries one password on many names.
FAILURES_PER_ADDRESS = Limit(name="sign-in-address", times=50, seconds=900)


class SignInForm(AuthenticationForm):
    """Name and password; which of them is wrong is not told."""

    error_messages = {
        "invalid_login": "Username or password is wrong. Both are case-sensitive.",
        "inactive": "This account is not active. Ask an administrator.",
    }


class LockedForm(forms.Form):
    """The form as it looks after too many failures: it keeps the name and tries nothing."""

    username = forms.CharField(required=False)
    password = forms.CharField(required=False)

    def clean(self) -> dict[str, object]:
        """Say how to go on."""
        minutes = int(settings.AXES_COOLOFF_TIME.total_seconds() // 60)
        raise ValidationError(
            f"Too many sign-ins have failed. Wait {minutes} minutes and try again, or ask an "
            "administrator."
        )


class SignInView(LoginView):
    """The sign-in form."""

    authentication_form = SignInForm
    template_name = "registration/login.html"

    def post(self, request: HttpRequest, *args: str, **kwargs: object) -> HttpResponse:
        """Sign in, unless too many have failed from this address."""
        if FAILURES_PER_ADDRESS.is_reached(_address(request)):
            return locked_out(request)
        return super().post(request, *args, **kwargs)

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        """Count the failure and show the form again."""
        FAILURES_PER_ADDRESS.hit(_address(self.request))
        return super().form_invalid(form)


def locked_out(
    request: HttpRequest,
    original_response: HttpResponse | None = None,  # the signature of django-axes
    credentials: dict[str, str] | None = None,
) -> HttpResponse:
    """Answer a sign-in that is not even tried; also named in the settings for django-axes."""
    response = render(
        request,
        "registration/login.html",
        {"form": LockedForm(request.POST), "next": request.POST.get("next", "")},
        status=429,
    )
    response.headers["Retry-After"] = str(int(settings.AXES_COOLOFF_TIME.total_seconds()))
    return response


def _address(request: HttpRequest) -> str:
    return str(request.META.get("REMOTE_ADDR") or "")
