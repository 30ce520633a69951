"""The end of a wait that people hold: shared by whoever decides, inside their transaction."""

from datetime import datetime
from uuid import UUID

from orchestrator import dispatch
from orchestrator.engine.snapshot import VerdictReached
from orchestrator.services.locked import apply_locked, find_locked
from orchestrator.store import clock
from orchestrator.store.load import Loaded


def lock_execution(execution_id: UUID | str) -> Loaded:
    """Lock an execution before anything that hangs on it (reliability.md §5.3)."""
    _, loaded = find_locked(execution_id)
    return loaded


def now() -> datetime:
    """Return the time of the database."""
    return clock.now()


def end_locked(
    loaded: Loaded, *, entry_id: str, approval_id: str, verdict: str, actor: str, reason: str
) -> bool:
    """Tell the orchestrator what the votes came to; False when nothing waits for it any more."""
    reached = VerdictReached(
        entry_id=entry_id, approval_id=approval_id, verdict=verdict, actor=actor, reason=reason
    )
    # Before the wake-up of `apply_locked`, so that a test can lose it.
    dispatch.pass_failpoint("approval.after_commit")
    return entry_id not in apply_locked(loaded, reached).refused
