"""Entries of sub-workflows: they stand for the child's own undo (saga-semantics §3, T6)."""

from orchestrator.engine import origins, roots
from orchestrator.engine.commands import SendNotice
from orchestrator.engine.compensation import attached, settling
from orchestrator.engine.snapshot import StepRun
from orchestrator.engine.states import EntryState, ExecutionState, StepState
from orchestrator.engine.steps import entry as ledger
from orchestrator.engine.work import Work


def follows_child(work: Work, entry: StepRun) -> bool:
    """Tell whether an entry ends as its child ends; a completed black box has its own undo."""
    node = work.node(entry)
    if entry.child_id is None or node is None:
        return False
    return not node.has_undo or entry.state is not StepState.COMPLETED


def is_cascading(work: Work, entry: StepRun) -> bool:
    """Tell whether the child's own entries are being undone first (`cascade`)."""
    return entry.id in (work.frontier.get("undo") or {}).get("cascading", ())


def go_on_after_child(work: Work, entry: StepRun) -> None:
    """Begin the undo of a step whose child has been undone first (`cascade`)."""
    node = work.node(entry)
    if node is None or node.step.compensation is None:
        return
    first = roots.undo_tasks(work, node.step.compensation, entry)[0]
    if attached.enter(work, node, entry, first.reference):
        work.frontier["undo"]["cascading"].remove(entry.id)


def undo_child(work: Work, entry: StepRun) -> None:
    """Have a completed child undone; the entry follows the child (saga-semantics §3)."""
    current = origins.plan_of(work, entry)
    if current is None or entry.child_id is None or work.execution.paused:
        return
    child_id = entry.child_id
    entry = ledger.begin_running(work, entry)
    work.tell("entry.running", entry)
    work.do(
        SendNotice(
            execution_id=child_id,
            kind="UNDO",
            data=origins.told_to_child(work, current),
        )
    )


def child_undone(work: Work, entry: StepRun, state: ExecutionState, live: int) -> None:
    """Settle the entry of a sub-workflow as its child has ended."""
    if state is ExecutionState.PARTIALLY_COMPENSATED or live:
        # It ended with effects that nobody can undo any more (sealed, say): they are left.
        settled = EntryState.SKIPPED
    else:
        undone = state is ExecutionState.COMPENSATED
        settled = EntryState.COMPENSATED if undone else EntryState.VOID
    settling.settle_entry(work, entry, settled)
