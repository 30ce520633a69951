"""What a play came to, as the API shows it: plan, people, what stays, and how long it takes."""

from collections.abc import Mapping
from typing import Any

from orchestrator.engine.compensation import pivots
from orchestrator.engine.compensation import plan as planning
from orchestrator.engine.simulation.memory import Run
from orchestrator.engine.simulation.world import Asked, World
from orchestrator.engine.snapshot import StepRun
from orchestrator.engine.states import EntryState, ExecutionState

Row = dict[str, Any]

_UNDONE = frozenset({EntryState.VOID, EntryState.COMPENSATED})
_ENDED_FORWARD = frozenset({ExecutionState.COMPLETED, ExecutionState.RUNNING})
_NO_UNDO: Mapping[str, str] = {
    "happened": "it happened and has no undo",
    "may have happened": "it may have happened and has no undo",
}
_WHY: Mapping[EntryState, str] = {
    EntryState.ARMED: "was not undone",
    EntryState.UNCERTAIN: "may have happened and was not undone",
    EntryState.SKIPPED: "was left as it is",
    EntryState.SEALED: "could not be undone any more",
    EntryState.RESOLVED_MANUALLY: "was undone by a person, outside the engine",
    EntryState.COMPENSATION_FAILED: "could not be undone",
    EntryState.LATE_EFFECT: "turned up after its undo",
}


def ending(world: World) -> Row:
    """Return everything a scenario tells but what went wrong in it."""
    root = world.root
    approvals = [_approval(asked) for asked in world.asked if asked.kind == "APPROVAL"]
    questions = [_question(asked) for asked in world.asked if asked.kind != "APPROVAL"]
    left = stays(world)
    planned = entries(world)
    return {
        "entries": planned,
        "amounts": planning.totals(planned),
        "approvals": approvals,
        "questions": questions,
        "cannotBeUndone": list(dict.fromkeys(row["taskReferenceName"] for row in lasting(world))),
        "stays": left,
        "finalState": root.state.value,
        "runOutcome": root.execution.outcome.value if root.execution.outcome else None,
        "direction": direction(world),
        "returns": returns(world),
        "triedForEver": [point.reference for point in world.endless],
        "timeToUndone": {
            "atLeastSeconds": seconds(world),
            "waitsForPeople": bool(approvals or questions),
        },
    }


# ---- the plan --------------------------------------------------------------------------------


def entries(world: World) -> list[Row]:
    """Return the entries of all plans in order of undo; those of a child stand before its own."""
    found: list[Row] = []
    shown: set[str] = set()
    for index, (_, stored) in enumerate(world.plans):
        if stored.id not in shown:
            found += _plan(world, index, shown)
    return found


def _plan(world: World, index: int, shown: set[str]) -> list[Row]:
    execution_id, stored = world.plans[index]
    shown.add(stored.id)
    run = world.all[execution_id]
    waits: dict[str, list[str]] = {}
    for waiting, awaited in stored.edges:
        waits.setdefault(waiting, []).append(run.runs[awaited].reference)
    found: list[Row] = []
    for entry in stored.entries:
        step = run.runs[entry["id"]]
        for later, (owner, inner) in enumerate(world.plans):
            if later > index and owner == step.child_id and inner.id not in shown:
                found += _plan(world, later, shown)
        found.append(_entry(run, step, entry, waits.get(step.id, [])))
    return found


def _entry(run: Run, step: StepRun, entry: Mapping[str, Any], waits_for: list[str]) -> Row:
    return {
        **_where(run, step),
        "epoch": step.epoch,
        "undo": entry["task"],
        "policy": entry["policy"],
        "outcome": entry["outcome"],
        "amount": entry["amount"],
        "state": step.entry_state.value if step.entry_state else None,
        "waitsFor": sorted(waits_for),
    }


def _where(run: Run, step: StepRun) -> Row:
    return {
        "taskReferenceName": step.reference,
        "iteration": step.iteration,
        "position": step.position,
        "workflowName": run.execution.workflow_name,
        "within": list(run.within),
    }


# ---- people ----------------------------------------------------------------------------------


def _approval(asked: Asked) -> Row:
    rule = asked.approval
    return {
        "taskReferenceName": asked.reference,
        "iteration": asked.iteration,
        "within": list(asked.within),
        "groups": list(rule["groups"]),
        "quorum": rule["quorum"],
        "escalation": [list(level["groups"]) for level in rule["escalation"]],
        "deadlineSeconds": rule["deadline_seconds"],
    }


def _question(asked: Asked) -> Row:
    return {
        "kind": asked.kind,
        "taskReferenceName": asked.reference,
        "iteration": asked.iteration,
        "within": list(asked.within),
        "question": _SENTENCES[asked.kind].format(asked.reference),
        "assumed": asked.assumed,
    }


_SENTENCES: Mapping[str, str] = {
    "OUTCOME": 'Did "{}" happen?',
    "DIRECTION": "Undo the run, try it again or leave it?",
    "MANUAL": 'Undo "{}" by hand and say so.',
    "PLAN": "Start the undo?",
    "OVERRIDE": "Undo what came before the pivot? It needs a right of its own.",
}


# ---- what is left ----------------------------------------------------------------------------


def lasting(world: World) -> list[Row]:
    """Return what happened, or may have, and has no undo."""
    return [
        {
            **_where(run, run.runs[row["stepId"]]),
            "effect": row["effect"],
            "why": _NO_UNDO[row["note"]],
        }
        for run in world.all.values()
        if not _is_undone_as_a_whole(world, run)
        for row in planning.make(run.runs, run.node).cannot_be_undone
    ]


def stays(world: World) -> list[Row]:
    """Return the effects that are left when the run has ended going back."""
    if world.root.state in _ENDED_FORWARD:
        return []
    left = [
        {**_where(run, step), "effect": run.node(step).effect.value, "why": _why(step)}
        for run in world.all.values()
        if not _is_undone_as_a_whole(world, run)
        for step in sorted(run.runs.values(), key=lambda step: step.seq)
        if _is_left(run, step)
    ]
    return lasting(world) + left


def _is_left(run: Run, step: StepRun) -> bool:
    """Tell whether an entry still stands for an effect; that of a child speaks for its child."""
    if step.entry_state is None or step.entry_state in _UNDONE:
        return False
    return step.child_id is None or run.node(step).has_undo


def _is_undone_as_a_whole(world: World, run: Run) -> bool:
    """Tell whether a child was a black box that its parent has undone (saga-semantics §3)."""
    parent = world.parent_of(run)
    while parent is not None:
        step = parent.runs[run.execution.parent_step_id or ""]
        if step.entry_state is EntryState.COMPENSATED and parent.node(step).has_undo:
            return True
        run, parent = parent, world.parent_of(parent)
    return False


def _why(step: StepRun) -> str:
    assert step.entry_state is not None
    return _WHY.get(step.entry_state, "its undo is not over")


def direction(world: World) -> str:
    """Tell which way the run went: forward after a completed pivot or in spite of the failure."""
    root = world.root
    has_decided = pivots.last_pivot(root.runs, root.node) is not None
    if has_decided or root.state in _ENDED_FORWARD:
        return "FORWARD"
    return "BACKWARD" if world.plans or not stays(world) else "NONE"


def returns(world: World) -> list[Row]:
    """Return the returns to savepoints, each with the epoch that began there (§11)."""
    return [
        {
            "taskReferenceName": event.reference,
            "within": list(run.within),
            "number": event.data["number"],
            "epoch": event.data["epoch"],
        }
        for run in world.all.values()
        for event in run.events
        if event.type == "savepoint.retried"
    ]


def seconds(world: World) -> float:
    """Return the least time from the first trouble to the end; calls and people take none."""
    if world.troubled_at is None:
        return 0.0
    return round((world.now - world.troubled_at).total_seconds(), 3)
