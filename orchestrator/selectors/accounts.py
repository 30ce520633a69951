"""Who is behind a token, and what somebody may do where."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.utils import timezone

from orchestrator.access import policy, scoping
from orchestrator.access.errors import Unauthenticated
from orchestrator.access.permissions import GlobalPermission
from orchestrator.models import ApiToken, Workflow

if TYPE_CHECKING:
    from django.contrib.auth.models import User

WORKFLOWS_AT_MOST = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Somebody who proved who they are."""

    user: User
    key_id: str = ""  # of the API key, where one was used


def digest_of(secret: str) -> str:
    """Return what is stored of a secret or token: it is random, so a fast hash will do."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def identity_of_token(token: str) -> Identity:
    """Return who is behind a token.

    Raises:
        Unauthenticated: The token is unknown, or its key or user no longer counts. Its detail
            `error` is the word that client packages look for.
    """
    # Looked up by hash, so no comparison of ours takes longer the more of it is right.
    found = (
        ApiToken.objects.select_related("api_key__user").filter(token_hash=digest_of(token)).first()
    )
    now = timezone.now()
    if found is None:
        raise _refused("INVALID_TOKEN", "This token is not known; get a new one.")
    key = found.api_key
    if key.revoked_at is not None or not key.user.is_active:
        raise _refused("INVALID_TOKEN", "The key of this token was revoked.")
    if found.expires_at <= now or (key.expires_at is not None and key.expires_at <= now):
        raise _refused("EXPIRED_TOKEN", "This token has expired; get a new one.")
    return Identity(user=key.user, key_id=key.key_id)


def me(*, actor: User) -> dict[str, object]:
    """Return who the actor is and which rights they hold where, with the reason of each."""
    visible = scoping.visible_to(actor, Workflow.objects.filter(is_listed=True), path="pk")
    names = dict(visible.order_by("name").values_list("pk", "name")[:WORKFLOWS_AT_MOST])
    rights = policy.rights_by_workflow(actor, names)
    return {
        "username": actor.get_username(),
        "isSuperuser": actor.is_superuser,
        "isServiceAccount": hasattr(actor, "service"),
        "groups": sorted(actor.groups.values_list("name", flat=True)),
        "permissions": [each.value for each in GlobalPermission if policy.holds(actor, each)],
        "workflows": [
            {
                "workflow": name,
                "permissions": [
                    {"name": right.permission.value, "because": right.because}
                    for right in rights.get(pk, ())
                ],
            }
            for pk, name in names.items()
        ],
    }


def user_info(*, actor: User) -> dict[str, object]:
    """Return who the actor is in the words of the Conductor protocol."""
    return {
        "id": actor.get_username(),
        "name": actor.get_full_name() or actor.get_username(),
        "roles": [{"name": "ADMIN"}] if actor.is_superuser else [{"name": "USER"}],
        "groups": [{"id": name} for name in sorted(actor.groups.values_list("name", flat=True))],
        "applicationUser": hasattr(actor, "service"),
    }


def _refused(error: str, message: str) -> Unauthenticated:
    return Unauthenticated(message, error=error)
