"""Tags of the frame: icons, theme and density, the main navigation, changed queries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django import template
from django.templatetags.static import static
from django.urls import reverse
from django.utils.html import format_html

from orchestrator.selectors.people import DENSITIES, THEMES

if TYPE_CHECKING:
    from django.http import HttpRequest
    from django.utils.safestring import SafeString

register = template.Library()


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """One link of the main navigation."""

    label: str
    icon: str
    address: str
    is_current: bool


NAVIGATION = (
    ("Dashboard", "dashboard", "dashboard"),
    ("Workflows", "workflows", "workflow_list"),
    ("Runs", "runs", "run_list"),
    ("Approvals", "approvals", "approval_list"),
    ("Audit", "audit", "audit_list"),
    ("Settings", "settings", "settings_me"),
)


@register.simple_tag
def icon(name: str, size: str = "") -> SafeString:
    """Draw an icon of the sprite; it is decoration, the word stands beside it."""
    return format_html(
        '<svg class="icon{}" aria-hidden="true" focusable="false"><use href="{}#{}"/></svg>',
        f" icon-{size}" if size else "",
        static("img/icons.svg"),
        name,
    )


@register.simple_tag(takes_context=True)
def theme(context: template.Context) -> str:
    """Return the chosen theme, so that the first paint is already right."""
    return _chosen(context, "theme", THEMES, "system")


@register.simple_tag(takes_context=True)
def density(context: template.Context) -> str:
    """Return the chosen density of rows and controls."""
    return _chosen(context, "density", DENSITIES, "cosy")


@register.simple_tag(takes_context=True)
def destinations(context: template.Context) -> list[Destination]:
    """List the links of the main navigation; the present one is the one the address lies under."""
    request: HttpRequest | None = context.get("request")
    path = request.path if request else ""
    return [
        Destination(
            label=label,
            icon=picture,
            address=address,
            is_current=_is_under(path, label, address),
        )
        for label, picture, address in ((a, b, reverse(c)) for a, b, c in NAVIGATION)
    ]


@register.simple_tag(takes_context=True)
def with_query(context: template.Context, **changes: object) -> str:
    """Return the present query string with some keys set, or left out where the value is empty."""
    query = context["request"].GET.copy()
    for key, value in changes.items():
        query.pop(key, None)
        if value not in (None, ""):
            query[key] = str(value)
    encoded = query.urlencode()
    return f"?{encoded}" if encoded else "?"


def _chosen(context: template.Context, name: str, allowed: tuple[str, ...], default: str) -> str:
    request: HttpRequest | None = context.get("request")
    value = request.COOKIES.get(name) if request else None
    return value if value in allowed else default


def _is_under(path: str, label: str, address: str) -> bool:
    if label == "Settings":
        return path.startswith("/settings/")
    return path == address if address == "/" else path.startswith(address)
