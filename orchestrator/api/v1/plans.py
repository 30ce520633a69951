"""A plan that waits for a person: start it, or leave things as they are."""

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from orchestrator.api.authentication import actor_of
from orchestrator.api.idempotency import idempotent
from orchestrator.api.v1.serializers import REASON_LIMIT, CamelSerializer, ReasonBody, body
from orchestrator.api.v1.shapes import ExecutionDetail
from orchestrator.selectors import executions
from orchestrator.services import plans

HASH_LENGTH = 64


class ConfirmBody(CamelSerializer):
    """Which plan to start."""

    hash = serializers.CharField(max_length=HASH_LENGTH, help_text="Of the plan you have seen.")
    reason = serializers.CharField(
        required=False, allow_blank=True, default="", max_length=REASON_LIMIT
    )


class RejectBody(ReasonBody):
    """Which plan to drop."""

    hash = serializers.CharField(max_length=HASH_LENGTH, help_text="Of the plan you have seen.")


class ConfirmView(APIView):
    """Start it."""

    @extend_schema(operation_id="confirm_plan", request=ConfirmBody, responses=ExecutionDetail)
    @idempotent
    def post(self, request: Request, execution_id: str) -> Response:
        """Start the plan that waits; 409 when it is not the one you have seen."""
        given = body(ConfirmBody, request)
        actor = actor_of(request)
        key = executions.find_execution(actor=actor, execution_id=execution_id).pk
        plans.confirm_plan(
            actor=actor, execution_id=key, plan_hash=given["hash"], reason=given["reason"]
        )
        return Response(executions.execution_detail(actor=actor, execution_id=key))


class RejectView(APIView):
    """Drop it."""

    @extend_schema(operation_id="reject_plan", request=RejectBody, responses=ExecutionDetail)
    @idempotent
    def post(self, request: Request, execution_id: str) -> Response:
        """Drop the plan that waits: what was done stays until somebody asks again."""
        given = body(RejectBody, request)
        actor = actor_of(request)
        key = executions.find_execution(actor=actor, execution_id=execution_id).pk
        plans.reject_plan(
            actor=actor, execution_id=key, plan_hash=given["hash"], reason=given["reason"]
        )
        return Response(executions.execution_detail(actor=actor, execution_id=key))
