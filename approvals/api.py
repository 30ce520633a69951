"""Approvals under /api/v1: read what waits, decide."""

from typing import TYPE_CHECKING
from uuid import UUID

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from approvals import selectors, services
from approvals.serializers import ApprovalSerializer, DecideSerializer
from orchestrator.services.errors import Malformed, NotFound

if TYPE_CHECKING:
    from django.contrib.auth.models import User

_TRUE = {"true", "1", "yes"}


def _actor(request: Request) -> "User":
    """Return who calls; the door has let nobody else in."""
    actor: User = request.user  # type: ignore[assignment]  # never anonymous here
    return actor


class ApprovalsView(APIView):
    """Requests to approve undos."""

    @extend_schema(
        parameters=[OpenApiParameter("state"), OpenApiParameter("mine", bool)],
        responses=ApprovalSerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        """List requests, the least time left first."""
        state = request.query_params.get("state", "")
        if state and state.lower() not in selectors.STATES:
            raise Malformed(f"There is no approval state {state!r}.")
        mine = request.query_params.get("mine", "").lower() in _TRUE
        rows = selectors.waiting_for(_actor(request), state=state, mine=mine)
        shown = [selectors.as_dict(row, _actor(request)) for row in rows]
        return Response({"results": shown, "next": None, "previous": None})


class ApprovalView(APIView):
    """One request."""

    @extend_schema(responses=ApprovalSerializer)
    def get(self, request: Request, approval_id: UUID) -> Response:
        """Show a request with its votes."""
        found = selectors.find_visible(_actor(request), approval_id)
        if found is None:
            raise NotFound(f"There is no approval {approval_id}.")
        return Response(selectors.as_dict(found, _actor(request)))


class DecideView(APIView):
    """The decision on one request."""

    @extend_schema(request=DecideSerializer, responses=ApprovalSerializer)
    def post(self, request: Request, approval_id: UUID) -> Response:
        """Approve or refuse; a second decision is answered 409 with the first one."""
        given = DecideSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        answer = services.cast_vote(
            actor=_actor(request), approval_id=approval_id, **given.validated_data
        )
        return Response(answer)
