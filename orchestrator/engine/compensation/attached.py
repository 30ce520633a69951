"""Undo, probe and confirm steps: step runs that belong to the step run they are attached to."""

from dataclasses import replace

from orchestrator.engine import keys, roots
from orchestrator.engine.commands import StartAttempt
from orchestrator.engine.compensation import inputs
from orchestrator.engine.definition.graph import ENGINE_TYPES, Node
from orchestrator.engine.expressions.limits import ExpressionTooLarge
from orchestrator.engine.forward import due
from orchestrator.engine.snapshot import StepRun
from orchestrator.engine.states import (
    AttemptState,
    Direction,
    EntryState,
    ErrorClass,
    StepState,
)
from orchestrator.engine.steps import base
from orchestrator.engine.steps import entry as ledger
from orchestrator.engine.work import Work


def runs_of(work: Work, entry: StepRun, direction: Direction) -> list[StepRun]:
    """Return an entry's step runs of one direction in its present round, in order."""
    found = [
        run
        for run in work.runs.values()
        if run.compensates == entry.id and run.direction is direction and run.round == entry.round
    ]
    return sorted(found, key=lambda run: run.seq)


def undo_runs(work: Work, entry: StepRun) -> list[StepRun]:
    """Return the step runs of an entry's undo in its present round, of the one that is sent."""
    node = work.node(entry)
    undo = node.step.compensation if node else None
    if undo is None:
        return []
    names = {task.reference for task in roots.undo_tasks(work, undo, entry)}
    runs = runs_of(work, entry, Direction.COMPENSATION)
    return [run for run in runs if run.reference in names]


def take_back(work: Work, entry: StepRun) -> bool:
    """Take back the undo of a READY entry unless it was taken; False if it must be loaded first.

    The entry waits for its dispatch again.
    """
    undo = work.frontier["undo"]
    if entry.id in undo["ready"]:
        return True
    if entry.id not in work.snapshot.attached:
        work.needs.attached.add(entry.id)
        return False
    for run in runs_of(work, entry, Direction.COMPENSATION):
        if run.state is StepState.SCHEDULED:
            withdraw(work, run)
    undo["ready"].append(entry.id)
    return True


def withdraw(work: Work, run: StepRun) -> None:
    """Cancel an undo step that nobody has taken: what was sent so far stays as it is."""
    if work.runs[run.id].state is StepState.CANCELLED:
        return
    work.frontier["undo"]["flight"] -= 1
    run = work.change(run, state=StepState.CANCELLED, due_at=None, wake_at=None)
    base.end_attempt(work, run)
    work.tell("step.cancelled", run)


def enter(work: Work, owner: Node, entry: StepRun, reference: str) -> bool:
    """Begin an attached step; False if something must be loaded first."""
    graph = work.graph_of(entry.defined_by)
    if graph is None:
        return False
    node = graph.nodes[reference]
    run = _new_run(work, node, entry)
    values = roots.undo_roots(work, node.roots, owner, entry, run)
    if values is None:
        return False
    try:
        given = inputs.mapped(work, node, entry, values)
    except ExpressionTooLarge as error:
        run = base.begin_in_engine(work, run, {}, StepState.SCHEDULED)
        base.fail(work, node, run, str(error), error_class=ErrorClass.FAILED_TERMINAL)
        return True
    due.begin(work, node, run, given)
    if work.needs:
        return False
    _mark_running(work, entry, work.runs[run.id])
    return True


def _mark_running(work: Work, entry: StepRun, run: StepRun) -> None:
    """Let the entry be RUNNING at once where the engine itself does the undo."""
    is_undo = run.direction is Direction.COMPENSATION
    if is_undo and run.state is not StepState.SCHEDULED:
        entry = work.runs[entry.id]
        if entry.entry_state in (EntryState.READY, EntryState.RETRY_WAIT):
            ledger.begin_running(work, entry)


def begin_again(work: Work, owner: Node, entry: StepRun, run: StepRun) -> bool:
    """Begin a failed or withdrawn undo step once more, with the key it had (§12)."""
    graph = work.graph_of(entry.defined_by)
    if graph is None:
        return False
    node = graph.nodes[run.reference]
    if run.type not in ENGINE_TYPES:
        _schedule_again(work, owner, entry, run, node)
        return not work.needs
    values = roots.undo_roots(work, node.roots, owner, entry, run)
    if values is None:
        return False
    number = run.attempt + 1
    renewed = replace(
        run,
        state=StepState.SCHEDULED,
        attempt=number,
        attempt_id=keys.attempt_id(work.execution.id, run.id, number),
        scheduled_at=work.now,
        first_scheduled_at=work.now,
        started_at=None,
        ended_at=None,
        settle_seq=None,
        due_at=None,
        wake_at=None,
        reason="",
        error_class="",
        output=None,
    )
    due.begin(work, node, renewed, inputs.mapped(work, node, entry, values))
    if work.needs:
        return False
    _mark_running(work, entry, work.runs[run.id])
    return True


def _new_run(work: Work, node: Node, entry: StepRun) -> StepRun:
    execution = work.execution
    # A probe asks about one attempt, an undo is one per round.
    round_ = entry.attempt if node.direction is Direction.PROBE else entry.round
    run_id = keys.attached_run_id(execution.id, entry.id, node.direction, node.reference, round_)
    return StepRun(
        id=run_id,
        reference=node.reference,
        position=entry.position,
        iteration=entry.iteration,
        epoch=entry.epoch,
        direction=node.direction,
        type=node.step.type,
        name=node.step.name,
        seq=work.next_seq(),
        attempt_id=run_id,
        compensates=entry.id,
        round=round_,
        priority=execution.priority,
        defined_by=entry.defined_by,
        scheduled_at=work.now,
        first_scheduled_at=work.now,
        updated_at=work.now,
    )


def _schedule_again(work: Work, owner: Node, entry: StepRun, run: StepRun, node: Node) -> None:
    columns: dict[str, object] = {}
    if run.state is StepState.CANCELLED:
        # Nothing was sent, and what people have agreed to since may differ.
        values = roots.undo_roots(work, node.roots, owner, entry, run)
        if values is None:
            return
        columns["input"] = inputs.mapped(work, node, entry, values)
    number = run.attempt + 1
    run = work.change(
        run,
        state=StepState.SCHEDULED,
        attempt=number,
        attempt_id=keys.attempt_id(work.execution.id, run.id, number),
        scheduled_at=work.now,
        first_scheduled_at=work.now,
        due_at=work.now,
        wake_at=work.later(base.RING_AFTER) if run.queue else None,
        rings=0,
        settle_seq=None,
        ended_at=None,
        error_class="",
        **columns,
    )
    work.do(
        StartAttempt(
            attempt_id=run.attempt_id,
            step_run_id=run.id,
            number=number,
            state=AttemptState.SCHEDULED,
        )
    )
    work.tell("step.scheduled", run)
    work.fresh.append(run)
