"""Who may do what on a workflow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drf_spectacular.utils import extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from orchestrator.api.authentication import actor_of
from orchestrator.api.v1.account_shapes import Grants
from orchestrator.api.v1.serializers import body
from orchestrator.selectors.grants import workflow_grants
from orchestrator.selectors.workflows import find_workflow
from orchestrator.services.grants import change_grants

if TYPE_CHECKING:
    from rest_framework.request import Request


class GrantsView(APIView):
    """Roles of users and groups on one workflow."""

    @extend_schema(summary="Who may do what?", responses=Grants, tags=["access"])
    def get(self, request: Request, name: str) -> Response:
        """Answer all roles given on the workflow."""
        return Response({"grants": workflow_grants(actor=actor_of(request), name=name)})

    @extend_schema(summary="Say who may do what", request=Grants, responses=Grants, tags=["access"])
    def put(self, request: Request, name: str) -> Response:
        """Make the roles exactly these; only the last admin stays in any case."""
        actor = actor_of(request)
        # Whoever may not see the workflow must not learn from a 422 that it is there.
        find_workflow(actor=actor, name=name)
        wanted = [dict(grant) for grant in body(Grants, request)["grants"]]
        return Response({"grants": change_grants(actor=actor, workflow_name=name, wanted=wanted)})
