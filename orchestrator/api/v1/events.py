"""Events from outside."""

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from orchestrator.api.authentication import actor_of
from orchestrator.api.idempotency import idempotent
from orchestrator.api.v1.serializers import AnyJSON, CamelSerializer, body
from orchestrator.services import events
from orchestrator.services.subscriptions import LONGEST_NAME


class EventBody(CamelSerializer):
    """What has happened."""

    event = serializers.CharField(
        max_length=LONGEST_NAME, help_text="As in `saga.triggers`: `sink:queue`."
    )
    payload = AnyJSON(required=False, default=dict)


class EventAnswer(CamelSerializer):
    """Who took it."""

    event = serializers.CharField()
    taken = serializers.IntegerField(help_text="Runs that took it.")
    executions = serializers.ListField(child=serializers.UUIDField(), help_text="The first 200.")
    unanswered = serializers.IntegerField(
        help_text="Runs whose condition could not be evaluated; they are left as they are."
    )


class EventsView(APIView):
    """Events."""

    @extend_schema(operation_id="raise_event", request=EventBody, responses=EventAnswer)
    @idempotent
    def post(self, request: Request) -> Response:
        """Tell the runs that wait for an event (`saga.triggers`), as far as you may undo them."""
        given = body(EventBody, request)
        found = events.publish_event(
            actor=actor_of(request), name=given["event"], payload=given["payload"]
        )
        return Response(
            {
                "event": given["event"],
                "taken": found.taken,
                "executions": found.executions,
                "unanswered": found.unanswered,
            }
        )
