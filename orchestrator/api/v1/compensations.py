"""Undos that need somebody: list them, try again, skip, settle by hand, take over."""

from collections.abc import Callable
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from orchestrator.api.authentication import actor_of
from orchestrator.api.idempotency import idempotent
from orchestrator.api.pages import check_parameters, page_answer, page_query
from orchestrator.api.v1.lists import PAGE_PARAMETERS, list_of
from orchestrator.api.v1.serializers import (
    CamelSerializer,
    JSONObject,
    ReasonBody,
    body,
    query,
)
from orchestrator.api.v1.shapes import CompensationRow
from orchestrator.selectors import compensations
from orchestrator.services import entry_acts as services

NOTE_LIMIT = 10_000


class CompensationsQuery(CamelSerializer):
    """What to list."""

    state = serializers.CharField(
        required=False,
        default="",
        allow_blank=True,
        help_text="One or more, with commas; none = all that are under way.",
    )
    workflow = serializers.CharField(required=False, default="", allow_blank=True)


class ActBody(ReasonBody):
    """Why somebody settles an undo."""

    note = serializers.CharField(
        required=False, allow_blank=True, default="", max_length=NOTE_LIMIT
    )


class ResolveBody(ActBody):
    """How it was settled."""

    harmless = serializers.BooleanField(
        required=False, default=False, help_text="Of a late effect: it needs no undo."
    )


class AmendBody(ActBody):
    """Another input for an undo that failed."""

    input = JSONObject(
        help_text="What is sent: the body of an HTTP undo, the input of any other task."
    )
    not_applied = serializers.BooleanField(
        required=False,
        default=False,
        help_text="Attests that no call of the round before was applied.",
    )


class CompensationsView(APIView):
    """Ledger entries of all executions."""

    @extend_schema(
        operation_id="compensations",
        parameters=[CompensationsQuery, *PAGE_PARAMETERS],
        responses=list_of(CompensationRow),
    )
    def get(self, request: Request) -> Response:
        """List undos that are under way, or those in the states asked for."""
        check_parameters(request, ("state", "workflow"))
        asked, wanted = page_query(request), query(CompensationsQuery, request)
        states = tuple(state for state in wanted.pop("state").split(",") if state)
        page = compensations.compensations_page(
            actor=actor_of(request),
            states=states,
            workflow=wanted["workflow"],
            cursor=asked.cursor,
            limit=asked.limit,
        )
        return page_answer(request, page)


class EntryActView(APIView):
    """Something a person does about one undo."""

    act: Callable[..., object]
    shape: type[ReasonBody] = ActBody

    def perform(self, request: Request, entry_id: UUID) -> Response:
        """Do it and show the entry as it is now."""
        actor = actor_of(request)
        compensations.find_entry(actor=actor, entry_id=entry_id)
        type(self).act(actor=actor, entry_id=entry_id, **body(self.shape, request))
        return Response(compensations.entry_detail(actor=actor, entry_id=entry_id))


class RetryView(EntryActView):
    """Try an undo again."""

    act = staticmethod(services.retry_entry)

    @extend_schema(operation_id="retry_undo", request=ActBody, responses=CompensationRow)
    @idempotent
    def post(self, request: Request, entry_id: UUID) -> Response:
        """Hand it back to the engine."""
        return self.perform(request, entry_id)


class AmendView(EntryActView):
    """Try an undo again with another input."""

    act = staticmethod(services.amend_entry)
    shape = AmendBody

    @extend_schema(operation_id="amend_undo", request=AmendBody, responses=CompensationRow)
    @idempotent
    def post(self, request: Request, entry_id: UUID) -> Response:
        """Send it anew, under a new key; people are asked again if its policy says so."""
        return self.perform(request, entry_id)


class SkipView(EntryActView):
    """Leave an effect as it is."""

    act = staticmethod(services.skip_entry)

    @extend_schema(operation_id="skip_undo", request=ActBody, responses=CompensationRow)
    @idempotent
    def post(self, request: Request, entry_id: UUID) -> Response:
        """Waive the undo."""
        return self.perform(request, entry_id)


class ResolveView(EntryActView):
    """Say that it was undone by hand."""

    act = staticmethod(services.resolve_entry)
    shape = ResolveBody

    @extend_schema(operation_id="resolve_undo", request=ResolveBody, responses=CompensationRow)
    @idempotent
    def post(self, request: Request, entry_id: UUID) -> Response:
        """Settle it, with a note of what was done."""
        return self.perform(request, entry_id)


class ToManualView(EntryActView):
    """Take an undo over."""

    act = staticmethod(services.send_to_manual)

    @extend_schema(operation_id="undo_to_manual", request=ActBody, responses=CompensationRow)
    @idempotent
    def post(self, request: Request, entry_id: UUID) -> Response:
        """Keep the engine from trying; a person will undo it by hand."""
        return self.perform(request, entry_id)
