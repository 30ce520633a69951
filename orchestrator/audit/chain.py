"""What an entry's hash is made of; pure, and never to be changed for entries that exist."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from orchestrator.audit.models import AuditEntry

GENESIS = "0" * 64
HASHED_FIELDS = (
    "seq",
    "actor",
    "actor_id",
    "on_behalf_of",
    "key_id",
    "address",
    "request_id",
    "action",
    "subject",
    "subject_type",
    "workflow",
    "result",
    "reason",
    "changes",
    "previous_hash",
)


def hash_of(entry: AuditEntry) -> str:
    """Return SHA-256 over the hash before and the entry in canonical form."""
    row = {name: getattr(entry, name) for name in HASHED_FIELDS} | {"at": moment(entry.at)}
    return hashlib.sha256(f"{entry.previous_hash}\n{canonical(row)}".encode()).hexdigest()


def canonical(value: object) -> str:
    """Return JSON with sorted keys, no spaces and nothing but ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)


def moment(at: datetime) -> str:
    """Return a moment in UTC with microseconds."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
