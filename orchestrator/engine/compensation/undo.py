"""Carrying a plan out: each entry's road from PLANNED to settled (saga-semantics §2.3, §6, §9)."""

from typing import Any

from orchestrator.engine import roots
from orchestrator.engine.canonical import digest
from orchestrator.engine.commands import EndPlan
from orchestrator.engine.compensation import (
    asking,
    attached,
    children,
    deadline,
    inputs,
    late,
    ownership,
    settling,
    timing,
    triggers,
)
from orchestrator.engine.compensation.timing import Turn
from orchestrator.engine.definition.graph import Node
from orchestrator.engine.definition.model import Compensation, UndoPolicy
from orchestrator.engine.expressions.limits import ExpressionTooLarge
from orchestrator.engine.forward import direction, finish, part
from orchestrator.engine.snapshot import StepRun
from orchestrator.engine.states import (
    STUCK_ENTRIES,
    EntryState,
    ExecutionState,
    StepState,
)
from orchestrator.engine.steps import entry as ledger
from orchestrator.engine.work import Work

_MOVING = (
    EntryState.AWAITING_APPROVAL,
    EntryState.DELAYED,
    EntryState.READY,
    EntryState.RUNNING,
    EntryState.RETRY_WAIT,
)
_NO_OUTPUT = "The undo reads the output of its step, which nobody knows. Amend its input."


# ---- going on --------------------------------------------------------------------------------


def advance(work: Work) -> None:
    """Take every step of the plan that is due; the run ends when all entries are settled."""
    undo = work.frontier.get("undo")
    if undo is None:
        return
    for key in list(undo["free"]):
        entry = work.run(key)
        if entry is None or late.holds_back(work, entry):
            continue
        if _admit(work, entry):
            undo["free"].remove(key)
    _dispatch_ready(work, undo)
    if work.needs:
        return
    if undo["left"] == 0:
        _finish(work)
    elif late.stands_still(work, undo, _MOVING):
        if work.entries_in(STUCK_ENTRIES) and work.in_state(ExecutionState.COMPENSATING):
            work.move(ExecutionState.NEEDS_ATTENTION, reason="an undo needs a person")
    elif work.in_state(ExecutionState.NEEDS_ATTENTION):
        work.move(ExecutionState.COMPENSATING)


def _admit(work: Work, entry: StepRun) -> bool:
    """Evaluate the policy of an entry that waits for nobody; True once it has left PLANNED."""
    node = work.node(entry)
    if node is not None and entry.entry_state is EntryState.PLANNED:
        _evaluate(work, node, entry)
    return work.runs[entry.id].entry_state is not EntryState.PLANNED


def _evaluate(work: Work, node: Node, entry: StepRun) -> None:
    compensation = node.step.compensation
    if compensation is None or children.follows_child(work, entry):
        # The entry stands for the child's plan (T6): the node has no undo of its own, or the child,
        # which did not complete, is no black box.
        children.undo_child(work, entry)
        return
    if inputs.lacks_output(node, entry):
        settling.fail_entry(work, entry, _NO_OUTPUT)
        return
    if compensation.policy is UndoPolicy.MANUAL:
        settling.to_manual(work, entry, reason=compensation.approval.instructions)
        return
    turn = timing.consider(work, node, entry)
    if turn is not Turn.NONE:
        _agree(work, node, work.runs[entry.id])


def _agree(work: Work, node: Node, entry: StepRun) -> None:
    """Let the policy say who must agree before an undo is sent (§6)."""
    compensation = node.step.compensation
    assert compensation is not None
    if compensation.policy is UndoPolicy.AUTOMATIC:
        _delay_or_ready(work, node, entry)
        return
    undo_input = _sent(work, node, entry)
    if undo_input is None:
        return
    if compensation.policy is UndoPolicy.APPROVAL_IF:
        needs_people = asking.rule_asks(work, compensation, entry, undo_input)
        if needs_people is None:
            return
        if not needs_people:
            _delay_or_ready(work, node, entry)
            return
    asking.ask_people(work, compensation, entry, undo_input)


def _sent(work: Work, node: Node, entry: StepRun) -> dict[str, Any] | None:
    """Return what the undo will send; an entry for which that is too large fails."""
    try:
        return asking.sent(work, node, entry)
    except ExpressionTooLarge as error:
        settling.fail_entry(work, entry, str(error))
        return None


def _delay_or_ready(work: Work, node: Node, entry: StepRun) -> None:
    """Hold an undo back until its time has come (saga-semantics §3 point 3, §10.2)."""
    turn = timing.consider(work, node, entry)
    if turn is Turn.EARLY:
        entry = work.change(entry, entry_state=EntryState.DELAYED)
        entry = timing.hold(work, node, entry)
        until = entry.entry_due_at.isoformat() if entry.entry_due_at else None
        work.tell("entry.delayed", entry, until=until)
    elif turn is Turn.ALTERNATE:
        _agree(work, node, work.runs[entry.id])
    elif turn is Turn.GO:
        timing.hold(work, node, entry)
        ready(work, entry)


def look_at_clock(work: Work, entry: StepRun) -> None:
    """Look again at the times of an entry that waits: one has come, or has moved (§10.2)."""
    node = work.node(entry)
    if node is None or entry.entry_state not in (EntryState.DELAYED, EntryState.READY):
        return
    if entry.entry_state is EntryState.READY:
        _may_go(work, node, entry)
        return
    turn = timing.consider(work, node, entry)
    if turn is Turn.ALTERNATE:
        _agree(work, node, work.runs[entry.id])
    elif turn is not Turn.NONE:
        entry = timing.hold(work, node, entry)
        if turn is Turn.GO:
            ready(work, entry)


def _may_go(work: Work, node: Node, entry: StepRun) -> bool:
    """Tell whether the clock lets a READY entry be sent now; held back, it waits in its place."""
    turn = timing.consider(work, node, entry)
    if turn is Turn.ALTERNATE:
        _agree(work, node, work.runs[entry.id])
    elif turn is not Turn.NONE:
        timing.hold(work, node, entry)
    return turn is Turn.GO


def approved(work: Work, entry: StepRun) -> None:
    """Go on with an entry whose approval was given: delayed if it must be, else ready."""
    node = work.node(entry)
    if node is not None:
        _delay_or_ready(work, node, entry)


def ready(work: Work, entry: StepRun) -> None:
    """Let an entry be dispatched as soon as there is room."""
    entry = work.change(entry, entry_state=EntryState.READY)
    work.tell("entry.ready", entry)
    waiting = work.frontier["undo"]["ready"]
    if entry.id not in waiting:
        waiting.append(entry.id)


def _dispatch_ready(work: Work, undo: dict[str, Any]) -> None:
    settings = work.graph.definition.saga
    limit = 1 if settings.serial else settings.max_parallel
    for key in list(undo["ready"]):
        if undo["flight"] >= limit or work.execution.paused or "pivot_doubt" in work.frontier:
            return
        entry = work.run(key)
        if entry is None:
            return
        if late.holds_back(work, entry):
            continue
        is_ready = entry.entry_state is EntryState.READY and _may_be_sent(work, entry)
        if is_ready and _approval_holds(work, entry):
            if not _dispatch(work, entry):
                return
            undo["flight"] += 1
            undo["ready"].remove(key)
        elif work.runs[key].entry_state is not EntryState.READY:
            undo["ready"].remove(key)


def _may_be_sent(work: Work, entry: StepRun) -> bool:
    """Hold an undo to its times; refuse one that would harm another run or has holes (§8, §10)."""
    node = work.node(entry)
    if node is None or not _may_go(work, node, entry):
        return False
    refused = ownership.refusal(work, entry)
    if refused is None:
        return False
    if not refused and inputs.lacks_output(node, entry):
        refused = _NO_OUTPUT
    if refused:
        settling.fail_entry(work, entry, refused)
    return not refused


def _approval_holds(work: Work, entry: StepRun) -> bool:
    """Check in the dispatching transaction that what was approved is what is sent (§7).

    What no longer holds is asked again.
    """
    node = work.node(entry)
    compensation = node.step.compensation if node else None
    if node is None or compensation is None:
        return False
    if entry.approval_id is None and compensation.policy in (
        UndoPolicy.AUTOMATIC,
        UndoPolicy.MANUAL,
    ):
        return True
    undo_input = _sent(work, node, entry)
    if undo_input is None:
        return False
    if entry.approval_id is None:
        return _needs_nobody(work, compensation, entry, undo_input)
    holds = work.snapshot.approvals.get(entry.approval_id)
    if holds is None:
        work.needs.approvals[entry.approval_id] = digest(undo_input)
        return False
    if not holds:
        asking.ask_people(work, compensation, entry, undo_input)
    return holds


def _needs_nobody(
    work: Work, compensation: Compensation, entry: StepRun, undo_input: dict[str, Any]
) -> bool:
    """Evaluate the policy of an entry that nobody has agreed to once more."""
    asks = True
    if compensation.policy is UndoPolicy.APPROVAL_IF:
        answer = asking.rule_asks(work, compensation, entry, undo_input)
        if answer is None:
            return False
        asks = answer
    if asks:
        asking.ask_people(work, compensation, entry, undo_input)
    return not asks


def still_approved(work: Work, run: StepRun) -> bool:
    """Check, when a worker asks for an undo, that what was approved still is (invariant 30).

    The same goes for whose effect it is (§8). If not, the step run is withdrawn and people must
    act. A retry goes on with what was sent.
    """
    entry = work.run(run.compensates or "")
    if entry is None:
        return False
    if entry.entry_state is not EntryState.READY:
        return True
    # Nobody was asked: the rule said so when the row was scheduled, over what is frozen since.
    needs_nobody = entry.approval_id is None
    if _may_be_sent(work, entry) and (needs_nobody or _approval_holds(work, entry)):
        return True
    if not work.needs and work.runs[entry.id].entry_state is not EntryState.READY:
        attached.withdraw(work, run)
    return False


def _dispatch(work: Work, entry: StepRun) -> bool:
    """Begin the first step of an undo, or go on at the step that failed."""
    node = work.node(entry)
    graph = work.graph_of(entry.defined_by)
    if node is None or graph is None or node.step.compensation is None:
        return False
    if entry.id not in work.snapshot.attached:
        work.needs.attached.add(entry.id)
        return False
    sent = attached.undo_runs(work, entry)
    unfinished = [run for run in sent if run.state in (StepState.FAILED, StepState.CANCELLED)]
    if node.step.compensation.cascade and not sent:
        work.frontier["undo"].setdefault("cascading", []).append(entry.id)
        children.undo_child(work, entry)
        return not work.needs
    if not unfinished:
        first = roots.undo_tasks(work, node.step.compensation, entry)[0]
        return attached.enter(work, node, entry, first.reference)
    return attached.begin_again(work, node, entry, unfinished[-1])


# ---- an undo comes back ----------------------------------------------------------------------


def returned(work: Work, run: StepRun) -> None:
    """Take the end of an undo's step run: go to its next step, or settle the entry."""
    entry = work.run(run.compensates or "")
    node = work.node(entry) if entry else None
    graph = work.graph_of(run.defined_by)
    if entry is None or node is None or graph is None:
        return
    if not run.state.is_successful:
        settling.give_up(work, entry, run.reason)
        return
    following = graph.nodes[run.reference].next
    if following is not None:
        attached.enter(work, node, entry, following)
        return
    if entry.entry_state in (EntryState.READY, EntryState.RETRY_WAIT):
        # An undo that the engine did by itself never was in a worker's hands.
        entry = ledger.begin_running(work, entry)
    settling.settle_entry(work, entry, EntryState.COMPENSATED)
    work.frontier["undo"]["flight"] -= 1


# ---- the end ---------------------------------------------------------------------------------


def _finish(work: Work) -> None:
    """End a run whose plan is settled (invariants 15, 16, 18)."""
    undo = work.frontier.pop("undo")
    work.do(EndPlan(id=undo["plan"], state="SETTLED"))
    work.plan = None
    deadline.end(work)
    if work.in_state(ExecutionState.NEEDS_ATTENTION):
        work.move(ExecutionState.COMPENSATING)
    if "part" in work.frontier:
        part.undone(work)
        return
    stop = work.frontier.get("stop") or {}
    if stop.get("dead_end"):
        work.move(ExecutionState.NEEDS_ATTENTION, reason=direction.DEAD_END)
        return
    work.frontier.pop("stop", None)
    work.move(finish.end_of_undo(work))
    finish.tell_parent(work)
    triggers.take_postponed(work)


def end_late(work: Work) -> None:
    """Bring a run back to its end once people have dealt with every late effect."""
    if work.entries_in((EntryState.LATE_EFFECT,)):
        return
    was = ExecutionState(work.frontier.pop("late"))
    undone = (ExecutionState.COMPENSATED, ExecutionState.PARTIALLY_COMPENSATED)
    work.move(finish.end_of_undo(work) if was in undone else was)
    finish.tell_parent(work)
