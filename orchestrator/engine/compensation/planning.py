"""From a trigger to the active plan: selection, the question that must come first, places (§5)."""

from collections.abc import Iterable, Sequence
from typing import Any

from orchestrator.engine import keys, order
from orchestrator.engine.commands import StorePlan
from orchestrator.engine.compensation import confirming_plan, plan, sealing
from orchestrator.engine.definition.graph import Node
from orchestrator.engine.events import Event
from orchestrator.engine.forward import unknown
from orchestrator.engine.snapshot import PlanView, StepRun
from orchestrator.engine.states import EntryState, ExecutionState, StepState
from orchestrator.engine.work import Work

_AGAIN = frozenset({EntryState.SKIPPED, EntryState.LATE_EFFECT})
"""An entry chosen from one of these states was undone, or waived, in an earlier round."""


def begin_plan(
    work: Work,
    trigger: str,
    *,
    actor: str,
    reason: str,
    wanted: frozenset[str] | None = None,
    on_request: bool = False,
    override: bool = False,
) -> bool:
    """Make and store the plan; False if the ledger is not loaded or nothing can be undone."""
    if not work.snapshot.whole:
        work.needs.whole = True
        return False
    sealing.seal_overdue(work)
    choosable = plan.choosable(on_request=on_request, override=override and wanted is not None)
    made = plan.make(work.runs, work.node, wanted=wanted, choosable=choosable)
    if work.needs or made.is_empty:
        return False
    unanswered = _unanswered(work, made)
    if unanswered:
        _ask_first(work, unanswered, trigger, actor, reason, wanted, on_request=on_request)
        if override:
            work.frontier["stop"]["override"] = True
        return False
    store_plan(work, made, trigger, actor=actor, reason=reason)
    if override:
        work.frontier["undo"]["override"] = True
    return True


def store_plan(work: Work, made: plan.Plan, trigger: str, *, actor: str, reason: str) -> None:
    """Make a selection the active plan of its run, and begin to carry it out."""
    came_from = work.execution.state
    kept = confirming_plan.kept_states(work, [entry["id"] for entry in made.entries])
    work.move(ExecutionState.PLANNING, trigger=trigger, by=actor, reason=reason)
    activate(work, made, trigger, actor=actor, reason=reason)
    _place_entries(work, made)
    confirming_plan.begin(work, made, trigger=trigger, came_from=came_from, kept=kept)


def activate(
    work: Work,
    made: plan.Plan,
    trigger: str,
    *,
    actor: str,
    reason: str,
    extends: str | None = None,
) -> None:
    """Store a plan as the active one; from now on only its undos may be sent (§12, `fence`)."""
    number = int(work.frontier.get("plans", 0)) + 1
    work.frontier["plans"] = number
    plan_id = keys.derive_id(work.execution.id, "plan", number)
    work.set(fence=work.execution.fence + 1)
    work.do(
        StorePlan(
            id=plan_id,
            number=number,
            hash=made.hash,
            trigger=trigger,
            triggered_by=actor,
            reason=reason,
            entries=made.entries,
            edges=made.edges,
            cannot_be_undone=made.cannot_be_undone,
        )
    )
    work.plan = PlanView(
        id=plan_id,
        hash=made.hash,
        trigger=trigger,
        reason=reason,
        triggered_by=actor,
        entries=tuple(entry["id"] for entry in made.entries),
    )
    data = {
        "plan": plan_id,
        "hash": made.hash,
        "trigger": trigger,
        "by": actor,
        "reason": reason,
        "entries": len(made.entries),
    }
    if extends is not None:
        data["extends"] = extends
    work.record(Event(type="plan.stored", data=data))


def _unanswered(work: Work, made: plan.Plan) -> list[str]:
    """Return step runs of unknown outcome whose undo may only be called once somebody knows (§3).

    Optional steps run into this: nobody was asked when they were left unknown.
    """
    chosen = (work.runs[entry["id"]] for entry in made.entries)
    return [run.id for run in chosen if waits_for_answer(work.node(run), run)]


def waits_for_answer(node: Node | None, run: StepRun) -> bool:
    """Tell whether somebody must first say what a step came to, for its undo to be called."""
    is_open = run.state is StepState.UNKNOWN and run.child_id is None
    return is_open and node is not None and not unknown.can_undo_unknown(node)


def _ask_first(
    work: Work,
    unanswered: list[str],
    trigger: str,
    actor: str,
    reason: str,
    wanted: frozenset[str] | None,
    *,
    on_request: bool,
) -> None:
    """Have people say what happened before the plan is made; it is made with the last answer."""
    questions = work.frontier.setdefault("questions", [])
    questions += [key for key in unanswered if key not in questions]
    work.frontier["stop"] = {"trigger": trigger, "undo": True, "by": actor, "reason": reason}
    if on_request:
        work.frontier["stop"]["wanted"] = sorted(wanted) if wanted is not None else None
    if not work.in_state(ExecutionState.NEEDS_ATTENTION):
        work.move(ExecutionState.NEEDS_ATTENTION, reason="an outcome is unknown")


def _place_entries(work: Work, made: plan.Plan) -> None:
    """Move the chosen entries to PLANNED; each knows how many it waits for and who waits for it."""
    ids = [entry["id"] for entry in made.entries]
    edges = list(made.edges)
    if work.graph.definition.saga.serial:
        independent = {key for key in ids if is_independent(work, key)}
        edges = list(order.serial_edges(ids, made.edges, independent))
    waits, following = counted(ids, edges)
    free: list[str] = []
    late = [run.id for run in work.runs.values() if run.entry_state is EntryState.LATE_EFFECT]
    for key in ids:
        place(work, work.runs[key], waits=waits[key], following=tuple(following[key]))
        if not waits[key]:
            free.append(key)
    assert work.plan is not None
    undo: dict[str, Any] = {
        "plan": work.plan.id,
        "left": len(ids),
        "flight": 0,
        "free": free,
        "ready": [],
    }
    if late:
        # Late effects that are left to people are open as well: the run cannot end over them.
        undo["late"] = late
        undo["left"] += len(set(late).difference(ids))
    work.frontier["undo"] = undo


def counted(
    ids: Sequence[str], edges: Iterable[order.Edge]
) -> tuple[dict[str, int], dict[str, list[str]]]:
    """Return how many each entry waits for, and who waits for it."""
    waits = dict.fromkeys(ids, 0)
    following: dict[str, list[str]] = {key: [] for key in ids}
    for waiting, awaited in edges:
        waits[waiting] += 1
        following[awaited].append(waiting)
    return waits, following


def place(work: Work, entry: StepRun, *, waits: int, following: tuple[str, ...]) -> None:
    """Move an entry to PLANNED; one that was in a plan before begins a new round (§12)."""
    columns: dict[str, Any] = {}
    if entry.entry_state in _AGAIN:
        columns = {
            "round": entry.round + 1,
            "approval_id": None,
            "undo_began_at": None,
        }
    sealing.hold(work, entry)
    entry = work.change(
        entry,
        entry_state=EntryState.PLANNED,
        undo_waits=waits,
        undo_next=following,
        undo_attempts=0,
        entry_due_at=None,
        entry_reason="",
        **columns,
    )
    work.tell("entry.planned", entry)


def is_independent(work: Work, key: str) -> bool:
    """Tell whether nobody waits for this undo (§4.3)."""
    node = work.node(work.runs[key])
    compensation = node.step.compensation if node else None
    return compensation is not None and compensation.independent
