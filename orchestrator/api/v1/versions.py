"""Versions of a workflow; they are only ever read, publishing is the designer's."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from orchestrator.api.authentication import actor_of
from orchestrator.api.pages import check_parameters, page_answer, page_query
from orchestrator.api.v1.lists import PAGE_PARAMETERS, list_of
from orchestrator.api.v1.shapes import VersionDetail, VersionDiff, VersionRow
from orchestrator.selectors import differences, workflows
from orchestrator.services import simulations


class VersionsView(APIView):
    """All versions of a workflow."""

    @extend_schema(
        operation_id="versions", parameters=PAGE_PARAMETERS, responses=list_of(VersionRow)
    )
    def get(self, request: Request, name: str) -> Response:
        """List them, the newest first."""
        check_parameters(request, ())
        asked = page_query(request)
        page = workflows.versions_page(
            actor=actor_of(request), name=name, cursor=asked.cursor, limit=asked.limit
        )
        return page_answer(request, page)


class VersionView(APIView):
    """One version."""

    @extend_schema(operation_id="version", responses=VersionDetail)
    def get(self, request: Request, name: str, number: int) -> Response:
        """Show it with its definition."""
        actor = actor_of(request)
        found = workflows.version_detail(actor=actor, name=name, number=number)
        return Response({**found, **simulations.summary_of(actor=actor, name=name, number=number)})


class DiffView(APIView):
    """Two versions side by side."""

    @extend_schema(operation_id="version_diff", responses=VersionDiff)
    def get(self, request: Request, name: str, old: int, new: int) -> Response:
        """Say which steps were added, removed and changed."""
        return Response(
            differences.version_diff(actor=actor_of(request), name=name, old=old, new=new)
        )
