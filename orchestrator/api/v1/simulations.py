"""The undo simulator: what happens at each failure of a definition; nothing is called."""

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from orchestrator.api.authentication import actor_of
from orchestrator.api.v1.serializers import AnyJSON, CamelSerializer, JSONObject, body
from orchestrator.api.v1.shapes import CoverageShape, WeakPoint
from orchestrator.border.input import LARGE_LIMITS
from orchestrator.services import simulations

_TEXT = serializers.CharField
_NUMBER = serializers.IntegerField
_TEXTS = serializers.ListField


class SimulateBody(CamelSerializer):
    """What to play."""

    definition = AnyJSON(required=False, allow_null=True, default=None)
    version = _NUMBER(
        required=False, allow_null=True, default=None, min_value=1, help_text="Default: stable."
    )
    input = JSONObject(
        required=False, allow_null=True, default=None, help_text="Default: the first sample."
    )
    mocks = JSONObject(
        required=False,
        allow_null=True,
        default=None,
        help_text="Outputs by reference name; a list gives them round by round.",
    )
    failures_persist = serializers.BooleanField(
        required=False,
        default=True,
        help_text="A step that goes wrong does so again after a return to a savepoint.",
    )


class PlaceShape(CamelSerializer):
    """Where a step run is."""

    task_reference_name = _TEXT()
    iteration = _NUMBER()
    position = _TEXT()
    workflow_name = _TEXT()
    within = _TEXTS(child=_TEXT(), help_text="Sub-workflow steps that lead to it.")


class EntryShape(PlaceShape):
    """An entry of the plan."""

    epoch = _NUMBER(help_text="1, and one more after each return to a savepoint.")
    undo = _TEXT(allow_null=True, help_text="Name of the undo's first task.")
    policy = _TEXT(allow_null=True)
    outcome = _TEXT(help_text="COMPLETED or UNKNOWN: of the step that is undone.")
    amount = JSONObject(allow_null=True)
    state = _TEXT(allow_null=True)
    waits_for = _TEXTS(child=_TEXT())


class ApprovalShape(CamelSerializer):
    """People who are asked to agree."""

    task_reference_name = _TEXT()
    iteration = _NUMBER()
    within = _TEXTS(child=_TEXT())
    groups = _TEXTS(child=_TEXT())
    quorum = _NUMBER()
    escalation = _TEXTS(child=AnyJSON())
    deadline_seconds = _NUMBER()


class QuestionShape(CamelSerializer):
    """Something else that a person is asked, and what the play took for the answer."""

    kind = _TEXT(help_text="OUTCOME, DIRECTION, MANUAL, PLAN or OVERRIDE.")
    task_reference_name = _TEXT()
    iteration = _NUMBER()
    within = _TEXTS(child=_TEXT())
    question = _TEXT()
    assumed = _TEXT()


class LeftShape(PlaceShape):
    """An effect that stays."""

    effect = _TEXT()
    why = _TEXT()


class AlsoShape(PlaceShape):
    """The second step that goes wrong."""

    outcome = _TEXT()


class TimeShape(CamelSerializer):
    """How long it takes from the first trouble to the end."""

    at_least_seconds = serializers.FloatField(help_text="Calls and people take no time in it.")
    waits_for_people = serializers.BooleanField()


class ReturnShape(CamelSerializer):
    """A return to a savepoint, from where the run went forward again."""

    task_reference_name = _TEXT()
    within = _TEXTS(child=_TEXT())
    number = _NUMBER()
    epoch = _NUMBER()


class ScenarioShape(CamelSerializer):
    """One way to go wrong."""

    failure_at = _TEXT()
    iteration = _NUMBER()
    position = _TEXT()
    workflow_name = _TEXT()
    within = _TEXTS(child=_TEXT())
    outcome = _TEXT(help_text="FAILED, UNKNOWN or IN_FLIGHT.")
    also = AlsoShape(allow_null=True)
    branches = serializers.DictField(child=_TEXT(), help_text="Switches that were forced.")
    entries = EntryShape(many=True, help_text="In order of undo.")
    amounts = serializers.DictField(child=serializers.FloatField())
    approvals = ApprovalShape(many=True)
    questions = QuestionShape(many=True)
    cannot_be_undone = _TEXTS(child=_TEXT())
    stays = LeftShape(many=True)
    final_state = _TEXT()
    run_outcome = _TEXT(allow_null=True)
    direction = _TEXT(help_text="BACKWARD, FORWARD or NONE.")
    returns = ReturnShape(many=True, help_text="Returns to savepoints.")
    tried_for_ever = _TEXTS(child=_TEXT())
    time_to_undone = TimeShape()
    cut = _TEXTS(child=_TEXT())


class PathShape(CamelSerializer):
    """What the run comes to when nothing goes wrong."""

    final_state = _TEXT()
    steps = _TEXTS(child=_TEXT())
    seconds = serializers.FloatField()
    failure_at = _TEXT(allow_null=True)
    reason = _TEXT(allow_null=True)


class SimulationShape(CamelSerializer):
    """Everything a simulation found out."""

    scenarios = ScenarioShape(many=True)
    path = PathShape()
    workflows = _TEXTS(child=_TEXT())
    not_reached = _TEXTS(child=_TEXT(), help_text="Steps that no way through came to.")
    weak_points = WeakPoint(many=True)
    summary = serializers.DictField(child=_NUMBER())
    coverage = CoverageShape()
    input = JSONObject()
    version = _NUMBER(allow_null=True)
    unused_mocks = _TEXTS(child=_TEXT())
    cut = _TEXTS(child=_TEXT(), help_text="What was left out, in sentences.")


class SimulateView(APIView):
    """The simulator."""

    input_limits = LARGE_LIMITS

    @extend_schema(operation_id="simulate", request=SimulateBody, responses=SimulationShape)
    def post(self, request: Request, name: str) -> Response:
        """Play a definition or a version, and fail it at each step and at each pair."""
        wanted = body(SimulateBody, request)
        return Response(
            simulations.simulate(
                actor=actor_of(request),
                name=name,
                document=wanted["definition"],
                number=wanted["version"],
                input=wanted["input"],
                mocks=wanted["mocks"],
                failures_persist=wanted["failures_persist"],
            )
        )


class VersionSimulationView(APIView):
    """The result that is kept with a version."""

    @extend_schema(operation_id="version_simulation", responses=SimulationShape)
    def get(self, request: Request, name: str, number: int) -> Response:
        """Show it; it is made now if there is none yet."""
        found = simulations.simulation_of(actor=actor_of(request), name=name, number=number)
        return Response(found)
