"""The client's key of a start: inserted first, so that of two equal starts only one goes on."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from orchestrator.models import StartKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """An earlier start with the same key."""

    execution_id: str
    body_hash: str


def claim_key(*, workflow_id: int, key: str, execution_id: str, body_hash: str) -> Known | None:
    """Take a key for an execution; answers the earlier start if somebody has it."""
    row = StartKey(workflow_id=workflow_id, key=key, execution_id=execution_id, body_hash=body_hash)
    StartKey.objects.bulk_create([row], ignore_conflicts=True)
    kept = StartKey.objects.get(workflow_id=workflow_id, key=key)
    if str(kept.execution_id) == execution_id:
        return None
    return Known(execution_id=str(kept.execution_id), body_hash=kept.body_hash)


def hand_key_over(
    *, workflow_id: int, key: str, execution_id: str, body_hash: str, since: datetime
) -> None:
    """Give a key to a new execution (`FAIL_ON_RUNNING` once the old run has ended)."""
    changes: dict[str, Any] = {"execution_id": execution_id, "body_hash": body_hash}
    StartKey.objects.filter(workflow_id=workflow_id, key=key).update(created_at=since, **changes)
