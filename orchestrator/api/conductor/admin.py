"""Health and version, which clients of the protocol ask without a login."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING

from rest_framework.permissions import AllowAny
from rest_framework.response import Response

from orchestrator.api.conductor import base
from orchestrator.api.conductor.base import ConductorView

if TYPE_CHECKING:
    from django.http import HttpResponse
    from rest_framework.request import Request


class HealthView(ConductorView):
    """Whether the server answers."""

    permission_classes = (AllowAny,)

    def get(self, request: Request) -> Response:  # noqa: ARG002  # the framework's signature
        """Say so."""
        return Response({"healthy": True})


class VersionView(ConductorView):
    """Which server this is."""

    permission_classes = (AllowAny,)

    def get(self, request: Request) -> HttpResponse:  # noqa: ARG002  # the framework's signature
        """Answer the version as text."""
        return base.bare(version())


def version() -> str:
    """Return the version of this program."""
    try:
        return metadata.version("amends")
    except metadata.PackageNotFoundError:
        return "0.1.0"
