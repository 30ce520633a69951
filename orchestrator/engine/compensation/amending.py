"""RETRY_AMENDED: a failed undo is tried again with another input (saga-semantics §9)."""

from orchestrator.engine.compensation import attached, inputs, undo
from orchestrator.engine.expressions.limits import ExpressionTooLarge
from orchestrator.engine.snapshot import EntryActed, StepRun
from orchestrator.engine.states import Direction, StepState
from orchestrator.engine.work import Work


def amend(work: Work, entry: StepRun, item: EntryActed) -> None:
    """Begin a new round with the input that an operator gave; the policy is asked again (§7).

    Refused while something of the present round may have been applied and nobody attests that it
    was not (invariant 38).
    """
    if item.input is None:
        work.refused.append(entry.id)
        return
    if entry.id not in work.snapshot.attached:
        work.needs.attached.add(entry.id)
        return
    if _may_be_applied(work, entry) and not item.not_applied:
        work.refused.append(entry.id)
        return
    original = _original(work, entry)
    if work.needs:
        return
    entry = work.change(
        entry,
        round=entry.round + 1,
        undo_input={"input": item.input, "original": original},
        undo_attempts=0,
        undo_began_at=None,
        approval_id=None,
        entry_reason="",
    )
    work.tell("entry.amended", entry, by=item.actor, reason=item.reason, round=entry.round)
    # Without an approval of its own the entry's policy is evaluated before it is sent.
    undo.ready(work, entry)


def _may_be_applied(work: Work, entry: StepRun) -> bool:
    """Tell whether a call of the present round took effect, or perhaps did."""
    sent = attached.runs_of(work, entry, Direction.COMPENSATION)
    return any(run.doubt or run.state is StepState.COMPLETED for run in sent)


def _original(work: Work, entry: StepRun) -> object:
    """Return what the definition maps; it stays readable however often it is amended."""
    if entry.undo_input is not None:
        return entry.undo_input["original"]
    node = work.node(entry)
    if node is None:
        return None
    try:
        return inputs.original(work, node, entry)
    except ExpressionTooLarge:
        # That is why it failed: there is nothing that could be kept.
        return None
