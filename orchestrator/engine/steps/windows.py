"""How long a step can be undone: `window`, and `confirm` alone (saga-semantics §10.4).

The moment at which the window of an ARMED entry closes stands in `entry_due_at`; a timer of the
purpose WINDOW says so to whoever seals it.
"""

from datetime import datetime
from typing import Any

from orchestrator.engine import roots
from orchestrator.engine.definition.durations import MalformedTime
from orchestrator.engine.definition.graph import Node
from orchestrator.engine.definition.moments import closing
from orchestrator.engine.expressions import mapping
from orchestrator.engine.expressions.limits import ExpressionTooLarge
from orchestrator.engine.snapshot import JSONObject, StepRun
from orchestrator.engine.states import EntryState
from orchestrator.engine.work import Work

PURPOSE = "WINDOW"
VARIABLES = ("workflow", "variables")


def armed(work: Work, node: Node, run: StepRun, output: JSONObject | None) -> dict[str, Any]:
    """Return the columns of an entry that has just been armed, and set the timer of its window.

    A window that cannot be read never closes: the step stays undoable, and the journal says why.
    """
    if node.step.window is None:
        if node.step.confirm:
            # Sealed with the run's completion (product.md §3, `confirm`).
            work.frontier["seals"] = True
        return {}
    if follows_variables(node):
        work.frontier["windows_move"] = True
    try:
        closes = closes_at(work, node, run, output=output, since=work.now)
    except (MalformedTime, ExpressionTooLarge) as error:
        work.tell("entry.window_unreadable", run, reason=str(error)[:500])
        return {}
    if closes is None:
        return {}
    work.wake_at(PURPOSE, closes, run.id)
    return {"entry_due_at": closes}


def closes_at(
    work: Work, node: Node, run: StepRun, *, output: JSONObject | None, since: datetime
) -> datetime | None:
    """Return when the window of a step run closes; None where something must be loaded first.

    Raises:
        MalformedTime, ExpressionTooLarge: the window cannot be read.
    """
    window = node.step.window
    names = mapping.roots(window)
    if names:
        values = roots_now(work, names, node, run)
        if values is None:
            return None
        if run.reference in values:
            values[run.reference] |= {"output": output or {}}
        window = mapping.resolve(window, values)
    return closing(window, since=since)


def roots_now(work: Work, names: frozenset[str], node: Node, run: StepRun) -> dict[str, Any] | None:
    """Return the roots of a business time; None if some must be loaded first.

    They are those of the undo, but for the run's variables: a time is read from them as they are
    now, so that a change of them moves it (saga-semantics §10.2).
    """
    values = roots.undo_roots(work, names, node, run, None)
    if values is not None and "workflow" in names:
        values["workflow"] = roots.workflow_root(work.execution)
    return values


def follows_variables(node: Node) -> bool:
    """Tell whether the window is read from run variables, so that a change of them moves it."""
    read = mapping.reads(node.step.window)
    return any(path[:2] == VARIABLES[: len(path)] for path in read) or (mapping.ANY_ROOT,) in read


def is_overdue(run: StepRun, now: datetime) -> bool:
    """Tell whether the window of an entry has closed, though nobody has sealed it yet."""
    is_armed = run.entry_state is EntryState.ARMED
    return is_armed and run.entry_due_at is not None and run.entry_due_at <= now
