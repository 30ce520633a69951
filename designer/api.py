"""What the editor calls: list and create workflows; load, save, discard and publish drafts."""

from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlencode

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from designer import selectors, services
from designer.serializers import (
    CreateBody,
    CreatedShape,
    DiscardBody,
    DraftBody,
    DraftShape,
    PublishBody,
    PublishedShape,
)
from orchestrator.border.input import LARGE_LIMITS
from orchestrator.selectors import workflows
from orchestrator.selectors.errors import Malformed
from orchestrator.selectors.paging import DEFAULT_LIMIT

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from rest_framework.serializers import Serializer

_LIST_PARAMETERS = [
    OpenApiParameter("text", str, description="Part of the name."),
    OpenApiParameter("archived", bool),
    OpenApiParameter("cursor", str),
    OpenApiParameter("limit", int),
]
_LIST_SHAPE = {
    "type": "object",
    "required": ["results", "next", "previous"],
    "properties": {
        "results": {"type": "array", "items": {"$ref": "#/components/schemas/WorkflowRow"}},
        "next": {"type": "string", "nullable": True},
        "previous": {"type": "string", "nullable": True},
    },
}


class WorkflowsView(APIView):
    """All workflows."""

    input_limits = LARGE_LIMITS

    @extend_schema(
        operation_id="workflows", parameters=_LIST_PARAMETERS, responses={200: _LIST_SHAPE}
    )
    def get(self, request: Request) -> Response:
        """List those you may see, by name."""
        asked = request.query_params
        filters = {key: asked[key] for key in ("text", "archived", "limit") if key in asked}
        page = workflows.workflows_page(
            actor=_actor(request),
            text=asked.get("text", ""),
            archived=asked.get("archived", "").lower() == "true",
            cursor=asked.get("cursor") or None,
            limit=_limit(asked.get("limit", "")),
        )

        def address(cursor: str | None) -> str | None:
            return f"{request.path}?{urlencode({**filters, 'cursor': cursor})}" if cursor else None

        return Response(
            {
                "results": page.results,
                "next": address(page.next),
                "previous": address(page.previous),
            }
        )

    @extend_schema(
        operation_id="create_workflow", request=CreateBody, responses={201: CreatedShape}
    )
    def post(self, request: Request) -> Response:
        """Create one; it starts as a draft."""
        wanted = _body(CreateBody, request)
        draft = services.create_workflow(actor=_actor(request), **wanted)
        return Response({"name": wanted["name"], **draft.public()}, status=201)


class DraftView(APIView):
    """The draft of a workflow."""

    input_limits = LARGE_LIMITS

    @extend_schema(operation_id="draft", responses=DraftShape)
    def get(self, request: Request, name: str) -> Response:
        """Load it."""
        return Response(selectors.draft_of(actor=_actor(request), name=name).public())

    @extend_schema(operation_id="save_draft", request=DraftBody, responses=DraftShape)
    def put(self, request: Request, name: str) -> Response:
        """Save it; 409 with the newer draft when somebody else was faster."""
        draft = services.save_draft(actor=_actor(request), name=name, **_body(DraftBody, request))
        return Response(draft.public())

    @extend_schema(operation_id="discard_draft", request=DiscardBody, responses=DraftShape)
    def delete(self, request: Request, name: str) -> Response:
        """Throw unpublished work away."""
        draft = services.discard_draft(
            actor=_actor(request), name=name, **_body(DiscardBody, request)
        )
        return Response(draft.public())


class PublishView(APIView):
    """Publishing."""

    @extend_schema(
        operation_id="publish_draft", request=PublishBody, responses={201: PublishedShape}
    )
    def post(self, request: Request, name: str) -> Response:
        """Make the draft the next version."""
        published = services.publish_draft(
            actor=_actor(request), name=name, **_body(PublishBody, request)
        )
        return Response(published, status=201)


def _actor(request: Request) -> "User":
    return cast("User", request.user)


def _body(kind: type["Serializer[Any]"], request: Request) -> dict[str, Any]:
    given = kind(data=request.data)
    given.is_valid(raise_exception=True)
    return dict(given.validated_data)


def _limit(text: str) -> int:
    if not text:
        return DEFAULT_LIMIT
    if not text.isascii() or not text.isdecimal() or len(text) > 9:
        raise Malformed("The limit is not a whole number.")
    return int(text)
