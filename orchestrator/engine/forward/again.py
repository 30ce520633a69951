"""An operator's retry of an ended run: the same step runs, keys and epoch (saga-semantics §5).

Refused by the service once any entry was dispatched. What had completed stays; what had failed, was
cancelled or is unknown begins again, with its undo armed again.
"""

from orchestrator.engine import keys
from orchestrator.engine.definition.graph import Node
from orchestrator.engine.forward import due
from orchestrator.engine.snapshot import RetryRequested, StepRun
from orchestrator.engine.states import (
    AttemptState,
    Direction,
    EntryState,
    ExecutionState,
    StepState,
)
from orchestrator.engine.steps import base, sub_workflow
from orchestrator.engine.work import Work

_AGAIN = frozenset({StepState.FAILED, StepState.CANCELLED, StepState.UNKNOWN})
_HELD_OPEN = frozenset({"JOIN", "DO_WHILE", "WAIT", "HUMAN"})


def retry(work: Work, item: RetryRequested) -> None:
    """Take the run up again from its failed steps."""
    if not work.snapshot.whole:
        work.needs.whole = True
        return
    stopped = work.frontier.pop("stopped", {})
    permissive = {failed[2] for failed in stopped.get("permissive", [])}
    chosen = [
        run.id
        for run in work.runs.values()
        if run.direction is Direction.FORWARD
        and run.epoch == work.execution.epoch
        and run.state in _AGAIN
        and run.id not in permissive
    ]
    runs = [run for run_id in chosen if (run := work.run(run_id))]
    if work.needs:
        return
    work.frontier.update(stopped)
    for name in ("stop", "questions", "doubts", "ended_because"):
        work.frontier.pop(name, None)
    work.set(outcome=None, failure=None, output=None)
    work.move(ExecutionState.RUNNING, by=item.actor, reason=item.reason, retry=True)
    definition = work.graph.definition
    if definition.timeout_seconds:
        work.wake_at("RUN", work.later(definition.timeout_seconds))
    for run in sorted(runs, key=lambda run: run.seq):
        node = work.node(run)
        if node is not None:
            _begin_again(work, node, run)


def _begin_again(work: Work, node: Node, run: StepRun) -> None:
    number = run.attempt + 1
    columns: dict[str, object] = {
        "state": StepState.SCHEDULED,
        "attempt": number,
        "attempt_id": keys.attempt_id(work.execution.id, run.id, number),
        "scheduled_at": work.now,
        "first_scheduled_at": work.now,
        "ended_at": None,
        "settle_seq": None,
        "reason": "",
        "error_class": "",
        "due_at": work.now,
        "wake_at": work.later(base.RING_AFTER) if run.queue else None,
        "lost": 0,
    }
    if run.entry_state in (EntryState.VOID, EntryState.UNCERTAIN):
        # An unknown outcome stays one: only VOID may be armed again (invariant 5).
        is_void = run.entry_state is EntryState.VOID
        columns["entry_state"] = EntryState.TENTATIVE if is_void else EntryState.UNCERTAIN
    run = work.change(run, **columns)
    base.start_attempt(work, run, AttemptState.SCHEDULED)
    work.tell("step.scheduled", run)
    if run.type in _HELD_OPEN:
        run = work.change(run, state=StepState.WAITING, due_at=None)
        if run.type == "WAIT":
            work.wake_at("STEP", work.now, run.id)
    elif run.type == "SUB_WORKFLOW":
        sub_workflow.start_again(work, node, run)
    elif run.type in due.RESUME:
        due.RESUME[run.type](work, node, run)
    else:
        base.watch_while_scheduled(work, node, run)
        work.fresh.append(run)
