"""Whether a failed undo is tried again: by its own policy, with a count of its own (§9)."""

from orchestrator.engine import retry
from orchestrator.engine.snapshot import StepRun
from orchestrator.engine.states import EntryState, StepState
from orchestrator.engine.steps import base, pauses
from orchestrator.engine.steps import entry as ledger
from orchestrator.engine.work import Work


def attempt_failed(work: Work, run: StepRun, *, reason: str, terminal: bool) -> None:
    """Decide whether a failed or unknown undo attempt is made again: own policy, own count (§9)."""
    entry = work.run(run.compensates or "")
    node = work.node(entry) if entry else None
    compensation = node.step.compensation if node else None
    if entry is None or node is None or compensation is None:
        return
    policy = compensation.retry
    tried = entry.undo_attempts + 1
    entry = work.change(entry, undo_attempts=tried)
    began = entry.undo_began_at or work.now
    spent = work.now - began - pauses.since(work, began)
    over = spent.total_seconds() >= policy.total_timeout_seconds
    error = "FAILED_TERMINAL" if terminal else "FAILED"
    if terminal or over or tried >= policy.maximum_attempts:
        run = work.change(run, reason=reason, error_class=error)
        base.settle(work, run, StepState.FAILED, reason=reason, error_class=error)
        return
    delay = retry.undo_delay(policy, tried, run.attempt_id)
    base.try_again(work, run, delay, state=StepState.RETRY_WAIT, reason=reason, error_class=error)
    if entry.entry_state is EntryState.READY:
        entry = ledger.begin_running(work, entry)
    entry = work.change(entry, entry_state=EntryState.RETRY_WAIT)
    work.tell("entry.retry_wait", entry, tried=tried, reason=reason[:500])
