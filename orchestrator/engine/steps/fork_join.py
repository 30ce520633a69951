"""FORK_JOIN, JOIN and EXCLUSIVE_JOIN (definitions.md §5.4, §5.5, §5.7)."""

from typing import Any

from orchestrator.engine.definition.graph import Node
from orchestrator.engine.snapshot import StepRun
from orchestrator.engine.states import StepState
from orchestrator.engine.steps import base
from orchestrator.engine.work import Work


def begin_fork(work: Work, node: Node, run: StepRun, inputs: dict[str, Any]) -> None:
    """Complete at once; the branches and the JOIN are entered by what follows."""
    firsts = [branch[0] for branch in node.step.branches if branch]
    shown = {
        **inputs,
        "forkedTasks": [step.reference for step in firsts],
        "forkedTaskDefs": [dict(step.document) for step in firsts],
    }
    run = base.begin_in_engine(work, run, shown, StepState.SCHEDULED)
    base.complete(work, run)


def begin_join(work: Work, node: Node, run: StepRun, inputs: dict[str, Any]) -> None:
    """Wait until every step that `joinOn` names is settled."""
    awaited = [str(name) for name in inputs.get("joinOn", node.step.join_on)]
    run = base.begin_in_engine(work, run, {**inputs, "joinOn": awaited}, StepState.WAITING)
    work.frontier.setdefault("joins", {})[run.position] = {
        "run": run.id,
        "left": len(set(awaited)),
        "failed": [],
        "errors": False,
    }
    if not awaited:
        work.frontier["joins"].pop(run.position)
        base.complete(work, run)
    elif node.fork is None:
        _count_settled(work, node, run, awaited)


def _count_settled(work: Work, node: Node, run: StepRun, awaited: list[str]) -> None:
    """Count what has ended before a JOIN that does not stand right after a fork."""
    missing = [name for name in awaited if name not in work.latest]
    work.needs.references.update(missing)
    for name in () if missing else dict.fromkeys(awaited):
        end = _in_round(work, node, run, name)
        if end is not None and end.state.is_settled:
            is_excused = end.state in (StepState.UNKNOWN, StepState.FAILED) and _is_optional(
                work, end
            )
            if note_settled(work, run.position, end, is_excused=is_excused):
                finish_join(work, node, run.position)


def _is_optional(work: Work, run: StepRun) -> bool:
    node = work.node(run)
    return node is not None and node.step.optional


def note_settled(work: Work, join_position: str, run: StepRun, *, is_excused: bool) -> bool:
    """Count a settled branch end; True when the JOIN has all it waits for."""
    waiting = work.frontier.get("joins", {}).get(join_position)
    if waiting is None:
        return False
    waiting["left"] -= 1
    if is_excused or run.state is StepState.COMPLETED_WITH_ERRORS:
        waiting["errors"] = True
    elif not run.state.is_successful:
        waiting["failed"].append(run.id)
    return bool(waiting["left"] <= 0)


def finish_join(work: Work, node: Node, join_position: str) -> bool:
    """Settle a JOIN that has all it waits for; False if step runs must be loaded first.

    Its branch ends are read only here, so that a wide fork does not carry them from step to step.
    """
    waiting = work.frontier["joins"][join_position]
    run = work.run(waiting["run"])
    awaited = list(dict.fromkeys(run.input["joinOn"])) if run else []
    missing = [reference for reference in awaited if reference not in work.latest]
    work.needs.references.update(missing)
    if run is None or missing:
        return False
    ends = [end for reference in awaited if (end := work.latest[reference])]
    work.frontier["joins"].pop(join_position)
    if "fork" in waiting:
        work.frontier["forks"].pop(waiting["fork"], None)
    output = {end.reference: end.output for end in ends if end.output}
    # What was unknown when it was counted may be known to have happened since.
    failed = [end for end in ends if end.id in waiting["failed"] and not end.state.is_successful]
    reasons = " ".join(end.reason for end in failed)
    run = work.change(run, caused_by=tuple(end.id for end in ends))
    if failed and all(end.state is StepState.CANCELLED for end in failed):
        base.settle(work, run, StepState.CANCELLED, reason=reasons, output=output)
    elif failed:
        base.fail(work, node, run, reasons, output=output)
    elif waiting["errors"]:
        base.settle(work, run, StepState.COMPLETED_WITH_ERRORS, output=output)
    else:
        base.complete(work, run, output)
    return True


def begin_exclusive_join(work: Work, node: Node, run: StepRun, inputs: dict[str, Any]) -> None:
    """Give the output of the branch that was taken; its steps are settled when this begins."""
    step = node.step
    for reference in (*step.join_on, *step.default_exclusive_join):
        if reference not in work.latest:
            work.needs.references.add(reference)
    if work.needs.references:
        return
    taken = [
        end
        for reference in step.join_on
        if (end := _in_round(work, node, run, reference)) and end.state is not StepState.SKIPPED
    ]
    if not taken:
        defaults = step.default_exclusive_join
        taken = [end for name in defaults if (end := _in_round(work, node, run, name))]
    run = base.begin_in_engine(work, run, inputs, StepState.SCHEDULED)
    if taken and taken[0].state is StepState.FAILED and not step.permissive:
        base.fail(work, node, run, taken[0].reason)
        return
    base.complete(work, run, taken[0].output if taken else None)


def _in_round(work: Work, node: Node, run: StepRun, reference: str) -> StepRun | None:
    """Return the newest step run of a reference, unless it belongs to an earlier round."""
    found = work.latest[reference]
    other = work.node(found) if found else None
    if found is None or other is None:
        return None
    rounds = node.rounds(run.position)
    return found if other.rounds(found.position)[: len(rounds)] == rounds else None
