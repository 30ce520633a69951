"""Reads of the audit trail. Who may read what is said by `orchestrator.selectors.audit`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db.models import Q, QuerySet

from orchestrator.audit import chain
from orchestrator.audit.models import AuditEntry, AuditHead

if TYPE_CHECKING:
    from collections.abc import Iterator

PUBLIC_FIELDS = (
    "seq",
    "at",
    "actor",
    "onBehalfOf",
    "keyId",
    "address",
    "requestId",
    "action",
    "subject",
    "subjectType",
    "workflow",
    "result",
    "reason",
    "changes",
    "previousHash",
    "hash",
)
_CHUNK = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What to look for; empty means all."""

    subject: str = ""
    action: str = ""
    actor: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What reading the whole chain came to."""

    ok: bool
    checked: int
    broken_at: int | None = None  # seq of the first entry that does not hold
    problem: str = ""


def entries(filters: Filters) -> QuerySet[AuditEntry]:
    """Return matching entries, the newest first."""
    found = AuditEntry.objects.order_by("-seq")
    if filters.subject:
        found = found.filter(subject=filters.subject)
    if filters.action:
        found = found.filter(action=filters.action)
    if filters.actor:
        found = found.filter(actor=filters.actor)
    if filters.text:
        found = found.filter(
            Q(subject__icontains=filters.text)
            | Q(action__icontains=filters.text)
            | Q(actor__icontains=filters.text)
            | Q(reason__icontains=filters.text)
            | Q(workflow__icontains=filters.text)
        )
    return found


def public(entry: AuditEntry) -> dict[str, object]:
    """Return the entry in the shape of the API."""
    return {
        "seq": entry.seq,
        "at": chain.moment(entry.at),
        "actor": entry.actor,
        "onBehalfOf": entry.on_behalf_of or None,
        "keyId": entry.key_id or None,
        "address": entry.address or None,
        "requestId": entry.request_id or None,
        "action": entry.action,
        "subject": entry.subject,
        "subjectType": entry.subject_type,
        "workflow": entry.workflow or None,
        "result": entry.result,
        "reason": entry.reason,
        "changes": json.loads(entry.changes) if entry.changes else None,
        "previousHash": entry.previous_hash,
        "hash": entry.hash,
    }


def verify() -> Verdict:
    """Read the whole chain, oldest first, and stop at the first entry that does not hold."""
    # The head is read first: entries that are appended meanwhile are simply not looked at.
    head = AuditHead.objects.first()
    end = head.seq if head is not None else 0
    expected, before, checked = 1, chain.GENESIS, 0
    for entry in _oldest_first(end):
        problem = _problem(entry, expected, before)
        if problem:
            return Verdict(ok=False, checked=checked, broken_at=entry.seq, problem=problem)
        expected, before, checked = entry.seq + 1, entry.hash, checked + 1
    if head is None:
        gone = AuditEntry.objects.order_by("seq").first()
        if gone is not None:
            return _broken(checked, gone.seq, "The head of the chain is missing.")
        return Verdict(ok=True, checked=0)
    if expected - 1 != head.seq:
        return _broken(checked, expected, f"Entries {expected} to {head.seq} are missing.")
    if before != head.hash:
        return _broken(checked, head.seq, "The head of the chain names another hash.")
    return Verdict(ok=True, checked=checked)


def _oldest_first(end: int) -> Iterator[AuditEntry]:
    after = 0
    while rows := list(
        AuditEntry.objects.filter(seq__gt=after, seq__lte=end).order_by("seq")[:_CHUNK]
    ):
        yield from rows
        after = rows[-1].seq


def _problem(entry: AuditEntry, expected: int, before: str) -> str:
    if entry.seq != expected:
        return f"Entry {expected} is missing."
    if entry.previous_hash != before:
        return "It does not name the hash of the entry before."
    if chain.hash_of(entry) != entry.hash:
        return "Its content does not match its hash."
    return ""


def _broken(checked: int, seq: int, problem: str) -> Verdict:
    return Verdict(ok=False, checked=checked, broken_at=seq, problem=problem)
