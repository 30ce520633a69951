"""Create and change people; superusers only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drf_spectacular.utils import extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from orchestrator.api.authentication import actor_of
from orchestrator.api.idempotency import idempotent
from orchestrator.api.v1.account_shapes import NewUser, UserChange, UserShape
from orchestrator.api.v1.serializers import body
from orchestrator.services import accounts

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from rest_framework.request import Request


class UsersView(APIView):
    """People."""

    @extend_schema(
        summary="Create a user", request=NewUser, responses={201: UserShape}, tags=["accounts"]
    )
    @idempotent
    def post(self, request: Request) -> Response:
        """Create a person who signs in with a password."""
        values = body(NewUser, request)
        user = accounts.create_user(
            actor=actor_of(request),
            username=values["username"],
            password=values["password"],
            groups=values["groups"],
        )
        return Response(_shape(user), status=201)


class UserView(APIView):
    """One person."""

    @extend_schema(
        summary="Activate, deactivate or regroup a user",
        request=UserChange,
        responses=UserShape,
        tags=["accounts"],
    )
    def patch(self, request: Request, username: str) -> Response:
        """Change a person; it counts from their next request on."""
        values = body(UserChange, request)
        user = accounts.change_user(
            actor=actor_of(request),
            username=username,
            is_active=values.get("is_active"),
            groups=values.get("groups"),
        )
        return Response(_shape(user))


def _shape(user: User) -> dict[str, object]:
    return {
        "username": user.get_username(),
        "isActive": user.is_active,
        "groups": sorted(user.groups.values_list("name", flat=True)),
    }
