"""Accounts of programs; superusers only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drf_spectacular.utils import extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from orchestrator.api.authentication import actor_of
from orchestrator.api.v1.account_shapes import NewServiceAccount, ServiceAccountKey
from orchestrator.api.v1.serializers import body
from orchestrator.services import accounts

if TYPE_CHECKING:
    from rest_framework.request import Request


class ServiceAccountsView(APIView):
    """Programs that call the API."""

    # No Idempotency-Key here: its kept answer would keep the secret as well.
    @extend_schema(
        summary="Create a service account",
        request=NewServiceAccount,
        responses={201: ServiceAccountKey},
        tags=["accounts"],
    )
    def post(self, request: Request) -> Response:
        """Create an account with its key, whose secret is shown only this once."""
        values = body(NewServiceAccount, request)
        key = accounts.create_service_account(actor=actor_of(request), name=values["name"])
        shown = {"name": key.name, "keyId": key.key_id, "keySecret": key.key_secret}
        return Response(shown, status=201, headers={"Cache-Control": "no-store"})
