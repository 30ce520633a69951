"""Acts that need two persons: the first call is kept, the same by another one does it (§5).

The caller holds the lock of the execution, so two calls take turns. A call that is repeated by the
person who made it is answered as before, and its day does not begin anew: a client that lost the
answer may ask again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.contrib.auth.models import User
from django.db import transaction

from orchestrator.access import policy
from orchestrator.access.errors import Forbidden
from orchestrator.access.permissions import Permission
from orchestrator.engine.canonical import digest
from orchestrator.models import Execution, PendingAct
from orchestrator.models.pending import KEPT
from orchestrator.store import clock

if TYPE_CHECKING:
    from django.db.models import QuerySet

ONLY_PEOPLE = (
    "Two persons must agree to this. Neither a service account nor the system is one: sign in as "
    "yourself."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """The act is asked for by one person and waits for another."""

    by: str
    until: datetime
    is_new: bool
    """False when the same person has asked again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreed:
    """Two persons have asked for the same."""

    first: str
    first_reason: str


def agree_locked(
    *,
    row: Execution,
    kind: str,
    body: Mapping[str, Any],
    actor: "User | None",
    permission: Permission,
    reason: str,
) -> Waiting | Agreed:
    """Take one person's call for an act on an execution that is locked.

    Args:
        row: The execution.
        kind: Which act it is.
        body: What exactly is asked for; only the same counts as agreement.
        actor: Who asks; holds the right.
        permission: The right that both must hold when it is done.
        reason: Why, in this person's words.

    Raises:
        Forbidden: The actor is no person.
    """
    if actor is None or hasattr(actor, "service"):
        raise Forbidden(ONLY_PEOPLE, permission=permission.value)
    now = clock.now()
    key = {"execution": row, "kind": kind, "digest": digest(dict(body))}
    first = PendingAct.objects.filter(**key).first()
    if first is not None and first.actor_id == actor.pk and first.created_at > now - KEPT:
        return _waiting(first, is_new=False)
    if first is not None and _counts(first, row, permission, now):
        first.delete()
        return Agreed(first=first.actor, first_reason=first.reason)
    if first is not None:
        first.delete()
    kept = PendingAct.objects.create(
        **key,
        body=dict(body),
        actor=actor.get_username(),
        actor_id=actor.pk,
        reason=reason,
        created_at=now,
    )
    return _waiting(kept, is_new=True)


def _waiting(act: PendingAct, *, is_new: bool) -> Waiting:
    return Waiting(by=act.actor, until=act.created_at + KEPT, is_new=is_new)


def _counts(act: PendingAct, row: Execution, permission: Permission, now: datetime) -> bool:
    """Tell whether the first call still stands: in time, by somebody who still holds the right."""
    if act.created_at <= now - KEPT:
        return False
    user = User.objects.filter(pk=act.actor_id, is_active=True).first()
    return user is not None and bool(policy.can(user, permission, row.workflow))


def live_acts(now: datetime) -> "QuerySet[PendingAct]":
    """Return the calls that wait for a second person."""
    return PendingAct.objects.filter(created_at__gt=now - KEPT)


@transaction.atomic(durable=True)
def forget_old() -> int:
    """Delete calls that nobody has joined within a day; called now and then."""
    deleted, _ = PendingAct.objects.filter(created_at__lte=clock.now() - KEPT).delete()
    return deleted
