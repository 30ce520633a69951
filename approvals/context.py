"""The number beside “Approvals” on every page."""

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from approvals import selectors


def waiting(request: HttpRequest) -> dict[str, object]:
    """Give templates the number of requests that wait for whoever looks; counted only if drawn."""

    def count() -> int:
        user = request.user
        return selectors.pending_count(user) if user.is_authenticated else 0

    return {"approvals_waiting": SimpleLazyObject(count)}
