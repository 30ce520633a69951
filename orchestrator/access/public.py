"""What answers without a login: all of it. Whatever is not in this list needs one.

Routes are compared as wholes, as they stand in the URL conf: no prefix, suffix or pattern.
"""

from __future__ import annotations

PUBLIC_ROUTES = frozenset(
    {
        ("GET", "healthz"),
        ("GET", "readyz"),
        ("GET", "metrics"),
        ("GET", "login/"),
        ("POST", "login/"),
        # The sign-in page has the theme menu as well; it sets a cookie and nothing else.
        ("POST", "settings/theme/"),
        ("POST", "api/token"),
        ("GET", "api/health"),
        ("GET", "api/version"),
    }
)

# The shop plays outside services, which our HTTP steps call without a key of ours.
DEMO_ROUTES = frozenset(
    {
        ("POST", "demo/api/do/<str:step>"),
        ("POST", "demo/api/undo/<str:step>"),
        ("GET", "demo/api/probe/<str:step>"),
    }
)


def is_public(method: str, route: str, *, demo: bool) -> bool:
    """Say whether a route answers without a login."""
    asked = ("GET" if method == "HEAD" else method, route)
    return asked in PUBLIC_ROUTES or (demo and asked in DEMO_ROUTES)
