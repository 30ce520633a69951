"""The audit trail: read, verify, take away. Nothing here changes or deletes an entry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.response import Response
from rest_framework.views import APIView

from orchestrator.access.limits import Limit, take
from orchestrator.api.authentication import actor_of
from orchestrator.api.pages import check_parameters, page_answer, page_query
from orchestrator.api.v1.account_shapes import (
    AuditEntryShape,
    AuditExportQuery,
    AuditFilters,
    ChainVerdict,
)
from orchestrator.api.v1.lists import PAGE_PARAMETERS, list_of
from orchestrator.api.v1.serializers import query
from orchestrator.audit import export
from orchestrator.audit.selectors import Filters
from orchestrator.selectors import audit as selectors
from orchestrator.services.audit import begin_export

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rest_framework.request import Request

FILTERS = ("subject", "action", "actor", "text")
EXPORTS = Limit(name="audit-export", times=30, seconds=3600)
_CONTENT_TYPES = {"csv": "text/csv; charset=utf-8", "jsonl": "application/x-ndjson"}


class AuditView(APIView):
    """Entries that the caller may read."""

    @extend_schema(
        summary="Who did what?",
        parameters=[AuditFilters, *PAGE_PARAMETERS],
        responses=list_of(AuditEntryShape),
        tags=["audit"],
    )
    def get(self, request: Request) -> Response:
        """Answer entries, the newest first."""
        check_parameters(request, FILTERS)
        wanted = page_query(request)
        page = selectors.audit_page(
            actor=actor_of(request),
            filters=_filters(query(AuditFilters, request)),
            cursor=wanted.cursor,
            limit=wanted.limit,
        )
        return page_answer(request, page)


class AuditVerifyView(APIView):
    """The chain of hashes."""

    @extend_schema(summary="Does the chain hold?", responses=ChainVerdict, tags=["audit"])
    def get(self, request: Request) -> Response:
        """Read all entries and say whether the chain holds."""
        verdict = selectors.verify(actor=actor_of(request))
        return Response(
            {
                "ok": verdict.ok,
                "checked": verdict.checked,
                "brokenAt": verdict.broken_at,
                "problem": verdict.problem,
            }
        )


class AuditExportView(APIView):
    """Entries as a file."""

    def perform_content_negotiation(
        self,
        request: Request,  # noqa: ARG002  # the framework's signature
        force: bool = False,  # noqa: ARG002, FBT001, FBT002
    ) -> tuple[BaseRenderer, str]:
        """Keep `format` for ourselves; the framework would take it for the name of a renderer."""
        return JSONRenderer(), "application/json"

    @extend_schema(
        summary="Take the trail away",
        parameters=[AuditExportQuery],
        responses={(200, "text/csv"): OpenApiTypes.STR},
        tags=["audit"],
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        """Answer a file of entries, the newest first; that is an entry of its own."""
        check_parameters(request, (*FILTERS, "format"))
        asked = query(AuditExportQuery, request)
        form = asked["format"]
        actor = actor_of(request)
        take(EXPORTS, str(actor.pk))
        rows = begin_export(actor=actor, filters=_filters(asked), form=form)
        return StreamingHttpResponse(
            export.lines(selectors.in_pieces(rows), form),
            content_type=_CONTENT_TYPES[form],
            headers={
                "Content-Disposition": f'attachment; filename="audit.{form}"',
                "Cache-Control": "no-store",
            },
        )


def _filters(asked: Mapping[str, str]) -> Filters:
    return Filters(
        subject=asked["subject"],
        action=asked["action"],
        actor=asked["actor"],
        text=asked["text"],
    )
