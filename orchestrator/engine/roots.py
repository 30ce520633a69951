"""What `${…}` expressions of a step may read: `workflow`, steps, and in an undo `compensation`.

The words and statuses are Conductor's (conductor/definitions.md §6, api.md §14): expressions were
written against them.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from orchestrator.engine import keys, origins
from orchestrator.engine.definition.graph import Node, inner_steps
from orchestrator.engine.definition.model import Compensation, Step
from orchestrator.engine.expressions import mapping
from orchestrator.engine.snapshot import ExecutionView, StepRun
from orchestrator.engine.states import Direction, ExecutionState, StepState
from orchestrator.engine.work import Work

OWN_TASK_ID = "CPEWF_TASK_ID"
_NOT_STEPS = frozenset({"workflow", "compensation", OWN_TASK_ID})

STATUS_WORDS = {
    StepState.SCHEDULED: "SCHEDULED",
    StepState.DISPATCHED: "IN_PROGRESS",
    StepState.WAITING: "IN_PROGRESS",
    StepState.RETRY_WAIT: "SCHEDULED",
    StepState.COMPLETED: "COMPLETED",
    StepState.COMPLETED_WITH_ERRORS: "COMPLETED_WITH_ERRORS",
    StepState.FAILED: "FAILED",
    StepState.UNKNOWN: "IN_PROGRESS",
    StepState.SKIPPED: "SKIPPED",
    StepState.CANCELLED: "CANCELED",
}


def task_type(run_type: str, name: str) -> str:
    """Return the `taskType` on the wire: the name for worker steps, FORK for both forks."""
    if run_type in {"SIMPLE", "DYNAMIC"}:
        return name
    return "FORK" if run_type in {"FORK_JOIN", "FORK_JOIN_DYNAMIC"} else run_type


def millis(moment: datetime | None) -> int:
    """Return epoch milliseconds; 0 for not yet."""
    return int(moment.timestamp() * 1000) if moment else 0


def task_status(run: StepRun) -> str:
    """Return the status of a step run's last attempt, in Conductor's words."""
    if run.state is StepState.FAILED and run.error_class == "FAILED_TERMINAL":
        return "FAILED_WITH_TERMINAL_ERROR"
    if run.state in (StepState.FAILED, StepState.UNKNOWN) and run.error_class == "TIMED_OUT":
        return "TIMED_OUT"
    return STATUS_WORDS[run.state]


def run_status(execution: ExecutionView) -> str:
    """Return the run's status in Conductor's words (api.md §14)."""
    state = execution.state
    if state.is_terminal:
        undone = (ExecutionState.COMPENSATED, ExecutionState.PARTIALLY_COMPENSATED)
        return (execution.outcome or "FAILED") if state in undone else state.value
    return "PAUSED" if execution.paused else "RUNNING"


def workflow_root(execution: ExecutionView, variables: dict[str, Any] | None = None) -> Any:
    """Return what `${workflow.…}` reads."""
    failure = execution.failure or {}
    return {
        "input": execution.input,
        "output": execution.output or {},
        "status": run_status(execution),
        "workflowId": execution.id,
        "parentWorkflowId": execution.parent_id,
        "parentWorkflowTaskId": execution.parent_step_id,
        "workflowType": execution.workflow_name,
        "version": execution.version_number,
        "correlationId": execution.correlation_id or None,
        "reasonForIncompletion": failure.get("reason"),
        "schemaVersion": 2,
        "variables": execution.variables if variables is None else variables,
    }


def step_root(work: Work, run: StepRun) -> dict[str, Any]:
    """Return what `${<reference>.…}` reads."""
    return {
        "input": run.input,
        "output": run.output or {},
        "status": task_status(run),
        "taskType": task_type(run.type, run.name),
        "referenceTaskName": run.reference,
        "retryCount": run.attempt - 1,
        "correlationId": work.execution.correlation_id or None,
        "pollCount": 0,
        "taskDefName": run.name,
        "scheduledTime": millis(run.scheduled_at),
        "startTime": millis(run.started_at),
        "endTime": millis(run.ended_at),
        "workflowInstanceId": work.execution.id,
        "taskId": run.attempt_id,
        "reasonForIncompletion": run.reason or None,
        "callbackAfterSeconds": 0,
        "workerId": None,
        "iteration": run.iteration,
    }


def steps_read(names: Iterable[str]) -> frozenset[str]:
    """Return which of these roots are steps."""
    return frozenset(names) - _NOT_STEPS - {mapping.ANY_ROOT}


def forward_roots(
    work: Work, names: frozenset[str], own: StepRun | None = None
) -> dict[str, Any] | None:
    """Return the roots that a forward step reads; None if some must be loaded first."""
    if mapping.ANY_ROOT in names:
        names = names | frozenset(work.graph.nodes)
    found: dict[str, Any] = {}
    for name in steps_read(names):
        if name in work.latest:
            run = work.latest[name]
            found[name] = step_root(work, run) if run else None
        else:
            work.needs.references.add(name)
    if work.needs.references:
        return None
    if "workflow" in names:
        found["workflow"] = workflow_root(work.execution)
    if OWN_TASK_ID in names and own is not None:
        found[OWN_TASK_ID] = own.attempt_id
    return found


def undo_roots(
    work: Work, names: frozenset[str], owner: Node, entry: StepRun, own: StepRun | None
) -> dict[str, Any] | None:
    """Return the roots that an undo, probe or confirm step reads; None if some must be loaded.

    The forward step is read from its own snapshot, other steps as they were before it, and the
    run's variables as they were when it settled (saga-semantics §8).
    """
    found: dict[str, Any] = {}
    siblings = attached_references(owner) & names
    if siblings and entry.id not in work.snapshot.attached:
        work.needs.attached.add(entry.id)
    for name in steps_read(names):
        if name == entry.reference:
            found[name] = step_root(work, entry)
        elif name in siblings:
            found[name] = _sibling(work, entry, name)
        elif (name, entry.seq) in work.snapshot.latest_before:
            run = work.snapshot.latest_before[name, entry.seq]
            found[name] = _in_its_round(work, run, owner, entry) if run else None
        else:
            work.needs.before.add((name, entry.seq))
    if "workflow" in names:
        found["workflow"] = workflow_root(work.execution, entry.variables)
    if "compensation" in names:
        found["compensation"] = compensation_root(work, owner, entry, own)
    if work.needs:
        return None
    if OWN_TASK_ID in names and own is not None:
        found[OWN_TASK_ID] = own.attempt_id
    return found


def attached_references(owner: Node) -> frozenset[str]:
    """Return the references of a step's undo, probe and confirm steps."""
    step = owner.step
    attached = [*step.confirm, *([step.probe] if step.probe else [])]
    if step.compensation is not None:
        attached += [*step.compensation.tasks, *step.compensation.alternate]
    return frozenset(task.reference for task in attached)


def _sibling(work: Work, entry: StepRun, reference: str) -> dict[str, Any] | None:
    runs = [
        run
        for run in work.runs.values()
        if run.compensates == entry.id and run.reference == reference and run.round == entry.round
    ]
    return step_root(work, max(runs, key=lambda run: run.seq)) if runs else None


def _in_its_round(work: Work, run: StepRun, owner: Node, entry: StepRun) -> dict[str, Any]:
    """Return a loop around the step as it was in the step's own round."""
    root = step_root(work, run)
    if run.reference in owner.loops and run.type == "DO_WHILE":
        round_ = owner.rounds(entry.position)[owner.loops.index(run.reference)]
        root["iteration"] = round_
        if run.dynamic is not None and 0 < round_ <= len(run.dynamic):
            item = {"loopIndex": round_ - 1, "loopItem": run.dynamic[round_ - 1]}
            root["input"] = {**run.input, **item}
    return root


def compensation_root(
    work: Work, owner: Node, entry: StepRun, own: StepRun | None
) -> dict[str, Any]:
    """Return what `${compensation.…}` reads (product.md §3)."""
    execution, plan = work.execution, origins.plan_of(work, entry)
    return {
        "reason": plan.reason if plan else (execution.failure or {}).get("message"),
        "trigger": plan.trigger if plan else None,
        "failure": execution.failure,
        "forwardKey": keys.forward_key(execution.id, entry.position, entry.epoch),
        "key": _own_key(work, owner, entry, own),
        "round": entry.round,
        "variables": execution.variables,
        "iterations": _iterations(work, owner, entry),
    }


def _own_key(work: Work, owner: Node, entry: StepRun, own: StepRun | None) -> str:
    """Return the key of an attached step; without one, of the first of the undo to be sent."""
    if own is not None:
        reference = own.reference
    else:
        first = _first_undo(work, owner, entry)
        reference = first.reference if first is not None else ""
    shown = reference if reference in owner.step.keyed else ""
    if own is not None and own.direction is Direction.CONFIRM:
        return keys.confirm_key(entry.id, shown)
    return keys.undo_key(entry.id, entry.round, shown)


def _first_undo(work: Work, owner: Node, entry: StepRun) -> Step | None:
    undo = owner.step.compensation
    if undo is None:
        return None
    return undo_tasks(work, undo, entry)[0]


def is_alternate(work: Work, entry: StepRun) -> bool:
    """Tell whether it was too late for the first undo, so that the other one is sent (§10.3)."""
    return entry.id in (work.frontier.get("undo") or {}).get("alternate", ())


def undo_tasks(work: Work, undo: Compensation, entry: StepRun) -> tuple[Step, ...]:
    """Return the tasks of the undo that is sent for an entry."""
    return undo.alternate if is_alternate(work, entry) else undo.tasks


def _iterations(work: Work, owner: Node, entry: StepRun) -> list[dict[str, Any]] | None:
    """Return the rounds that one undo of a whole loop stands for (`compensate: ONCE`)."""
    if owner.step.type != "DO_WHILE":
        return None
    if entry.position not in work.snapshot.rounds:
        work.needs.rounds.add((entry.position, body_references(owner), "all"))
        return None
    inside = all_of_rounds(work, owner, entry.position)
    if inside is None:
        return None
    found: dict[int, dict[str, Any]] = {}
    for run, number in inside:
        whole = work.run(run.id)
        record = found.setdefault(number, {"iteration": number})
        if whole is not None:
            record[run.reference] = {"input": whole.input, "output": whole.output}
    return [found[number] for number in sorted(found)]


def body_references(loop: Node) -> tuple[str, ...]:
    """Return the references of all steps inside a loop."""
    return tuple(step.reference for step in inner_steps(loop.step.body))


def rounds_of(work: Work, loop: Node, position: str) -> list[tuple[StepRun, int]]:
    """Return the step runs inside a loop with their rounds, in order; they must be loaded."""
    names = frozenset(body_references(loop))
    inside = loop.rounds(position)
    found: list[tuple[StepRun, int]] = []
    for run in sorted(work.runs.values(), key=lambda run: run.seq):
        is_inside = run.reference in names and run.direction is Direction.FORWARD
        node = work.node(run) if is_inside and run.cut_epoch is None else None
        rounds = node.rounds(run.position) if node else ()
        if rounds[: len(inside)] == inside and len(rounds) > len(inside):
            found.append((run, rounds[len(inside)]))
    return found


def all_of_rounds(work: Work, loop: Node, position: str) -> list[tuple[StepRun, int]] | None:
    """Return the same with what dynamic forks inside began; None while the ledger is loaded."""
    if all(step.type != "FORK_JOIN_DYNAMIC" for step in inner_steps(loop.step.body)):
        return rounds_of(work, loop, position)
    if not work.snapshot.whole:
        work.needs.whole = True
        return None
    found = rounds_of(work, loop, position)
    known = {run.id: number for run, number in found}
    for run in sorted(work.runs.values(), key=lambda run: run.seq):
        if run.direction is Direction.FORWARD and run.defined_by in known:
            known[run.id] = known[run.defined_by]
            found.append((run, known[run.id]))
    return found
