"""Carrying a plan out: each entry's road from PLANNED to settled (saga-semantics §2.3, §6, §9)."""

from typing import Any

from orchestrator.engine import retry
from orchestrator.engine.canonical import digest
from orchestrator.engine.commands import EndPlan, SendNotice
from orchestrator.engine.compensation import asking, attached, inputs, late, ownership, settling
from orchestrator.engine.definition.graph import Node
from orchestrator.engine.definition.model import Compensation, UndoPolicy
from orchestrator.engine.expressions.limits import ExpressionTooLarge
from orchestrator.engine.forward import direction, finish, part
from orchestrator.engine.snapshot import StepRun
from orchestrator.engine.states import (
    STUCK_ENTRIES,
    Direction,
    EntryState,
    ExecutionState,
    StepState,
)
from orchestrator.engine.steps import base
from orchestrator.engine.steps import entry as ledger
from orchestrator.engine.work import Work

_MOVING = (
    EntryState.AWAITING_APPROVAL,
    EntryState.DELAYED,
    EntryState.READY,
    EntryState.RUNNING,
    EntryState.RETRY_WAIT,
)
SETTLE_DELAY = 30
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
    if compensation is None or follows_child(work, entry):
        # The entry stands for the child's plan (T6): the node has no undo of its own, or the child,
        # which did not complete, is no black box.
        _undo_child(work, entry)
        return
    if inputs.lacks_output(node, entry):
        settling.fail_entry(work, entry, _NO_OUTPUT)
        return
    if compensation.policy is UndoPolicy.MANUAL:
        settling.to_manual(work, entry, reason=compensation.approval.instructions)
        return
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
    """Hold an undo of an unknown outcome back until the call cannot land any more (§3, point 3)."""
    if entry.state is StepState.UNKNOWN and entry.entry_due_at is None:
        delay = settle_delay(work, node, entry)
        due_at = (entry.ended_at or work.now) + (work.later(delay) - work.now)
        if due_at > work.now:
            entry = work.change(entry, entry_state=EntryState.DELAYED, entry_due_at=due_at)
            work.wake_at("ENTRY", due_at, entry.id)
            work.tell("entry.delayed", entry, until=due_at.isoformat())
            return
    ready(work, entry)


def settle_delay(work: Work, node: Node, entry: StepRun) -> float:
    """Return `unknownSettleDelaySeconds`, or the larger of 30 s and the attempt's timeout."""
    said = work.graph.definition.saga.unknown_settle_delay_seconds
    if said is not None:
        return said
    policy = base.task_policy(work, node)
    is_call = entry.type == "HTTP"
    own = base.deadline_seconds(policy, entry) if is_call else policy.timeout_seconds
    return max(SETTLE_DELAY, own)


def approved(work: Work, entry: StepRun) -> None:
    """Go on with an entry whose approval was given: delayed if it must be, else ready."""
    node = work.node(entry)
    if node is not None:
        _delay_or_ready(work, node, entry)


def ready(work: Work, entry: StepRun) -> None:
    """Let an entry be dispatched as soon as there is room."""
    entry = work.change(entry, entry_state=EntryState.READY)
    work.tell("entry.ready", entry)
    work.frontier["undo"]["ready"].append(entry.id)


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
    """Refuse an undo that would harm another run, or be called with holes (§2.3, §8)."""
    node = work.node(entry)
    refused = ownership.refusal(work, entry)
    if node is None or refused is None:
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
        work.frontier["undo"]["flight"] -= 1
        run = work.change(run, state=StepState.CANCELLED, due_at=None, wake_at=None)
        base.end_attempt(work, run)
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
    unfinished = [
        run
        for run in attached.runs_of(work, entry, Direction.COMPENSATION)
        if run.state in (StepState.FAILED, StepState.CANCELLED)
    ]
    if node.step.compensation.cascade and not attached.runs_of(work, entry, Direction.COMPENSATION):
        work.frontier["undo"].setdefault("cascading", []).append(entry.id)
        _undo_child(work, entry)
        return not work.needs
    if not unfinished:
        return attached.enter(work, node, entry, node.step.compensation.tasks[0].reference)
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


def attempt_failed(work: Work, run: StepRun, *, reason: str, terminal: bool) -> None:
    """Decide whether a failed or unknown undo attempt is made again: own policy, own count (§9)."""
    entry = work.run(run.compensates or "")
    node = work.node(entry) if entry else None
    compensation = node.step.compensation if node else None
    if entry is None or node is None or compensation is None:
        return
    policy = compensation.retry
    tried = entry.undo_attempts + 1
    entry = work.change(entry, undo_attempts=tried)
    began = entry.undo_began_at or work.now
    over = (work.now - began).total_seconds() >= policy.total_timeout_seconds
    error = "FAILED_TERMINAL" if terminal else "FAILED"
    if terminal or over or tried >= policy.maximum_attempts:
        run = work.change(run, reason=reason, error_class=error)
        base.settle(work, run, StepState.FAILED, reason=reason, error_class=error)
        return
    delay = retry.undo_delay(policy, tried, run.attempt_id)
    base.try_again(work, run, delay, state=StepState.RETRY_WAIT, reason=reason, error_class=error)
    if entry.entry_state is EntryState.READY:
        entry = ledger.begin_running(work, entry)
    entry = work.change(entry, entry_state=EntryState.RETRY_WAIT)
    work.tell("entry.retry_wait", entry, tried=tried, reason=reason[:500])


# ---- children --------------------------------------------------------------------------------


def follows_child(work: Work, entry: StepRun) -> bool:
    """Tell whether an entry ends as its child ends; a completed black box has its own undo."""
    node = work.node(entry)
    if entry.child_id is None or node is None:
        return False
    return not node.has_undo or entry.state is not StepState.COMPLETED


def is_cascading(work: Work, entry: StepRun) -> bool:
    """Tell whether the child's own entries are being undone first (`cascade`)."""
    return entry.id in (work.frontier.get("undo") or {}).get("cascading", ())


def go_on_after_child(work: Work, entry: StepRun) -> None:
    """Begin the undo of a step whose child has been undone first (`cascade`)."""
    node = work.node(entry)
    if node is None or node.step.compensation is None:
        return
    if attached.enter(work, node, entry, node.step.compensation.tasks[0].reference):
        work.frontier["undo"]["cascading"].remove(entry.id)


def _undo_child(work: Work, entry: StepRun) -> None:
    """Have a completed child undone; the entry follows the child (saga-semantics §3)."""
    current = work.active_plan()
    if current is None or entry.child_id is None or work.execution.paused:
        return
    child_id = entry.child_id
    entry = ledger.begin_running(work, entry)
    work.tell("entry.running", entry)
    work.do(
        SendNotice(
            execution_id=child_id,
            kind="UNDO",
            data={"reason": current.reason, "by": current.triggered_by},
        )
    )


def child_undone(work: Work, entry: StepRun, state: ExecutionState, live: int) -> None:
    """Settle the entry of a sub-workflow as its child has ended."""
    if state is ExecutionState.PARTIALLY_COMPENSATED or live:
        # It ended with effects that nobody can undo any more (sealed, say): they are left.
        settled = EntryState.SKIPPED
    else:
        undone = state is ExecutionState.COMPENSATED
        settled = EntryState.COMPENSATED if undone else EntryState.VOID
    settling.settle_entry(work, entry, settled)


# ---- the end ---------------------------------------------------------------------------------


def _finish(work: Work) -> None:
    """End a run whose plan is settled (invariants 15, 16, 18)."""
    undo = work.frontier.pop("undo")
    work.do(EndPlan(id=undo["plan"], state="SETTLED"))
    work.plan = None
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


def end_late(work: Work) -> None:
    """Bring a run back to its end once people have dealt with every late effect."""
    if work.entries_in((EntryState.LATE_EFFECT,)):
        return
    was = ExecutionState(work.frontier.pop("late"))
    undone = (ExecutionState.COMPENSATED, ExecutionState.PARTIALLY_COMPENSATED)
    work.move(finish.end_of_undo(work) if was in undone else was)
    finish.tell_parent(work)
