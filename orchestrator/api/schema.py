"""The OpenAPI document of our own face, and its browser."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

OURS = ("/api/v1/", "/api/token")


def only_ours(endpoints: list[tuple[str, str, str, Any]]) -> list[tuple[str, str, str, Any]]:
    """Leave out the Conductor face, which its own project describes; named in the settings."""
    return [endpoint for endpoint in endpoints if endpoint[0].startswith(OURS)]


class ActorScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # its registry is untyped
    """How to say who calls."""

    target_class = "orchestrator.api.authentication.ActorAuthentication"
    name = ["token", "session"]

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, str]]:  # noqa: ARG002  # its signature
        """Describe token and session."""
        return [
            {"type": "apiKey", "in": "header", "name": "X-Authorization"},
            {"type": "apiKey", "in": "cookie", "name": "sessionid"},
        ]


class SchemaView(SpectacularAPIView):
    """The document, as YAML or with `?format=json`."""


class DocsView(SpectacularSwaggerSplitView):
    """The document as pages, whose scripts and styles are all served from here."""

    template_name = "orchestrator/api_docs.html"
    url_name = "schema"
