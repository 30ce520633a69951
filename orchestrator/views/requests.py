"""What every page view is given: a request whose user is signed in."""

from django.contrib.auth.models import User
from django.http import HttpRequest


class PageRequest(HttpRequest):
    """A request that passed the sign-in wall; anonymous ones were sent to the sign-in page."""

    user: User


def text(request: HttpRequest, name: str, default: str = "") -> str:
    """Return a posted field without surrounding blanks."""
    return request.POST.get(name, default).strip()
