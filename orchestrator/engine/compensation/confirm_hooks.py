"""The `confirm` hook of a sealed entry: once, retried as an undo is (saga-semantics §10.4).

Entries whose hook has not begun stand under `confirms` in the frontier; a pause keeps them there.
When the hook fails for good the journal says so and the entry stays SEALED.
"""

from orchestrator.engine import retry
from orchestrator.engine.compensation import attached
from orchestrator.engine.definition.graph import Node
from orchestrator.engine.definition.model import UndoRetry
from orchestrator.engine.snapshot import StepRun
from orchestrator.engine.states import Direction, StepState
from orchestrator.engine.steps import base, pauses
from orchestrator.engine.work import Work


def ask_for(work: Work, entry: StepRun) -> None:
    """Have the hook of an entry run as soon as the run is not paused."""
    work.frontier.setdefault("confirms", []).append(entry.id)


def is_due(work: Work) -> bool:
    """Tell whether a hook can begin now."""
    return bool(work.frontier.get("confirms")) and not work.execution.paused


def begin(work: Work) -> None:
    """Begin the hooks that wait; one that began before is not begun again."""
    for key in list(work.frontier["confirms"]):
        entry = work.run(key)
        node = work.node(entry) if entry is not None else None
        if entry is None or node is None:
            continue
        begun = has_begun(work, entry)
        if begun is None:
            continue
        if begun or attached.enter(work, node, entry, node.step.confirm[0].reference):
            work.frontier["confirms"].remove(key)
    if not work.frontier["confirms"]:
        del work.frontier["confirms"]


def has_begun(work: Work, entry: StepRun) -> bool | None:
    """Tell whether the hook of an entry was ever sent; None if that must be loaded first."""
    if entry.id not in work.snapshot.attached:
        work.needs.attached.add(entry.id)
        return None
    return any(
        run.compensates == entry.id and run.direction is Direction.CONFIRM
        for run in work.runs.values()
    )


def returned(work: Work, run: StepRun) -> None:
    """Take the end of one of the hook's steps: go to the next, or say how it ended."""
    entry = work.run(run.compensates or "")
    owner = work.node(entry) if entry else None
    node = work.node(run)
    if entry is None or owner is None or node is None:
        return
    if not run.state.is_successful:
        work.tell("entry.confirm_failed", entry, reason=run.reason[:500])
    elif node.next is not None:
        attached.enter(work, owner, entry, node.next)
    else:
        work.tell("entry.confirmed", entry)


def attempt_failed(work: Work, run: StepRun, *, reason: str, terminal: bool) -> None:
    """Try the step of a hook again as an undo is: by the undo's policy, with a count of its own."""
    entry = work.run(run.compensates or "")
    owner = work.node(entry) if entry else None
    if entry is None or owner is None:
        return
    policy = _policy(owner)
    began = run.first_scheduled_at
    spent = work.now - began - pauses.since(work, began)
    over = spent.total_seconds() >= policy.total_timeout_seconds
    error = "FAILED_TERMINAL" if terminal else "FAILED"
    if terminal or over or run.attempt >= policy.maximum_attempts:
        base.settle(work, run, StepState.FAILED, reason=reason, error_class=error)
        return
    delay = retry.undo_delay(policy, run.attempt, run.attempt_id)
    base.try_again(work, run, delay, state=StepState.RETRY_WAIT, reason=reason, error_class=error)


def _policy(owner: Node) -> UndoRetry:
    compensation = owner.step.compensation
    return compensation.retry if compensation is not None else UndoRetry()
