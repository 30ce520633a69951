"""Headers that keep a browser from doing more for a page than the page needs."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from asgiref.sync import iscoroutinefunction
from django.utils.decorators import sync_and_async_middleware

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from django.http import HttpRequest, HttpResponse

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; "
    "img-src 'self' data:; font-src 'self'; connect-src 'self'; worker-src 'self'; "
    "manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_FEATURES = (
    "accelerometer",
    "autoplay",
    "camera",
    "display-capture",
    "encrypted-media",
    "fullscreen",
    "geolocation",
    "gyroscope",
    "magnetometer",
    "microphone",
    "midi",
    "payment",
    "picture-in-picture",
    "publickey-credentials-get",
    "screen-wake-lock",
    "usb",
    "xr-spatial-tracking",
)
_PERMISSIONS = ", ".join(f"{feature}=()" for feature in _FEATURES)


@sync_and_async_middleware
def security_headers(
    get_response: Callable[[HttpRequest], HttpResponse | Awaitable[HttpResponse]],
) -> Callable[[HttpRequest], HttpResponse | Awaitable[HttpResponse]]:
    """Send the policies with every answer; a template finds the nonce as `request.csp_nonce`."""
    if iscoroutinefunction(get_response):

        async def in_loop(request: HttpRequest) -> HttpResponse:
            nonce = _give_nonce(request)
            return _with_headers(await get_response(request), nonce)

        return in_loop

    def in_thread(request: HttpRequest) -> HttpResponse:
        nonce = _give_nonce(request)
        return _with_headers(get_response(request), nonce)  # type: ignore[arg-type]  # sync here

    return in_thread


def _give_nonce(request: HttpRequest) -> str:
    nonce = secrets.token_urlsafe(16)
    request.csp_nonce = nonce  # type: ignore[attr-defined]  # for templates
    return nonce


def _with_headers(response: HttpResponse, nonce: str) -> HttpResponse:
    response.headers["Content-Security-Policy"] = _POLICY.format(nonce=nonce)
    response.headers["Permissions-Policy"] = _PERMISSIONS
    # What a person may see is not for a cache that others share.
    response.headers.setdefault("Cache-Control", "private, no-cache")
    return response
