"""What a person sets for themselves: theme and density, kept in cookies; and what they may do."""

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from orchestrator.selectors import people
from orchestrator.selectors.people import DENSITIES, THEMES
from orchestrator.views.requests import PageRequest, text

COOKIE_SECONDS = 365 * 24 * 60 * 60


@require_POST
def choose_theme(request: HttpRequest) -> HttpResponse:
    """Keep the theme in a cookie and go back to the page it was chosen on."""
    wanted = text(request, "next")
    is_ours = url_has_allowed_host_and_scheme(wanted, allowed_hosts={request.get_host()})
    response = HttpResponseRedirect(wanted if is_ours else reverse("dashboard"))
    _keep(request, response, "theme", THEMES)
    return response


@require_GET
def index(request: PageRequest) -> HttpResponse:
    """Lead to the part of the settings that everybody has."""
    return HttpResponseRedirect(reverse("settings_me"))


@require_http_methods(["GET", "HEAD", "POST"])
def me(request: PageRequest) -> HttpResponse:
    """Show who one is and what one may do, and keep the look of the pages."""
    if request.method == "POST":
        response = HttpResponseRedirect(reverse("settings_me"))
        _keep(request, response, "theme", THEMES)
        _keep(request, response, "density", DENSITIES)
        return response
    context = {
        "roles": people.roles_of(user=request.user),
        "groups": people.groups_of(user=request.user),
    }
    return render(request, "orchestrator/settings_me.html", context)


def _keep(
    request: HttpRequest, response: HttpResponse, name: str, allowed: tuple[str, ...]
) -> None:
    value = text(request, name)
    if value in allowed:
        # Read by the script of the theme menu, so not HttpOnly; it says nothing about anybody.
        response.set_cookie(
            name, value, max_age=COOKIE_SECONDS, samesite="Lax", secure=request.is_secure()
        )
