"""The ledger entry of a step run: armed before the call, settled with it (saga-semantics §2.3)."""

from typing import Any

from orchestrator.engine import roots
from orchestrator.engine.canonical import canonical, digest
from orchestrator.engine.definition.graph import Node
from orchestrator.engine.expressions import mapping
from orchestrator.engine.expressions.limits import ExpressionTooLarge
from orchestrator.engine.snapshot import JSONObject, StepRun
from orchestrator.engine.states import Direction, EntryState, StepState
from orchestrator.engine.steps import windows
from orchestrator.engine.work import Work

LONGEST_ID = 255
_MAY_HAVE_HAPPENED = frozenset({StepState.COMPLETED, StepState.UNKNOWN})
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
    is_known = state not in _MAY_HAVE_HAPPENED and not partial
    effect = _effect(work, run, output) if work.is_saga and not is_known else {}
    if run.entry_state not in _UNDECIDED:
        return effect
    if state is StepState.COMPLETED:
        armed = {"entry_state": EntryState.ARMED, **effect, **_frozen(work, run, output)}
        return armed | _window(work, run, output)
    if state is StepState.UNKNOWN or (state is not StepState.CANCELLED and partial):
        uncertain = {"entry_state": EntryState.UNCERTAIN, **effect, **_frozen(work, run, output)}
        return uncertain if run.entry_state is EntryState.TENTATIVE else {}
    if state in (
        StepState.FAILED,
        StepState.COMPLETED_WITH_ERRORS,
        StepState.CANCELLED,
        StepState.SKIPPED,
    ):
        return {"entry_state": EntryState.VOID}
    return {}


def _window(work: Work, run: StepRun, output: JSONObject | None) -> dict[str, Any]:
    """Say how long the step can be undone, where its author has (saga-semantics §10.4)."""
    node = work.node(run)
    if node is None or not (node.step.window or node.step.confirm):
        return {}
    return windows.armed(work, node, run, output)


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
        found = _resolved(work, run, template, output)
        if found is not None:
            columns["amount"] = found
    return columns


def _effect(work: Work, run: StepRun, output: JSONObject | None) -> dict[str, Any]:
    """Return the id of the effect, once it took place or may have (`effectId`, §8)."""
    node = work.node(run) if run.direction is Direction.FORWARD else None
    if node is None or node.step.effect_id is None:
        return {}
    try:
        found = _resolved(work, run, {"id": node.step.effect_id}, output)
    except ExpressionTooLarge:
        # No service calls anything by such an id.
        return {}
    return {} if found is None else {"effect_id": _as_id(found["id"])}


def _as_id(value: Any) -> str:
    """Return an effect's id as text; one that is too long for its column by its digest."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else canonical(value)
    return text if len(text) <= LONGEST_ID else digest(text)


def _resolved(
    work: Work, run: StepRun, template: dict[str, Any], output: JSONObject | None
) -> dict[str, Any] | None:
    """Resolve a template over the step's own snapshot; None while something must be loaded."""
    values = roots.forward_roots(work, mapping.roots(template) - {run.reference}, run)
    if values is None:
        return None
    values[run.reference] = {**roots.step_root(work, run), "output": output or {}}
    found = mapping.resolve(template, values)
    return found if isinstance(found, dict) else None


# ---- its undo ----------------------------------------------------------------------------------


def mark_late(work: Work, entry: StepRun, **data: Any) -> None:
    """Mark an entry whose effect turned up after its undo was sent; a person must act (§2.3)."""
    was_settled = entry.entry_state is not None and entry.entry_state.is_settled
    if entry.entry_state is EntryState.COMPENSATION_FAILED:
        # A late success of this round confirms the undo (invariant 37), and is doubted at once.
        entry = work.change(entry, entry_state=EntryState.COMPENSATED)
    entry = work.change(entry, entry_state=EntryState.LATE_EFFECT)
    work.tell("entry.late_effect", entry, **data)
    undo = work.frontier.get("undo")
    if undo is not None:
        undo["left"] += int(was_settled)
        undo.setdefault("late", []).append(entry.id)


def was_sent(work: Work, entry: StepRun) -> bool | None:
    """Tell whether the undo of the present round was ever handed out; None = must be loaded."""
    if entry.id not in work.snapshot.attached:
        work.needs.attached.add(entry.id)
        return None
    return any(
        run.compensates == entry.id
        and run.direction is Direction.COMPENSATION
        and run.round == entry.round
        and (run.started_at is not None or run.attempt > 1)
        for run in work.runs.values()
    )


def begin_running(work: Work, entry: StepRun) -> StepRun:
    """Move an entry to RUNNING; the time for the whole undo counts from the first such moment."""
    began = entry.undo_began_at or work.now
    return work.change(entry, entry_state=EntryState.RUNNING, undo_began_at=began)
