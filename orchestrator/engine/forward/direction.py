"""Which way a run goes when it cannot simply go on: back as a whole, back in part, or nowhere.

saga-semantics §5 (scopes of T1 and T3) and §11 (savepoints, blocks, pivots).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.engine.definition.graph import Node
from orchestrator.engine.definition.model import EffectClass, SagaSettings
from orchestrator.engine.forward import part, scopes, stopping
from orchestrator.engine.snapshot import StepRun
from orchestrator.engine.states import ErrorClass, StepState
from orchestrator.engine.steps import base
from orchestrator.engine.work import Stop, Work

AUTOMATIC = frozenset({"FAILURE", "TIMEOUT", "TERMINATE", "COMPENSATE", "PARENT", "TRIGGER"})
"""Triggers that nobody answers for: after a pivot they undo only what came after it."""
DEAD_END = "what came before the pivot is not undone by itself; a person decides"
RUN = ""
"""The name of the run itself among its scopes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The run or a block, with what its author says about failures in it."""

    name: str
    """Step run id of the block's container; empty for the run."""
    settings: SagaSettings
    node: Node | None = None
    run: StepRun | None = None


def take(work: Work, stop: Stop) -> None:
    """Begin a stop: of the run, or of the part that it concerns."""
    if not (work.is_saga and stop.trigger in AUTOMATIC and _may_be_partial(work, stop)):
        stopping.begin(work, stop)
        return
    if not work.snapshot.whole:
        work.needs.whole = True
        return
    if stop.trigger == "COMPENSATE":
        _compensate(work, stop)
    elif not _go_back(work, stop):
        stopping.begin(work, stop)


def _may_be_partial(work: Work, stop: Stop) -> bool:
    """Tell, without loading anything, whether another way than the whole run is possible."""
    if stop.trigger in ("TERMINATE", "PARENT", "TRIGGER"):
        return False
    if stop.trigger == "COMPENSATE":
        return True
    may_retry = work.graph.definition.saga.on_failure == "FORWARD"
    return (may_retry and "savepoints" in work.frontier) or work.graph.has_blocks


def _failing(work: Work, stop: Stop) -> StepRun | None:
    key = (stop.failure or {}).get("stepId")
    return work.runs.get(key) if key else None


def _scopes(work: Work, failing: StepRun | None) -> list[Scope]:
    """Return the scopes of a failure, innermost first; the last is the run."""
    run = Scope(name=RUN, settings=work.graph.definition.saga)
    if failing is None:
        return [run]
    places = scopes.by_position(work)
    found = [
        Scope(name=container.id, settings=node.step.saga, node=node, run=container)
        for container, node in scopes.blocks(work, failing, places)
        if node.step.saga is not None
    ]
    return [*found, run]


# ---- a failure (T1, T2) ----------------------------------------------------------------------


def _go_back(work: Work, stop: Stop) -> bool:
    """Stop the nearest part that can be tried again or left out; False where it is the run."""
    failing = _failing(work, stop)
    for scope in _scopes(work, failing):
        if scope.settings.on_failure == "FORWARD" and _is_worth_it(scope.settings, stop):
            savepoint = _last_savepoint(work, scope, failing)
            if savepoint is not None and _retries_left(work, scope, stop):
                part.begin_retry(work, stop, scope.name, scope.settings, savepoint)
                return True
        if scope.run is not None and scope.node is not None and scope.node.step.optional:
            inside = scopes.members(work, scope.run.id)
            if work.frontier.get("pivot") not in inside:
                part.begin_block(work, stop, scope.run, undo=scope.settings.on_failure != "NONE")
                return True
    return False


def _is_worth_it(settings: SagaSettings, stop: Stop) -> bool:
    error = (stop.failure or {}).get("errorClass") or ErrorClass.FAILED.value
    return error in settings.retry_on


def _retries_left(work: Work, scope: Scope, stop: Stop) -> bool:
    used = int(work.frontier.get("retries", {}).get(scope.name, 0))
    return scope.name not in stop.spent and used < (scope.settings.max_retries or 0)


def _last_savepoint(work: Work, scope: Scope, failing: StepRun | None) -> StepRun | None:
    """Return the savepoint passed last before the failure; never one across a completed pivot."""
    runs = scopes.present(work)
    before = scopes.causes(runs, failing.id) if failing is not None else frozenset(runs)
    if scope.run is not None:
        before &= scopes.members(work, scope.run.id)
    passed = [
        run
        for key in before
        if _is_savepoint(work, run := runs[key]) and not _crosses_pivot(work, runs, run)
    ]
    return max(passed, key=lambda run: run.settle_seq or 0, default=None)


def _is_savepoint(work: Work, run: StepRun) -> bool:
    node = work.node(run)
    return node is not None and node.step.savepoint and run.state is StepState.COMPLETED


def _crosses_pivot(work: Work, runs: Mapping[str, StepRun], savepoint: StepRun) -> bool:
    for key in scopes.after(work, [savepoint.id]):
        node = work.node(runs[key])
        is_pivot = node is not None and node.effect is EffectClass.PIVOT
        if is_pivot and runs[key].state is StepState.COMPLETED:
            return True
    return False


# ---- the COMPENSATE node (T3) ----------------------------------------------------------------


def _compensate(work: Work, stop: Stop) -> None:
    node_run = _failing(work, stop)
    if node_run is None:
        return
    full = work.run(node_run.id)
    if full is None:
        return
    if stop.target == "step":
        _compensate_step(work, stop, full)
    elif stop.target == "savepoint":
        _compensate_to_savepoint(work, stop, full)
    else:
        _compensate_scope(work, stop, full)


def _compensate_step(work: Work, stop: Stop, node_run: StepRun) -> None:
    """Undo a step and all live entries after it, then go on after the node."""
    runs = scopes.present(work)
    starts = _named(runs, node_run, str(node_run.input["step"]))
    inside = {*starts, *scopes.after(work, starts)}
    pivot = work.frontier.get("pivot")
    if pivot is not None and not inside <= scopes.after(work, [pivot]):
        # Not possible past a pivot: only what came after it goes back, and a person is called.
        stopping.begin(work, stop)
        return
    in_motion = [
        run for key in inside if not (run := runs[key]).state.is_settled and not _holds(run)
    ]
    if in_motion:
        node = work.node(node_run)
        names = ", ".join(sorted({run.reference for run in in_motion}))
        reason = f"cannot undo {node_run.input['step']}: {names} came after it and is still at work"
        if node is not None:
            base.fail(work, node, node_run, reason, error_class=ErrorClass.FAILED_TERMINAL)
        return
    part.begin_step(work, stop, node_run, starts)


def _holds(run: StepRun) -> bool:
    """Tell whether a step run only waits for what stands in it."""
    return run.type in {"JOIN", "DO_WHILE", "COMPENSATE"}


def _named(runs: Mapping[str, StepRun], node_run: StepRun, reference: str) -> tuple[str, ...]:
    """Return the step runs of a reference that came before the node."""
    before = scopes.causes(runs, node_run.id)
    return tuple(sorted(key for key in before if runs[key].reference == reference))


def _compensate_to_savepoint(work: Work, stop: Stop, node_run: StepRun) -> None:
    """Go back to the named savepoint, as a savepoint retry; the last refusal undoes the scope."""
    runs = scopes.present(work)
    named = [runs[key] for key in _named(runs, node_run, str(node_run.input["savepoint"]))]
    savepoint = max(named, key=lambda run: run.settle_seq or 0, default=None)
    scope = _scopes(work, node_run)[0]
    usable = (
        savepoint is not None
        and savepoint.state is StepState.COMPLETED
        and not _crosses_pivot(work, runs, savepoint)
    )
    if savepoint is not None and usable and _retries_left(work, scope, stop):
        part.begin_retry(work, stop, scope.name, scope.settings, savepoint)
    else:
        _compensate_scope(work, stop, node_run)


def _compensate_scope(work: Work, stop: Stop, node_run: StepRun) -> None:
    """Undo the nearest optional block and go on after it, or the run."""
    for scope in _scopes(work, node_run):
        if scope.run is not None and scope.node is not None and scope.node.step.optional:
            inside = scopes.members(work, scope.run.id)
            if work.frontier.get("pivot") not in inside:
                part.begin_block(work, stop, scope.run, undo=True)
                return
    stopping.begin(work, stop)


# ---- past a pivot ----------------------------------------------------------------------------


def bounded_by_pivot(work: Work, stop: Mapping[str, Any]) -> bool:
    """Tell whether a stop may only undo what came after a completed pivot (invariant 23)."""
    if "pivot" not in work.frontier or stop.get("override"):
        return False
    return stop.get("trigger") in AUTOMATIC or stop.get("trigger") == "CANCEL"


def is_dead_end(work: Work, stop: Mapping[str, Any], inside: frozenset[str] | None) -> bool:
    """Tell whether a bounded undo leaves behind what a person must decide about.

    A failure always does. A cancel was let through because all that could be undone came after the
    pivot: only one that completed while the run stopped changes that. What an event wants undone
    may all have come after it.

    Args:
        work: The decision; all step runs must be loaded.
        stop: Why the run stops.
        inside: What the stop wants undone; None = all of it.
    """
    if stop.get("trigger") in AUTOMATIC and stop.get("trigger") != "TRIGGER":
        return True
    beyond = beyond_pivot(work)
    return any(
        run.entry_state is not None
        and run.entry_state.is_undoable
        and run.id not in beyond
        and (inside is None or run.id in inside)
        for run in work.runs.values()
    )


def beyond_pivot(work: Work) -> frozenset[str]:
    """Return the step runs that came after the pivot completed last; all must be loaded."""
    return scopes.after(work, [work.frontier["pivot"]])
