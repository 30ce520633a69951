"""Append to the audit trail: the only writer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import connection
from django.db.models.functions import Now

from orchestrator.audit import chain, context
from orchestrator.audit.actions import ACTIONS
from orchestrator.audit.models import AuditEntry, AuditHead

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from django.contrib.auth.models import User

SYSTEM = "system"
_HEAD = 1


class AuditError(Exception):
    """The trail cannot be written; what was to be recorded must not happen either."""


def record(  # a row has that many columns
    action: str,
    subject: object,
    actor: User | None,
    *,
    workflow: str = "",
    reason: str = "",
    changes: Mapping[str, object] | None = None,
    result: str = "ok",
    on_behalf_of: str = "",
) -> AuditEntry:
    """Record one act in the caller's transaction.

    Call it last: it locks the head of the chain until the transaction ends, and whoever locks
    something else after it can wait for somebody who waits for the head.

    Args:
        action: One of `actions.ACTIONS`.
        subject: Name of a workflow, or id of an execution, entry or approval.
        actor: Who acts; None is the system itself.
        workflow: Name of the workflow whose viewers may read the entry; taken from the subject
            where the act is about a workflow.
        reason: What the person gave as reason, in their words.
        changes: What was changed, in values that JSON knows; never secrets.
        result: "ok" unless the act was refused or failed.
        on_behalf_of: For whom a delegate acts.

    Raises:
        AuditError: The action is unknown, or no transaction is open.
    """
    if action not in ACTIONS:
        raise AuditError(f"There is no action named {action}.")
    if not connection.in_atomic_block:
        raise AuditError("An entry is written in the transaction of what it records.")
    head, now = _locked_head()
    subject_type = action.partition(".")[0]
    entry = AuditEntry(
        seq=head.seq + 1,
        at=now,
        actor=actor.get_username() if actor is not None else SYSTEM,
        actor_id=actor.pk if actor is not None else None,
        on_behalf_of=on_behalf_of,
        key_id=context.key_id.get(),
        address=context.address.get(),
        request_id=context.request_id.get(),
        action=action,
        subject=_storable(str(subject))[:255],
        subject_type=subject_type,
        workflow=workflow or (str(subject) if subject_type in _ABOUT_WORKFLOWS else ""),
        result=result,
        reason=_storable(reason),
        changes=chain.canonical(changes) if changes else "",
        previous_hash=head.hash,
    )
    entry.hash = chain.hash_of(entry)
    entry.save(force_insert=True)
    AuditHead.objects.filter(pk=_HEAD).update(seq=entry.seq, hash=entry.hash, at=entry.at)
    return entry


_ABOUT_WORKFLOWS = frozenset({"workflow", "draft", "grants", "rollout"})


def _locked_head() -> tuple[AuditHead, datetime]:
    """Return the head under its row lock, with the moment of the entry to come.

    That is the database's time, but never before the entry before: transactions that wait for
    the lock have read the clock earlier.
    """
    heads = AuditHead.objects.select_for_update().filter(pk=_HEAD).annotate(now=Now())
    head = heads.first()
    if head is None:
        _make_head()
        head = heads.get()
    return head, max(head.now, head.at or head.now)


def _make_head() -> None:
    """Begin a chain, which is only right where there is none."""
    # Somebody else may have begun it since this transaction looked: entries are looked for first,
    # because whoever wrote one has committed its head with it.
    if AuditEntry.objects.exists() and not AuditHead.objects.filter(pk=_HEAD).exists():
        raise AuditError("The head of the audit trail is gone; restore it from a backup.")
    AuditHead.objects.get_or_create(pk=_HEAD, defaults={"hash": chain.GENESIS})


def _storable(text: str) -> str:
    """Replace what a database or an encoder would refuse."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
