"""The door: nothing answers without a login but what the list of public routes names."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from urllib.parse import quote

from django.conf import settings
from django.contrib.auth import logout
from django.http import HttpResponseRedirect
from django.utils.deprecation import MiddlewareMixin

from orchestrator.access import public
from orchestrator.access.errors import Refusal
from orchestrator.api import authentication, errors
from orchestrator.audit import context as audit_context
from orchestrator.border.input import LARGE_LIMITS, InputError, read_capped
from orchestrator.selectors.accounts import Identity

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from django.http import HttpRequest, HttpResponse

# Programs call these: they get JSON and may use a token. All else are pages.
API_PREFIXES = ("/api/", "/demo/api/")
# A page for people that happens to live below /api/.
API_PAGES = frozenset({"api/docs/"})
IDLE_SECONDS = 60 * 60
# Each note is a write, so not at every request.
NOTED_EVERY_SECONDS = 60
_SEEN_AT = "seen_at"


class Door(MiddlewareMixin):
    """Refuses who is nobody, and answers errors of plain views under /api/ in JSON.

    It stands before Django's check of CSRF tokens: for a session under /api/ it makes that check
    itself, since views of the REST framework are exempt, and for a token there is none to make.
    """

    def process_view(
        self,
        request: HttpRequest,
        view: Callable[..., HttpResponse],  # noqa: ARG002  # Django's signature
        args: Sequence[object],  # noqa: ARG002
        kwargs: Mapping[str, object],  # noqa: ARG002
    ) -> HttpResponse | None:
        """Let the call pass, or answer in the view's place."""
        route = request.resolver_match.route if request.resolver_match is not None else ""
        is_api = request.path.startswith(API_PREFIXES) and route not in API_PAGES
        try:
            _end_if_idle(request)
            if public.is_public(request.method or "", route, demo=settings.AMENDS_DEMO):
                if is_api:
                    _skip_csrf(request)
            elif is_api:
                _enter_api(request)
            else:
                return _enter_page(request, route)
            if is_api:
                _take_chunked_body(request)
        except (Refusal, InputError) as error:
            failure = errors.failure_of(error) or errors.unforeseen(error)
            return errors.answer(failure, request.path)
        return None

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Answer an error of a plain view under /api/; pages have their own error pages."""
        if not request.path.startswith(API_PREFIXES):
            return None
        failure = errors.failure_of(error) or errors.unforeseen(error)
        return errors.answer(failure, request.path)


def _enter_api(request: HttpRequest) -> None:
    identity = authentication.identify(request)
    request.identity = identity  # type: ignore[attr-defined]  # read by ActorAuthentication
    request.user = identity.user
    audit_context.key_id.set(identity.key_id)
    _skip_csrf(request)


def _enter_page(request: HttpRequest, route: str) -> HttpResponse | None:
    if request.user.is_authenticated:
        if route in API_PAGES:
            request.identity = Identity(user=request.user)  # type: ignore[attr-defined]
        return None
    back = quote(request.get_full_path(), safe="/")
    return HttpResponseRedirect(f"{settings.LOGIN_URL}?next={back}")


def _end_if_idle(request: HttpRequest) -> None:
    """Sign out who did nothing for an hour; note the time of the others now and then."""
    if settings.SESSION_COOKIE_NAME not in request.COOKIES or not request.user.is_authenticated:
        return
    now = time.time()
    seen_at = request.session.get(_SEEN_AT)
    if seen_at is not None and now - seen_at > IDLE_SECONDS:
        logout(request)
    elif seen_at is None or now - seen_at > NOTED_EVERY_SECONDS:
        request.session[_SEEN_AT] = now


def _skip_csrf(request: HttpRequest) -> None:
    # A token is sent by intent, never by a browser on its own; a session was checked already.
    request._dont_enforce_csrf_checks = True  # type: ignore[attr-defined]  # noqa: SLF001  # Django's own switch


def _take_chunked_body(request: HttpRequest) -> None:
    """Give a body without a declared length its length: the REST framework would drop it."""
    if request.META.get("CONTENT_LENGTH") or "HTTP_TRANSFER_ENCODING" not in request.META:
        return
    body = read_capped(request, size=LARGE_LIMITS.size)
    request._body = body  # noqa: SLF001  # what Django's own `body` fills, without any limit
    request.META["CONTENT_LENGTH"] = str(len(body))
