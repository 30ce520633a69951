"""Going on: what is enabled by a settled step run, and how it begins."""

from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.engine import roots
from orchestrator.engine.definition.graph import Graph, Node
from orchestrator.engine.expressions import mapping
from orchestrator.engine.expressions.limits import ExpressionTooLarge
from orchestrator.engine.forward import unknown
from orchestrator.engine.snapshot import StepRun
from orchestrator.engine.states import (
    Direction,
    ErrorClass,
    ExecutionState,
    ForwardResult,
    StepState,
)
from orchestrator.engine.steps import (
    base,
    compensate,
    dynamic_fork,
    fork_join,
    loop,
    script,
    simple,
    sub_workflow,
    switch,
    terminate,
    variables,
    wait,
)
from orchestrator.engine.work import Stop, Work

Begin = Callable[[Work, Node, StepRun, dict[str, Any]], object]

BEGIN: Mapping[str, Begin] = {
    "DYNAMIC": simple.begin_dynamic,
    "SWITCH": switch.begin,
    "DECISION": switch.begin,
    "INLINE": script.begin,
    "LAMBDA": script.begin,
    "JSON_JQ_TRANSFORM": script.begin,
    "SET_VARIABLE": variables.begin_set_variable,
    "NOOP": variables.begin_noop,
    "WAIT": wait.begin,
    "HUMAN": wait.begin_human,
    "TERMINATE": terminate.begin,
    "COMPENSATE": compensate.begin,
    "SUB_WORKFLOW": sub_workflow.begin,
    "FORK_JOIN": fork_join.begin_fork,
    "JOIN": fork_join.begin_join,
    "EXCLUSIVE_JOIN": fork_join.begin_exclusive_join,
    "FORK_JOIN_DYNAMIC": dynamic_fork.begin,
    "DO_WHILE": loop.begin,
}
RESUME: Mapping[str, Callable[[Work, Node, StepRun], None]] = {
    "SWITCH": switch.resume,
    "DECISION": switch.resume,
    "INLINE": script.resume,
    "LAMBDA": script.resume,
    "JSON_JQ_TRANSFORM": script.resume,
}


def begin(work: Work, node: Node, run: StepRun, inputs: dict[str, Any]) -> object:
    """Begin a step run of any type; types nobody here knows are for workers."""
    return BEGIN.get(run.type, simple.begin)(work, node, run, inputs)


def enter(
    work: Work,
    graph: Graph,
    reference: str,
    rounds: tuple[int, ...],
    caused_by: tuple[str, ...],
    defined_by: str | None = None,
    *,
    join_on: list[str] | None = None,
) -> None:
    """Enable a step: map its input and begin it."""
    node = graph.nodes[reference]
    run = base.new_run(work, node, rounds, caused_by, defined_by)
    _open(work, graph, node, run, join_on=join_on)


def enter_again(work: Work, graph: Graph, node: Node, run: StepRun) -> None:
    """Begin a step that the engine does itself once more; `run` is its renewed value."""
    _open(work, graph, node, run, join_on=None)


def _open(work: Work, graph: Graph, node: Node, run: StepRun, *, join_on: list[str] | None) -> None:
    values = roots.forward_roots(work, node.roots, run)
    if values is None:
        return
    try:
        inputs = base.inputs_of(work, node, values)
        if node.step.items is not None:
            inputs["items"] = mapping.resolve(node.step.items, values)
    except ExpressionTooLarge as error:
        run = base.begin_in_engine(work, run, {}, StepState.SCHEDULED)
        base.fail(work, node, run, str(error), error_class=ErrorClass.FAILED_TERMINAL)
        return
    if join_on is not None:
        inputs["joinOn"] = join_on
    opened = begin(work, node, run, inputs)
    if run.type == "DO_WHILE" and opened:
        # The loop itself comes after its rounds (`_decide_round`), so they cannot come after it.
        _enter_round(work, graph, node, run.position, 1, run.caused_by, run.defined_by)


def start(work: Work) -> None:
    """Enable the first step of the run."""
    if work.graph.first is not None:
        enter(work, work.graph, work.graph.first, (), ())


def resume_asked(work: Work) -> bool:
    """Go on with steps that wait for a script; True when at least one moved."""
    moved = False
    asked, work.frontier["asks"] = list(work.frontier.get("asks", [])), []
    for run_id in asked:
        run = work.run(run_id)
        if run is None or run.state.is_settled:
            continue
        if run.direction is Direction.FORWARD and not _goes_on(work):
            work.frontier["asks"].append(run_id)
            continue
        node = work.node(run)
        if node is None:
            continue
        if run.type == "DO_WHILE":
            _decide_round(work, node, run.position, run.defined_by)
        elif run.type in RESUME:
            RESUME[run.type](work, node, run)
        moved = moved or run_id not in work.frontier["asks"]
    if not work.frontier["asks"]:
        work.frontier.pop("asks")
    return moved


def _goes_on(work: Work) -> bool:
    """Tell whether the engine may go on with forward work now."""
    return work.in_state(ExecutionState.RUNNING) and "pivot_doubt" not in work.frontier


def follow(work: Work, run: StepRun) -> None:
    """Take the consequences of a settled forward step run."""
    run = work.runs.get(run.id, run)
    node = work.node(run)
    graph = work.graph_of(run.defined_by)
    if node is None or graph is None:
        return
    rounds = node.rounds(run.position)
    work.frontier["last"] = run.id
    if _stops(node, run):
        _stop_for(work, run)
        return
    if run.state is StepState.CANCELLED and (run.type == "JOIN" or not node.step.permissive):
        unknown.stop_cancelled(work, run)
        return
    _tell_joins(work, graph, node, rounds, run, is_excused=is_excused(node, run))
    if not (run.state.is_successful or node.step.optional):
        # Permissive: it counts when nothing else of the run can move (saga-semantics §3).
        failure = [run.attempt_id, run.reason, run.id, run.state.value]
        work.frontier.setdefault("permissive", []).append(failure)
    if run.id in work.frontier.get("again", ()):
        work.frontier["again"].remove(run.id)
        return
    _after(work, graph, node, rounds, run)


def follow_on(work: Work, graph: Graph, node: Node, run: StepRun) -> None:
    """Activate anew what a settled step run enables; whoever waited for it has been told."""
    work.frontier["last"] = run.id
    _after(work, graph, node, node.rounds(run.position), run)


def go_past(work: Work, graph: Graph, node: Node, run: StepRun, caused_by: tuple[str, ...]) -> None:
    """Go on after the end of an optional block that was left undone or undone (§5, T1)."""
    rounds = node.rounds(run.position)
    work.frontier["last"] = run.id
    if run.type in {"JOIN", "DO_WHILE"}:
        _tell_joins(work, graph, node, rounds, run, is_excused=True)
    proceed(work, graph, node, rounds, caused_by, run.defined_by)


def is_excused(node: Node, run: StepRun) -> bool:
    """Tell whether a step run that did not succeed lets the run go on: `optional` (§7.3).

    Where such a step failed by its attempts it is COMPLETED_WITH_ERRORS; what was unknown first
    and is known not to have happened later keeps the state FAILED.
    """
    return node.step.optional and run.state in (StepState.FAILED, StepState.UNKNOWN)


def _stops(node: Node, run: StepRun) -> bool:
    if is_excused(node, run):
        return False
    return run.state in (StepState.FAILED, StepState.UNKNOWN) and not node.step.permissive


def _after(work: Work, graph: Graph, node: Node, rounds: tuple[int, ...], run: StepRun) -> None:
    match run.type:
        case "SWITCH" | "DECISION" if branch := switch.branch(node, run):
            enter(work, graph, branch[0].reference, rounds, (run.id,), run.defined_by)
        case "FORK_JOIN":
            _enter_branches(work, graph, node, rounds, run)
        case "FORK_JOIN_DYNAMIC" if run.state is StepState.COMPLETED:
            _enter_dynamic(work, graph, node, rounds, run)
        case _:
            proceed(work, graph, node, rounds, (run.id,), run.defined_by)


def proceed(
    work: Work,
    graph: Graph,
    node: Node,
    rounds: tuple[int, ...],
    caused_by: tuple[str, ...],
    defined_by: str | None,
) -> None:
    """Go to the next step of the sequence, or out of the containers that end here."""
    while True:
        if node.next is not None:
            enter(work, graph, node.next, rounds, caused_by, defined_by)
            return
        container = graph.nodes.get(node.parent) if node.parent else None
        if container is None or container.step.type in {"FORK_JOIN", "FORK_JOIN_DYNAMIC"}:
            return
        if container.step.type == "DO_WHILE":
            position = container.position(rounds[:-1])
            record = loop.open_loop(work, position)
            if record is not None:
                record |= {"last": list(caused_by), "over": True}
                _decide_round(work, container, position, defined_by)
            return
        node = container


def _enter_branches(
    work: Work, graph: Graph, node: Node, rounds: tuple[int, ...], run: StepRun
) -> None:
    """Enter the JOIN and the branches of a fork; the JOIN first, so that it counts them all."""
    join = graph.nodes[node.next] if node.next else None
    if join is None or join.step.type != "JOIN":
        _break(work, run, f"The fork {node.reference} is not followed by a JOIN")
        return
    enter(work, graph, join.reference, rounds, (run.id,), run.defined_by)
    for branch in node.step.branches:
        if branch:
            enter(work, graph, branch[0].reference, rounds, (run.id,), run.defined_by)


def _enter_dynamic(
    work: Work, graph: Graph, node: Node, rounds: tuple[int, ...], run: StepRun
) -> None:
    join = graph.nodes[node.next] if node.next else None
    if join is None or join.step.type != "JOIN":
        _break(work, run, f"The dynamic fork {node.reference} is not followed by a JOIN")
        return
    branches = work.graph_of(run.id)
    if branches is None:
        return
    documents = run.dynamic or []
    firsts = [str(document["taskReferenceName"]) for document in documents]
    if branches.broken:
        _break(work, run, branches.broken)
        return
    unknown_names = branches.task_names - work.snapshot.policies.keys()
    if unknown_names:
        work.needs.policies |= unknown_names
        return
    taken = _taken_position(work, branches, firsts, rounds)
    if taken:
        _break(work, run, f"{node.reference}: duplicate task reference name {taken}")
        return
    work.frontier.setdefault("forks", {})[run.id] = run.defined_by
    lasts = [branches.last_of[name] for name in firsts]
    enter(work, graph, join.reference, rounds, (run.id,), run.defined_by, join_on=lasts)
    record = work.frontier.get("joins", {}).get(join.position(rounds))
    if record is not None:
        record["fork"] = run.id
    for reference in firsts:
        enter(work, branches, reference, rounds, (run.id,), run.id)


def _taken_position(
    work: Work, branches: Graph, firsts: list[str], rounds: tuple[int, ...]
) -> str | None:
    """Return a reference that another dynamic fork has used in the same rounds already."""
    missing = [name for name in firsts if name not in work.latest]
    work.needs.references.update(missing)
    for name in () if missing else firsts:
        known = work.latest[name]
        if known is not None and known.position == branches.nodes[name].position(rounds):
            return name
    return None


def _enter_round(
    work: Work,
    graph: Graph,
    node: Node,
    position: str,
    number: int,
    caused_by: tuple[str, ...],
    defined_by: str | None,
) -> None:
    if not node.step.body:
        return
    rounds = (*node.rounds(position), number)
    enter(work, graph, node.step.body[0].reference, rounds, caused_by, defined_by)


def _decide_round(work: Work, node: Node, position: str, defined_by: str | None) -> None:
    """Enter another round of a loop whose round is over, or end it."""
    again = loop.goes_on(work, node, position)
    if again is None:
        return
    record = work.frontier["loops"][position]
    caused_by = tuple(record["last"])
    graph = work.graph_of(defined_by)
    if graph is None:
        return
    if again:
        number = loop.next_round(work, position)
        _enter_round(work, graph, node, position, number, caused_by, defined_by)
        return
    if loop.finish(work, node, position):
        # What follows the loop is enabled by the end of its last round.
        work.change(work.runs[record["run"]], caused_by=caused_by)


def _tell_joins(
    work: Work,
    graph: Graph,
    node: Node,
    rounds: tuple[int, ...],
    run: StepRun,
    *,
    is_excused: bool,
) -> None:
    joins = graph.joins.get(node.reference, ())
    for reference in joins:
        holder = graph if reference in graph.nodes else _holder(work, run)
        if holder is None:
            return
        join = holder.nodes[reference]
        position = join.position(rounds[: len(join.loops)])
        if fork_join.note_settled(work, position, run, is_excused=is_excused):
            fork_join.finish_join(work, join, position)


def _holder(work: Work, run: StepRun) -> Graph | None:
    """Return the graph in which the fork that defines a step run stands."""
    forks = work.frontier.get("forks", {})
    return work.graph_of(forks[run.defined_by]) if run.defined_by in forks else None


def _stop_for(work: Work, run: StepRun) -> None:
    """Ask for the stop of the run because this step failed for good (saga-semantics §5, T1)."""
    if work.stop is not None:
        return
    timed_out = run.error_class == ErrorClass.TIMED_OUT
    outcome = ForwardResult.TIMED_OUT if timed_out else ForwardResult.FAILED
    work.stop = Stop(
        trigger="TIMEOUT" if timed_out else "FAILURE",
        outcome=outcome,
        failure=failure_of(run, outcome),
        reason=run.reason,
    )


def failure_of(run: StepRun, outcome: ForwardResult) -> dict[str, Any]:
    """Return what the run remembers of the step that failed it."""
    word = outcome.value
    return {
        "stepId": run.id,
        "taskId": run.attempt_id,
        "taskReferenceName": run.reference,
        "errorClass": run.error_class or ErrorClass.FAILED.value,
        "message": run.reason or f"{run.reference} {word.lower().replace('_', ' ')}",
        "reason": f"Task {run.attempt_id} failed with status: {word} and reason: '{run.reason}'",
    }


def _break(work: Work, run: StepRun, reason: str) -> None:
    """Stop the run for a definition or data that cannot be run (definitions.md §4.4)."""
    # What follows is still to be taken if the run is tried again.
    work.frontier.setdefault("unfollowed", []).append(run.id)
    if work.stop is None:
        failure = {**failure_of(run, ForwardResult.FAILED), "message": reason, "reason": reason}
        work.stop = Stop(
            trigger="FAILURE", outcome=ForwardResult.FAILED, failure=failure, reason=reason
        )
