"""The ledger entry of a step run: armed before the call, settled with it (saga-semantics §2.3)."""

from typing import Any

from orchestrator.engine import roots
from orchestrator.engine.definition.graph import Node
from orchestrator.engine.expressions import mapping
from orchestrator.engine.snapshot import JSONObject, StepRun
from orchestrator.engine.states import Direction, EntryState, StepState
from orchestrator.engine.work import Work

_UNDECIDED = frozenset({EntryState.TENTATIVE, EntryState.UNCERTAIN})


def arm(work: Work, node: Node, run: StepRun, *, child_has_undo: bool = False) -> None:
    """Give a step run that is about to be added its entry, where it needs one."""
    if not work.is_saga or run.direction is not Direction.FORWARD:
        return
    if run.entry_state not in (None, EntryState.VOID):
        # Begun again by an operator: only what is known not to have happened is armed anew.
        return
    if node.step.compensation is not None:
        run.entry_state = EntryState.TENTATIVE
        run.policy = node.step.compensation.policy.value
    elif child_has_undo:
        run.entry_state = EntryState.TENTATIVE
        run.policy = "AUTOMATIC"


def after(
    work: Work,
    run: StepRun,
    state: StepState,
    *,
    output: JSONObject | None,
    partial: bool = False,
) -> dict[str, Any]:
    """Return the columns that the entry takes on when its step run comes to `state`."""
    if run.entry_state not in _UNDECIDED:
        return {}
    if state is StepState.COMPLETED:
        return {"entry_state": EntryState.ARMED, **_frozen(work, run, output)}
    if state is StepState.UNKNOWN or (state is not StepState.CANCELLED and partial):
        uncertain = {"entry_state": EntryState.UNCERTAIN, **_frozen(work, run, output)}
        return uncertain if run.entry_state is EntryState.TENTATIVE else {}
    if state in (
        StepState.FAILED,
        StepState.COMPLETED_WITH_ERRORS,
        StepState.CANCELLED,
        StepState.SKIPPED,
    ):
        return {"entry_state": EntryState.VOID}
    return {}


def _frozen(work: Work, run: StepRun, output: JSONObject | None) -> dict[str, Any]:
    """Freeze what the undo will read beside the step's own input and output (saga-semantics §8)."""
    node = work.node(run)
    if node is None:
        return {}
    columns: dict[str, Any] = {}
    if "workflow" in node.undo_roots:
        columns["variables"] = work.execution.variables
    amount = node.step.amount
    if amount is not None:
        template = {"value": amount.value, "currency": amount.currency}
        values = roots.forward_roots(work, mapping.roots(template) - {run.reference}, run)
        if values is not None:
            values[run.reference] = {**roots.step_root(work, run), "output": output or {}}
            columns["amount"] = mapping.resolve(template, values)
    return columns
