"""An operator's retry of an ended run: the same step runs, keys and epoch (saga-semantics §5).

Refused by the service once any entry was dispatched. What had completed stays; what had failed, was
cancelled or is unknown begins again, with its undo armed again; what had succeeded when nothing was
followed any more is followed now.
"""

from dataclasses import replace

from orchestrator.engine import keys
from orchestrator.engine.commands import SendNotice
from orchestrator.engine.definition.graph import ENGINE_TYPES, Node
from orchestrator.engine.forward import due, finish
from orchestrator.engine.snapshot import RetryRequested, StepRun
from orchestrator.engine.states import (
    AttemptState,
    Direction,
    EntryState,
    ExecutionState,
    StepState,
)
from orchestrator.engine.steps import base, fork_join, watch
from orchestrator.engine.work import Work

_AGAIN = frozenset({StepState.FAILED, StepState.CANCELLED, StepState.UNKNOWN})
ENDED_WITHOUT_UNDO = frozenset(
    {ExecutionState.FAILED, ExecutionState.TIMED_OUT, ExecutionState.TERMINATED}
)
_RETRYABLE = ENDED_WITHOUT_UNDO | {ExecutionState.NEEDS_ATTENTION}


def retry(work: Work, item: RetryRequested) -> None:
    """Take the run up again from its failed steps; nothing happens where there are none."""
    if work.execution.state not in _RETRYABLE or _is_busy(work):
        _answer_parent(work, item)
        return
    if not work.snapshot.whole:
        work.needs.whole = True
        return
    stopped = work.frontier.get("stopped", {})
    chosen = _chosen(work)
    unfollowed = [run for key in stopped.get("unfollowed", ()) if (run := work.run(key))]
    if work.needs:
        return
    if not (chosen or unfollowed):
        _answer_parent(work, item)
        return
    _reopen(work, item, stopped, {run.id for run in chosen})
    work.settled.extend(unfollowed)
    chosen_ids = {run.id for run in chosen}
    for run in sorted(chosen, key=lambda run: run.seq):
        node = work.node(run)
        if node is None:
            continue
        if item.resume_children and run.type == "SUB_WORKFLOW" and run.child_id is not None:
            _resume_child(work, node, run, item)
        else:
            _begin_again(work, node, run, chosen_ids)


def _answer_parent(work: Work, item: RetryRequested) -> None:
    """Tell a parent that waits for this run to go on that it does not; others are not waiting."""
    if item.by_parent and work.execution.state.is_terminal:
        finish.tell_parent(work)


def _resume_child(work: Work, node: Node, run: StepRun, item: RetryRequested) -> None:
    """Have a failed child go on from its own failed steps (definitions.md §7.4)."""
    child_id = run.child_id
    assert child_id is not None
    run = _hold_open(work, run)
    if run.entry_state is not None:
        run = work.change(run, entry_state=EntryState.TENTATIVE)
        work.tell("entry.tentative", run)
    watch.watch(work, base.task_policy(work, node, run), run)
    work.do(
        SendNotice(
            execution_id=child_id,
            kind="RETRY",
            data={"by": item.actor, "reason": item.reason},
        )
    )


def _is_busy(work: Work) -> bool:
    return any(name in work.frontier for name in ("undo", "late", "part"))


def _chosen(work: Work) -> list[StepRun]:
    """Return what did not succeed, but for steps whose failure the run was meant to survive."""
    found: list[StepRun] = []
    for run in list(work.runs.values()):
        is_present = run.direction is Direction.FORWARD and run.cut_epoch is None
        if not is_present or run.state not in _AGAIN:
            continue
        node = work.node(run)
        whole = work.run(run.id)
        if node is not None and whole is not None and not due.is_excused(node, whole):
            found.append(whole)
    return found


def _reopen(work: Work, item: RetryRequested, stopped: dict[str, object], ids: set[str]) -> None:
    for name in ("stop", "stopped", "questions", "doubts", "ended_because"):
        work.frontier.pop(name, None)
    work.frontier.update({key: value for key, value in stopped.items() if key != "unfollowed"})
    # What came after a permissive failure has been enabled already: it is not entered twice.
    failures = work.frontier.pop("permissive", [])
    followed = [failure[2] for failure in failures if failure[2] in ids]
    if followed:
        work.frontier["again"] = [*work.frontier.get("again", []), *followed]
    work.set(outcome=None, failure=None, output=None)
    work.move(ExecutionState.RUNNING, by=item.actor, reason=item.reason, retry=True)
    definition = work.graph.definition
    if definition.timeout_seconds:
        work.wake_at("RUN", work.later(definition.timeout_seconds))


def _begin_again(work: Work, node: Node, run: StepRun, chosen: set[str]) -> None:
    if run.type == "JOIN":
        _hold_open(work, run)
        if run.position not in work.frontier.get("joins", {}):
            _count_again(work, node, run, chosen)
    elif run.type == "DO_WHILE" and run.position in work.frontier.get("loops", {}):
        _hold_open(work, run)
        record = work.frontier["loops"][run.position]
        if record.pop("broken", None) is not None or record.get("over"):
            work.frontier.setdefault("asks", []).append(run.id)
    elif run.type in ENGINE_TYPES:
        graph = work.graph_of(run.defined_by)
        if graph is not None:
            due.enter_again(work, graph, node, _renewed(work, run))
    else:
        _schedule_again(work, node, run)


def _renewed(work: Work, run: StepRun) -> StepRun:
    """Return a step run as it begins again; the store knows it as the one it was."""
    number = run.attempt + 1
    return replace(
        run,
        state=StepState.SCHEDULED,
        attempt=number,
        attempt_id=keys.attempt_id(work.execution.id, run.id, number),
        scheduled_at=work.now,
        first_scheduled_at=work.now,
        started_at=None,
        ended_at=None,
        settle_seq=None,
        reason="",
        error_class="",
        due_at=None,
        wake_at=None,
        lost=0,
        output=None,
        dynamic=None,
    )


def _write(work: Work, run: StepRun, renewed: StepRun) -> StepRun:
    names = [name for name in StepRun.__slots__ if name not in {"id", "is_light", "updated_at"}]
    changes = {name: getattr(renewed, name) for name in names}
    changed = {name: value for name, value in changes.items() if value != getattr(run, name)}
    return work.change(run, **changed)


def _hold_open(work: Work, run: StepRun) -> StepRun:
    """Let a JOIN, a loop or a sub-workflow wait again for what it waited for."""
    renewed = replace(_renewed(work, run), dynamic=run.dynamic, started_at=work.now)
    _arm_again(renewed)
    run = _write(work, run, renewed)
    base.start_attempt(work, run, AttemptState.WAITING)
    run = work.change(run, state=StepState.WAITING)
    work.tell("step.waiting", run)
    return run


def _arm_again(renewed: StepRun) -> None:
    """Arm an entry anew; an unknown outcome stays one: only VOID may be (invariant 5)."""
    if renewed.entry_state is EntryState.VOID:
        renewed.entry_state = EntryState.TENTATIVE


def _schedule_again(work: Work, node: Node, run: StepRun) -> None:
    """Make a step of the outside claimable again, with the input and the key it had."""
    wake_at = work.later(base.RING_AFTER) if run.queue else None
    renewed = replace(_renewed(work, run), due_at=work.now, wake_at=wake_at, rings=0)
    _arm_again(renewed)
    run = _write(work, run, renewed)
    base.start_attempt(work, run, AttemptState.SCHEDULED)
    work.tell("step.scheduled", run)
    watch.watch(work, base.task_policy(work, node, run), run)
    work.fresh.append(run)


def _count_again(work: Work, node: Node, join: StepRun, chosen: set[str]) -> None:
    """Make a failed JOIN's count anew: it waits for the branch ends that begin again."""
    rounds = node.rounds(join.position)
    ends = {name: _end_of(work, name, rounds) for name in map(str, join.input.get("joinOn", ()))}
    done = [run for run in ends.values() if run is not None and run.id not in chosen]
    record = {
        "run": join.id,
        "left": len(ends) - len(done),
        "failed": [],
        "errors": any(not run.state.is_successful for run in done)
        or any(run.state is StepState.COMPLETED_WITH_ERRORS for run in done),
    }
    forks = {run.defined_by for run in ends.values() if run and run.defined_by != join.defined_by}
    for fork in forks - {None}:
        record["fork"] = fork
        work.frontier.setdefault("forks", {})[fork] = join.defined_by
    work.frontier.setdefault("joins", {})[join.position] = record
    if not record["left"]:
        fork_join.finish_join(work, node, join.position)


def _end_of(work: Work, reference: str, rounds: tuple[int, ...]) -> StepRun | None:
    """Return the step run of a branch end in the rounds of its JOIN."""
    found: StepRun | None = None
    for run in work.runs.values():
        if run.reference != reference or run.direction is not Direction.FORWARD:
            continue
        node = work.node(run)
        is_near = node is not None and node.rounds(run.position)[: len(rounds)] == rounds
        is_present = is_near and run.cut_epoch is None
        if is_present and (found is None or found.seq < run.seq):
            found = run
    return found
