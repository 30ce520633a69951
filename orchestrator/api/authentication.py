"""From a session or an API token to the actor, and for nobody a refusal.

Who it is gets decided once, in the middleware, before any view and in the same way for views of
the REST framework and plain ones. The class below only hands that on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rest_framework.authentication import BaseAuthentication, CSRFCheck

from orchestrator.access.errors import Forbidden, Unauthenticated
from orchestrator.selectors.accounts import Identity, identity_of_token

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from django.http import HttpRequest, HttpResponse
    from rest_framework.request import Request

_BEARER = "bearer "


def token_of(request: HttpRequest) -> str:
    """Return the token that the request carries, or an empty text."""
    own = request.headers.get("X-Authorization", "").strip()
    if own:
        return own[len(_BEARER) :].strip() if own.lower().startswith(_BEARER) else own
    standard = request.headers.get("Authorization", "").strip()
    return standard[len(_BEARER) :].strip() if standard.lower().startswith(_BEARER) else ""


def identify(request: HttpRequest) -> Identity:
    """Return who calls; a token counts more than a session.

    Raises:
        Unauthenticated: There is neither token nor session, or the token does not count.
        Forbidden: An unsafe call with a session lacks the CSRF token.
    """
    token = token_of(request)
    if token:
        return identity_of_token(token)
    if not request.user.is_authenticated:
        raise Unauthenticated("Sign in, or send a token.", error="INVALID_TOKEN")
    _check_csrf(request)
    return Identity(user=request.user)


class ActorAuthentication(BaseAuthentication):
    """Hands on who the middleware found."""

    def authenticate(self, request: Request) -> tuple[User, Any] | None:
        """Return the actor, or nothing for public routes."""
        identity: Identity | None = getattr(request._request, "identity", None)  # noqa: SLF001  # the framework's name for it
        return (identity.user, identity) if identity is not None else None

    def authenticate_header(self, request: Request) -> str:  # noqa: ARG002  # the framework's signature
        """Name the scheme, which makes the answer a 401 and not a 403."""
        return "Bearer"


def actor_of(request: Request) -> User:
    """Return who calls; views that answer without a login do not ask.

    Raises:
        Unauthenticated: Nobody does.
    """
    if not request.user.is_authenticated:
        raise Unauthenticated("Sign in, or send a token.", error="INVALID_TOKEN")
    actor: User = request.user
    return actor


def _no_view(_request: HttpRequest) -> HttpResponse:
    raise AssertionError("The check of CSRF tokens never calls on.")


def _check_csrf(request: HttpRequest) -> None:
    check = CSRFCheck(_no_view)
    check.process_request(request)
    reason = check.process_view(request, _no_view, (), {})
    if reason:
        raise Forbidden(f"The CSRF token is missing or wrong: {reason}")
