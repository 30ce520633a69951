"""Exchange an API key for a token; tell who is behind one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.response import Response
from rest_framework.views import APIView

from orchestrator.api.authentication import actor_of
from orchestrator.selectors.accounts import user_info
from orchestrator.services import accounts
from orchestrator.services.errors import Malformed

if TYPE_CHECKING:
    from rest_framework.request import Request


class KeyAndSecret(serializers.Serializer[object]):
    """A key with its secret."""

    keyId = serializers.CharField()  # noqa: N815  # the name on the wire
    keySecret = serializers.CharField()  # noqa: N815


class Token(serializers.Serializer[object]):
    """A token for an hour."""

    token = serializers.CharField()


class TokenView(APIView):
    """Tokens for programs; the only call of the API that needs no login."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    @extend_schema(summary="Get a token", request=KeyAndSecret, responses=Token, tags=["accounts"])
    def post(self, request: Request) -> Response:
        """Answer a token for a key and its secret."""
        body = request.data if isinstance(request.data, dict) else {}
        key_id, secret = body.get("keyId"), body.get("keySecret")
        if not isinstance(key_id, str) or not isinstance(secret, str):
            raise Malformed("Send keyId and keySecret as texts.")
        address = str(request.META.get("REMOTE_ADDR") or "")
        token = accounts.exchange_key(key_id=key_id, secret=secret, address=address)
        return Response({"token": token}, headers={"Cache-Control": "no-store"})


class UserInfoView(APIView):
    """The caller in the words of the Conductor protocol."""

    @extend_schema(exclude=True)
    def get(self, request: Request) -> Response:
        """Answer name, groups and kind of the caller."""
        return Response(user_info(actor=actor_of(request)))
