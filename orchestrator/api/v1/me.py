"""Who am I, which rights do I hold where, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drf_spectacular.utils import extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from orchestrator.api.authentication import actor_of
from orchestrator.api.v1.account_shapes import Me
from orchestrator.selectors import accounts

if TYPE_CHECKING:
    from rest_framework.request import Request


class MeView(APIView):
    """The caller."""

    @extend_schema(summary="Who am I, and what may I do where?", responses=Me, tags=["accounts"])
    def get(self, request: Request) -> Response:
        """Answer name, groups and rights with their reasons."""
        return Response(accounts.me(actor=actor_of(request)))
