"""Going forward again from a savepoint: the next epoch of a run (saga-semantics §11).

What came after the savepoint is cut off: it stays in the rows, and no expression reads it any more.
The nodes after the savepoint are activated again as new step runs with new keys.
"""

from collections.abc import Mapping
from typing import Any

from orchestrator.engine.definition.graph import Graph, Node
from orchestrator.engine.events import Event
from orchestrator.engine.forward import due, scopes
from orchestrator.engine.snapshot import StepRun
from orchestrator.engine.states import ExecutionState, StepState
from orchestrator.engine.steps import base, fork_join
from orchestrator.engine.work import Work


def begin(work: Work, part: dict[str, Any], inside: frozenset[str] | None) -> bool:
    """Begin the next epoch; False if something must be loaded first.

    Args:
        work: The decision in the making.
        part: The frontier's record of the retry: savepoint, number, variables to keep.
        inside: What came after the savepoint; None while the step runs are not all loaded.
    """
    if inside is None or not work.all_in_motion():
        work.needs.whole = True
        return False
    savepoint = work.run(part["savepoint"])
    if savepoint is None:
        return False
    node, graph = work.node(savepoint), work.graph_of(savepoint.defined_by)
    if node is None or graph is None:
        return False
    epoch = work.execution.epoch + 1
    old = {key: work.runs[key] for key in inside}
    work.set(epoch=epoch, fence=work.execution.fence + 1, outcome=None, failure=None)
    work.set(variables=_restored(work, savepoint, part["keep"]))
    work.move(
        ExecutionState.RUNNING, epoch=epoch, savepoint=savepoint.reference, retry=part["number"]
    )
    work.record(
        Event(
            type="savepoint.retried",
            reference=savepoint.reference,
            step_run_id=savepoint.id,
            data={"epoch": epoch, "number": part["number"]},
        )
    )
    for key in old:
        work.change(work.runs[key], cut_epoch=epoch)
    if not _read_present(work, {run.reference for run in old.values()}):
        return False
    is_open = _reopen_loops(work, node, savepoint, old) and _reopen_joins(work, savepoint, old)
    if is_open:
        due.follow_on(work, graph, node, savepoint)
    return is_open and not work.needs


def _restored(work: Work, savepoint: StepRun, keep: list[str]) -> dict[str, Any]:
    """Return the variables as they were at the savepoint; those to keep as they are."""
    now = work.execution.variables
    return {**(savepoint.variables or {}), **{name: now[name] for name in keep if name in now}}


def _read_present(work: Work, references: set[str]) -> bool:
    """Let expressions read the newest step runs that count; False if some must be loaded."""
    newest: dict[str, StepRun] = {}
    for run in scopes.present(work).values():
        known = newest.get(run.reference)
        if run.reference in references and (known is None or known.seq < run.seq):
            newest[run.reference] = run
    for reference in references:
        found = newest.get(reference)
        work.latest[reference] = work.run(found.id) if found else None
    return not work.needs


# ---- loops and JOINs around the savepoint ----------------------------------------------------


def _reopen_loops(work: Work, node: Node, savepoint: StepRun, old: Mapping[str, StepRun]) -> bool:
    """Let the loops around the savepoint stand in its round again."""
    rounds = node.rounds(savepoint.position)
    ended = {run.position: run for run in old.values() if run.type == "DO_WHILE"}
    places = scopes.by_position(work)
    for depth, reference in enumerate(node.loops):
        position = f"{reference}@{'.'.join(map(str, rounds[:depth]))}" if depth else reference
        record = work.frontier.get("loops", {}).get(position)
        known = places.get(position) if record else ended.get(position)
        loop = work.run(known.id) if known else None
        if loop is None:
            return False
        if record is None:
            loop = _opened_again(work, loop, savepoint)
        number = rounds[depth]
        work.frontier.setdefault("loops", {})[position] = {
            "run": loop.id,
            "round": number,
            "last": [],
        }
        if loop.dynamic is not None:
            item = {"loopIndex": number - 1, "loopItem": loop.dynamic[number - 1]}
            work.change(loop, input={**loop.input, **item})
    return True


def _opened_again(work: Work, loop: StepRun, savepoint: StepRun) -> StepRun:
    """Open a loop that had ended as a new step run; its rounds up to the savepoint stay."""
    node = work.node(loop)
    assert node is not None
    run = base.new_run(work, node, node.rounds(loop.position), (savepoint.id,), loop.defined_by)
    run.dynamic = loop.dynamic
    return base.begin_in_engine(work, run, dict(loop.input), StepState.WAITING)


def _reopen_joins(work: Work, savepoint: StepRun, old: Mapping[str, StepRun]) -> bool:
    """Let JOINs whose fork stays wait again for the branch that the savepoint stands in."""
    places = scopes.by_position(work)
    for join in sorted(old.values(), key=lambda run: run.seq):
        node = work.node(join) if join.type == "JOIN" else None
        graph = work.graph_of(join.defined_by)
        if node is None or graph is None or node.fork is None:
            continue
        rounds = node.rounds(join.position)
        fork = places.get(graph.nodes[node.fork].position(rounds))
        if fork is None or fork.id == savepoint.id:
            continue
        was = work.run(join.id)
        if was is None:
            return False
        _wait_again(work, graph, node, fork, was)
    return not work.needs


def _wait_again(work: Work, graph: Graph, node: Node, fork: StepRun, was: StepRun) -> None:
    rounds = node.rounds(was.position)
    awaited = [str(name) for name in was.input.get("joinOn", ())]
    due.enter(work, graph, was.reference, rounds, (fork.id,), was.defined_by, join_on=awaited)
    record = work.frontier.get("joins", {}).get(was.position)
    if record is None:
        return
    if fork.type == "FORK_JOIN_DYNAMIC":
        record["fork"] = fork.id
        work.frontier.setdefault("forks", {})[fork.id] = fork.defined_by
    for end in _ends(work, awaited, rounds):
        end_node = work.node(end)
        excused = end_node is not None and due.is_excused(end_node, end)
        if fork_join.note_settled(work, was.position, end, is_excused=excused):
            fork_join.finish_join(work, node, was.position)


def _ends(work: Work, awaited: list[str], rounds: tuple[int, ...]) -> list[StepRun]:
    """Return the branch ends that have settled and count."""
    names = frozenset(awaited)
    found: list[StepRun] = []
    for run in scopes.present(work).values():
        node = work.node(run) if run.reference in names and run.state.is_settled else None
        if node is not None and node.rounds(run.position)[: len(rounds)] == rounds:
            found.append(run)
    return found
