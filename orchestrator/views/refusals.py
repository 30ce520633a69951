"""Refusals of the layers below as pages inside the frame, and the pages of Django's own errors."""

from http import HTTPStatus

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.deprecation import MiddlewareMixin

from orchestrator.access.errors import Refusal

STATUS = {
    "not_found": HTTPStatus.NOT_FOUND,
    "forbidden": HTTPStatus.FORBIDDEN,
    "conflict": HTTPStatus.CONFLICT,
    "malformed": HTTPStatus.BAD_REQUEST,
    "invalid": HTTPStatus.UNPROCESSABLE_ENTITY,
    "too_many_requests": HTTPStatus.TOO_MANY_REQUESTS,
}


class RefusalPages(MiddlewareMixin):
    """Turns a refusal that a page let through into a page; the API has answers of its own."""

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Answer a refusal; leave every other exception alone."""
        if request.path.startswith("/api/") or not isinstance(exception, Refusal):
            return None
        return refusal_page(request, exception)


def refusal_page(request: HttpRequest, refusal: Refusal) -> HttpResponse:
    """Draw the page of one refusal, with the status code it stands for."""
    status = status_of(refusal)
    if status is HTTPStatus.NOT_FOUND:
        return page_not_found(request, refusal)
    if status is HTTPStatus.FORBIDDEN:
        return no_access(request, refusal)
    return render(request, "refused.html", {"message": refusal.message}, status=status)


def status_of(refusal: Refusal) -> HTTPStatus:
    """Return the status code that a refusal stands for."""
    return STATUS.get(refusal.code, HTTPStatus.BAD_REQUEST)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer an unknown address, or an object the actor may not see."""
    message = exception.message if isinstance(exception, Refusal) else ""
    return render(request, "404.html", {"message": message}, status=HTTPStatus.NOT_FOUND)


def no_access(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Answer somebody who lacks a right: which one, and who can give it."""
    context: dict[str, object] = {}
    if isinstance(exception, Refusal):
        context = {"message": exception.message, **exception.details}
    return render(request, "403.html", context, status=HTTPStatus.FORBIDDEN)


def form_expired(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer a form whose token is missing or old; nothing was changed."""
    return render(request, "403_csrf.html", {"reason": reason}, status=HTTPStatus.FORBIDDEN)
