"""Workflows: one of them, changed, archived, checked, and what it gives a start.

The list, creating and drafts are the designer's (`designer.api`).
"""

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from orchestrator.api.authentication import actor_of
from orchestrator.api.v1.serializers import (
    AnyJSON,
    CamelSerializer,
    JSONObject,
    ProblemRow,
    body,
)
from orchestrator.api.v1.shapes import CoverageShape, RolloutShape, WorkflowDetail
from orchestrator.border.input import LARGE_LIMITS
from orchestrator.selectors import workflows
from orchestrator.services import validating
from orchestrator.services import workflows as workflow_services


class ChangeBody(CamelSerializer):
    """What may be changed without publishing."""

    description = serializers.CharField(required=False, allow_blank=True)
    samples = serializers.ListField(child=JSONObject(), required=False)
    archived = serializers.BooleanField(required=False)


class DefinitionBody(CamelSerializer):
    """A definition to look at."""

    definition = AnyJSON(allow_null=True)


class ProblemsShape(CamelSerializer):
    """What is wrong with it, and how much of it can be undone."""

    problems = ProblemRow(many=True)
    coverage = CoverageShape(allow_null=True)


class WorkflowView(APIView):
    """One workflow."""

    @extend_schema(operation_id="workflow", responses=WorkflowDetail)
    def get(self, request: Request, name: str) -> Response:
        """Show it, with its samples and your rights."""
        return Response(workflows.workflow_detail(actor=actor_of(request), name=name))

    @extend_schema(operation_id="change_workflow", request=ChangeBody, responses=WorkflowDetail)
    def patch(self, request: Request, name: str) -> Response:
        """Change its description or samples, or archive or restore it."""
        actor = actor_of(request)
        wanted = body(ChangeBody, request)
        archived = wanted.pop("archived", None)
        if wanted:
            workflow_services.change_workflow(actor=actor, name=name, **wanted)
        if archived is True:
            workflow_services.archive_workflow(actor=actor, name=name)
        elif archived is False:
            workflow_services.restore_workflow(actor=actor, name=name)
        return Response(workflows.workflow_detail(actor=actor, name=name))

    @extend_schema(operation_id="archive_workflow", responses={204: None})
    def delete(self, request: Request, name: str) -> Response:
        """Archive it: no new starts; what runs goes on."""
        workflow_services.archive_workflow(actor=actor_of(request), name=name)
        return Response(status=204)


class ValidateView(APIView):
    """What publishing would say."""

    input_limits = LARGE_LIMITS

    @extend_schema(
        operation_id="validate_definition", request=DefinitionBody, responses=ProblemsShape
    )
    def post(self, request: Request, name: str) -> Response:
        """List everything wrong with a definition; changes nothing."""
        wanted = body(DefinitionBody, request)
        actor = actor_of(request)
        return Response(validating.validate(document=wanted["definition"], name=name, actor=actor))


class RolloutView(APIView):
    """Which version starts get."""

    @extend_schema(operation_id="rollout", responses=RolloutShape)
    def get(self, request: Request, name: str) -> Response:
        """Show the stable version: the newest, until somebody sets one."""
        number = workflows.stable_number(actor=actor_of(request), name=name)
        return Response({"stable": number})
