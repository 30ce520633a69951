"""Answers kept for a day, so that a call that is repeated with its key is not done twice."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from django.db import IntegrityError, transaction
from django.utils import timezone

from orchestrator.models import StoredAnswer
from orchestrator.services.errors import Conflict, Invalid

if TYPE_CHECKING:
    from django.contrib.auth.models import User

KEPT = timedelta(hours=24)
# A call that has not answered by then has died with its process; its key may be used again.
ABANDONED_AFTER = timedelta(minutes=2)
_UNDER_WAY = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What was answered the first time."""

    status: int
    body: object


def reserve(*, actor: User, key: str, request_hash: str) -> Answer | None:
    """Take a key for a call that begins now; return the answer if it was given before.

    The row is written before the work and not with it, since the work has its own transaction:
    of two equal calls at the same time one is told to wait.

    Raises:
        Invalid: The key came before with another request.
        Conflict: The first call with this key is still under way.
    """
    found = _reserve(actor_id=actor.pk, key=key, request_hash=request_hash)
    if found is None:
        return None
    if found.request_hash != request_hash:
        raise Invalid("This Idempotency-Key was used for another request; take a new one.")
    if found.status == _UNDER_WAY:
        raise Conflict("The first call with this Idempotency-Key is still under way; ask again.")
    return Answer(status=found.status, body=found.body)


@transaction.atomic(durable=True)
def keep(*, actor: User, key: str, status: int, body: object) -> None:
    """Keep what a call with a key was answered."""
    rows = StoredAnswer.objects.filter(actor_id=actor.pk, key=key, status=_UNDER_WAY)
    rows.update(status=status, body=body)


@transaction.atomic(durable=True)
def release(*, actor: User, key: str) -> None:
    """Give a key back: the call was refused and has changed nothing."""
    StoredAnswer.objects.filter(actor_id=actor.pk, key=key, status=_UNDER_WAY).delete()


@transaction.atomic(durable=True)
def _reserve(*, actor_id: int, key: str, request_hash: str) -> StoredAnswer | None:
    """Write a row for the call, or return the one that is there."""
    now = timezone.now()
    rows = StoredAnswer.objects.filter(actor_id=actor_id, key=key)
    rows.filter(created_at__lt=now - KEPT).delete()
    rows.filter(status=_UNDER_WAY, created_at__lt=now - ABANDONED_AFTER).delete()
    try:
        with transaction.atomic():
            StoredAnswer.objects.create(
                actor_id=actor_id, key=key, request_hash=request_hash, status=_UNDER_WAY
            )
    except IntegrityError:
        return rows.get()
    return None


@transaction.atomic(durable=True)
def forget_old() -> int:
    """Delete answers that are older than a day; called now and then by whoever tidies up."""
    deleted, _ = StoredAnswer.objects.filter(created_at__lt=timezone.now() - KEPT).delete()
    return deleted
