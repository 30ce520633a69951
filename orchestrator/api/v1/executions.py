"""Executions: list, start, look at, and steer."""

from uuid import UUID

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from orchestrator.api.authentication import actor_of
from orchestrator.api.idempotency import idempotent, key_of
from orchestrator.api.pages import check_parameters, page_answer, page_query
from orchestrator.api.v1.answers import second_person
from orchestrator.api.v1.lists import PAGE_PARAMETERS, list_of
from orchestrator.api.v1.serializers import (
    REASON_LIMIT,
    CamelSerializer,
    JSONObject,
    ReasonBody,
    body,
    query,
)
from orchestrator.api.v1.shapes import (
    ExecutionDetail,
    ExecutionRow,
    LedgerRow,
    PlanPreview,
    SecondPerson,
    StepRow,
    TraceShape,
)
from orchestrator.border.input import LARGE_LIMITS
from orchestrator.selectors import executions, trace
from orchestrator.selectors.executions import ExecutionFilters
from orchestrator.services import compensations as compensation_services
from orchestrator.services import entry_acts, run_retries
from orchestrator.services import executions as execution_services

NAME_LIMIT = 255


class ExecutionsQuery(CamelSerializer):
    """What to list."""

    workflow = serializers.CharField(required=False, default="", allow_blank=True)
    version = serializers.IntegerField(required=False, default=None, min_value=1)
    state = serializers.CharField(
        required=False, default="", allow_blank=True, help_text="One or more, with commas."
    )
    correlation_id = serializers.CharField(required=False, default="", allow_blank=True)
    text = serializers.CharField(required=False, default="", allow_blank=True)
    started_from = serializers.DateTimeField(required=False, default=None)
    started_to = serializers.DateTimeField(required=False, default=None)
    ended_from = serializers.DateTimeField(required=False, default=None)
    ended_to = serializers.DateTimeField(required=False, default=None)


class StartBody(CamelSerializer):
    """What to start."""

    workflow_name = serializers.CharField(max_length=NAME_LIMIT)
    version = serializers.IntegerField(required=False, allow_null=True, default=None, min_value=0)
    input = JSONObject(required=False, default=dict)
    correlation_id = serializers.CharField(
        required=False, allow_blank=True, default="", max_length=NAME_LIMIT
    )
    priority = serializers.IntegerField(required=False, default=0, min_value=0, max_value=99)


class OptionalReasonBody(CamelSerializer):
    """Why, if somebody wants to say."""

    reason = serializers.CharField(
        required=False, allow_blank=True, default="", max_length=REASON_LIMIT
    )


class CancelBody(ReasonBody):
    """How to cancel."""

    compensate = serializers.BooleanField(help_text="Undo what was done.")


class CompensateBody(ReasonBody):
    """What to undo."""

    entries = serializers.ListField(
        child=serializers.UUIDField(), required=False, allow_null=True, default=None
    )
    force = serializers.BooleanField(
        required=False,
        default=False,
        help_text="Go past a pivot, a seal or the order; takes two persons with break_glass.",
    )


class SettleBody(ReasonBody):
    """Whether a step took effect."""

    applied = serializers.BooleanField()
    output = JSONObject(required=False, allow_null=True, default=None)


class TraceQuery(CamelSerializer):
    """Which part of the trace."""

    after = serializers.IntegerField(required=False, default=0, min_value=0, max_value=2**31 - 1)
    limit = serializers.IntegerField(
        required=False, default=trace.TRACE_LIMIT, min_value=1, max_value=trace.TRACE_LIMIT
    )


_KEY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="The same key with the same body gives the same execution.",
)


class ExecutionsView(APIView):
    """All executions."""

    input_limits = LARGE_LIMITS

    @extend_schema(
        operation_id="executions",
        parameters=[ExecutionsQuery, *PAGE_PARAMETERS],
        responses=list_of(ExecutionRow),
    )
    def get(self, request: Request) -> Response:
        """List those you may see, the newest first."""
        check_parameters(request, ExecutionsQuery().fields)
        asked, wanted = page_query(request), query(ExecutionsQuery, request)
        states = tuple(state for state in wanted.pop("state").split(",") if state)
        page = executions.executions_page(
            actor=actor_of(request),
            filters=ExecutionFilters(states=states, **wanted),
            cursor=asked.cursor,
            limit=asked.limit,
        )
        return page_answer(request, page)

    @extend_schema(
        operation_id="start_execution",
        parameters=[_KEY],
        request=StartBody,
        responses={200: ExecutionDetail, 201: ExecutionDetail},
    )
    def post(self, request: Request) -> Response:
        """Start a workflow; 200 when the key was used before, else 201."""
        actor = actor_of(request)
        started = execution_services.start_execution(
            actor=actor, idempotency_key=key_of(request), **body(StartBody, request)
        )
        detail = executions.execution_detail(actor=actor, execution_id=started.id)
        return Response(detail, status=201 if started.created else 200)


class ExecutionView(APIView):
    """One execution."""

    @extend_schema(operation_id="execution", responses=ExecutionDetail)
    def get(self, request: Request, execution_id: str) -> Response:
        """Show it with its steps, its ledger and its plan."""
        return _detail(request, execution_id)


class StepsView(APIView):
    """The step runs of a long execution."""

    @extend_schema(
        operation_id="execution_steps", parameters=PAGE_PARAMETERS, responses=list_of(StepRow)
    )
    def get(self, request: Request, execution_id: str) -> Response:
        """List them in the order of scheduling."""
        asked = page_query(request)
        page = executions.execution_steps(
            actor=actor_of(request),
            execution_id=execution_id,
            cursor=asked.cursor,
            limit=asked.limit,
        )
        return page_answer(request, page)


class LedgerView(APIView):
    """The ledger of a long execution."""

    @extend_schema(
        operation_id="execution_ledger", parameters=PAGE_PARAMETERS, responses=list_of(LedgerRow)
    )
    def get(self, request: Request, execution_id: str) -> Response:
        """List the entries in the order of scheduling."""
        asked = page_query(request)
        page = executions.execution_ledger(
            actor=actor_of(request),
            execution_id=execution_id,
            cursor=asked.cursor,
            limit=asked.limit,
        )
        return page_answer(request, page)


class TraceView(APIView):
    """Everything that happened."""

    @extend_schema(operation_id="execution_trace", parameters=[TraceQuery], responses=TraceShape)
    def get(self, request: Request, execution_id: str) -> Response:
        """List the events in order; `next` is what to ask `after` for more."""
        wanted = query(TraceQuery, request)
        events = trace.events_after(
            actor=actor_of(request),
            execution_id=execution_id,
            seq=wanted["after"],
            limit=wanted["limit"],
        )
        more = str(events[-1]["seq"]) if len(events) == wanted["limit"] else None
        return Response({"events": events, "next": more})


class CancelView(APIView):
    """Stop it."""

    @extend_schema(operation_id="cancel", request=CancelBody, responses=ExecutionDetail)
    @idempotent
    def post(self, request: Request, execution_id: str) -> Response:
        """Cancel, with or without undo."""
        execution_services.cancel_execution(
            actor=actor_of(request),
            execution_id=_visible(request, execution_id),
            **body(CancelBody, request),
        )
        return _detail(request, execution_id)


class PauseView(APIView):
    """Hold it."""

    @extend_schema(operation_id="pause", request=None, responses=ExecutionDetail)
    @idempotent
    def post(self, request: Request, execution_id: str) -> Response:
        """Dispatch nothing new, in either direction, until it is resumed."""
        execution_services.pause_execution(
            actor=actor_of(request), execution_id=_visible(request, execution_id)
        )
        return _detail(request, execution_id)


class ResumeView(APIView):
    """Let it go on."""

    @extend_schema(operation_id="resume", request=None, responses=ExecutionDetail)
    @idempotent
    def post(self, request: Request, execution_id: str) -> Response:
        """Resume after a pause."""
        execution_services.resume_execution(
            actor=actor_of(request), execution_id=_visible(request, execution_id)
        )
        return _detail(request, execution_id)


class RetryView(APIView):
    """Try again what failed."""

    @extend_schema(operation_id="retry", request=OptionalReasonBody, responses=ExecutionDetail)
    @idempotent
    def post(self, request: Request, execution_id: str) -> Response:
        """Retry from the failed step; refused once an undo was dispatched."""
        run_retries.retry_execution(
            actor=actor_of(request),
            execution_id=_visible(request, execution_id),
            **body(OptionalReasonBody, request),
        )
        return _detail(request, execution_id)


class CompensateView(APIView):
    """Undo it."""

    @extend_schema(
        operation_id="compensate",
        request=CompensateBody,
        responses={200: ExecutionDetail, 202: SecondPerson},
    )
    @idempotent
    def post(self, request: Request, execution_id: str) -> Response:
        """Undo all of it, or chosen entries; 202 when a second person must ask for the same."""
        waiting = compensation_services.request_compensation(
            actor=actor_of(request),
            execution_id=_visible(request, execution_id),
            **body(CompensateBody, request),
        )
        if waiting is not None:
            return second_person(waiting)
        return _detail(request, execution_id)


class PreviewView(APIView):
    """What an undo would do."""

    @extend_schema(operation_id="compensation_preview", responses=PlanPreview)
    def get(self, request: Request, execution_id: str) -> Response:
        """Show the plan that `compensate` would make now."""
        preview = compensation_services.preview(
            actor=actor_of(request), execution_id=_visible(request, execution_id)
        )
        return Response(preview)


class SettleView(APIView):
    """Did this happen?"""

    @extend_schema(operation_id="settle_step", request=SettleBody, responses=ExecutionDetail)
    @idempotent
    def post(self, request: Request, execution_id: str, step_id: UUID) -> Response:
        """Say whether a step of unknown outcome took effect."""
        entry_acts.settle_step(
            actor=actor_of(request),
            execution_id=_visible(request, execution_id),
            step_id=step_id,
            **body(SettleBody, request),
        )
        return _detail(request, execution_id)


def _detail(request: Request, execution_id: str) -> Response:
    detail = executions.execution_detail(actor=actor_of(request), execution_id=execution_id)
    return Response(detail)


def _visible(request: Request, execution_id: str) -> UUID:
    """Return the id of an execution the actor may see; the service asks for the right itself."""
    return executions.find_execution(actor=actor_of(request), execution_id=execution_id).pk
