"""A part of a run is stopped and undone while the rest keeps what it has in flight (§11).

Three kinds: a *retry* goes back to a savepoint and forward again; a *block* that is optional is
undone and left behind; a *step* is undone with all that came after it, for a COMPENSATE node. What
the rest of the run has settled meanwhile is held, and followed once the run is RUNNING again.
"""

from dataclasses import asdict
from typing import Any

from orchestrator.engine.definition.model import SagaSettings
from orchestrator.engine.events import Event
from orchestrator.engine.forward import due, epochs, resuming, scopes, stopping
from orchestrator.engine.snapshot import StepRun
from orchestrator.engine.states import (
    EntryState,
    ExecutionState,
    ForwardResult,
    StepState,
)
from orchestrator.engine.steps import base
from orchestrator.engine.work import Stop, Work

RETRY, BLOCK, STEP = "RETRY", "BLOCK", "STEP"
LONGEST_DELAY = 900
"""Seconds; the delay before savepoint retries doubles up to this."""
_UNDONE = (EntryState.COMPENSATED, EntryState.VOID)
_ACCEPTED = (EntryState.SKIPPED, EntryState.RESOLVED_MANUALLY)
_WAITS = frozenset({"JOIN", "DO_WHILE"})


# ---- beginning -------------------------------------------------------------------------------


def begin_retry(
    work: Work, stop: Stop, scope: str, settings: SagaSettings, savepoint: StepRun
) -> None:
    """Stop what came after a savepoint; undone, it is activated again with new keys."""
    used = int(work.frontier.get("retries", {}).get(scope, 0))
    delay = min(settings.retry_delay_seconds * 2 ** min(used, 30), LONGEST_DELAY)
    record = {
        "kind": RETRY,
        "scope": scope,
        "savepoint": savepoint.id,
        "delay": delay,
        "number": used + 1,
        "partial": settings.accept_partial,
        "keep": list(settings.keep),
        "spent": list(stop.spent),
        "overdue": stop.trigger == "TIMEOUT" and not (stop.failure or {}).get("stepId"),
    }
    if not _begin(work, stop, record, undo=True):
        return
    work.frontier.setdefault("retries", {})[scope] = used + 1
    work.set(outcome=stop.outcome, failure=stop.failure)


def begin_block(work: Work, stop: Stop, block: StepRun, *, undo: bool) -> None:
    """Stop an optional block; the run goes on after it."""
    _begin(work, stop, {"kind": BLOCK, "block": block.id}, undo=undo)


def begin_step(work: Work, stop: Stop, node_run: StepRun, starts: tuple[str, ...]) -> None:
    """Stop for a COMPENSATE node that names a step."""
    _begin(work, stop, {"kind": STEP, "node": node_run.id, "starts": list(starts)}, undo=True)


def _begin(work: Work, stop: Stop, record: dict[str, Any], *, undo: bool) -> bool:
    if not work.all_in_motion():
        return False
    work.stop = None
    lists: dict[str, Any] = {"waits": [], "own": []}
    work.frontier["part"] = {**record, **lists, "failure": stop.failure, "why": stop.reason}
    inside = members(work)
    _forget(work, inside)
    hold(work, inside)
    work.frontier["stop"] = {
        "trigger": stop.trigger,
        "undo": undo,
        "by": stop.actor,
        "reason": stop.reason,
    }
    told = {"trigger": stop.trigger, "reason": stop.reason, "by": stop.actor}
    work.move(ExecutionState.STOPPING, **told, part=record["kind"])
    unsettled = [run for run in work.unsettled() if run.id in inside]
    waits = {*(run.id for run in unsettled), *(inside & set(work.frontier.get("doubts", {})))}
    asked = inside & {*work.frontier.get("questions", ()), (stop.failure or {}).get("stepId")}
    work.frontier["part"] |= {"waits": sorted(waits), "own": sorted(waits | asked)}
    for run in unsettled:
        _settle(work, run, stop)
    hold(work, inside)
    if not is_quiet(work):
        seconds = work.graph.definition.saga.quiesce_timeout_seconds
        work.frontier["quiesce"] = True
        work.wake_at("QUIESCE", work.later(seconds))
    return True


def _settle(work: Work, run: StepRun, stop: Stop) -> None:
    """Stop one step run of the part; what ends an optional block ends it with errors."""
    node = work.node(run)
    if node is None:
        return
    if run.id == _end_of_block(work) and run.state is StepState.WAITING and run.type in _WAITS:
        reason = stop.reason
        base.settle(work, run, StepState.COMPLETED_WITH_ERRORS, reason=reason)
        return
    stopping.settle_in_flight(work, node, run, stop)


def members(work: Work) -> frozenset[str]:
    """Return the step runs of the part; all must be loaded."""
    part = work.frontier["part"]
    if part["kind"] == RETRY:
        return scopes.after(work, [part["savepoint"]])
    if part["kind"] == BLOCK:
        return scopes.members(work, part["block"])
    starts = part["starts"]
    inside = {*starts, *scopes.after(work, starts)}
    runs = scopes.present(work)
    return frozenset(key for key in inside if runs[key].state.is_settled)


def _forget(work: Work, inside: frozenset[str]) -> None:
    """Drop what the frontier keeps of the part: its joins, loops, forks, scripts and failures."""
    frontier = work.frontier
    for name in ("joins", "loops"):
        kept = {
            place: record
            for place, record in frontier.get(name, {}).items()
            if record["run"] not in inside
        }
        _keep(frontier, name, kept)
    forks = {key: outer for key, outer in frontier.get("forks", {}).items() if key not in inside}
    _keep(frontier, "forks", forks)
    for name in ("asks", "again", "unfollowed"):
        _keep(frontier, name, [key for key in frontier.get(name, []) if key not in inside])
    failures = [each for each in frontier.get("permissive", []) if each[2] not in inside]
    _keep(frontier, "permissive", failures)


def _keep(frontier: dict[str, Any], name: str, value: Any) -> None:
    if value:
        frontier[name] = value
    else:
        frontier.pop(name, None)


# ---- meanwhile -------------------------------------------------------------------------------


def hold(work: Work, inside: frozenset[str] = frozenset()) -> None:
    """Keep settled step runs of the rest, to be followed later; those of the part are dropped."""
    own = frozenset((work.frontier.get("part") or {}).get("own", ()))
    while work.settled:
        run = work.settled.popleft()
        # What a pivot in doubt comes to is followed when somebody knows.
        is_doubted = run.id == work.frontier.get("pivot_doubt")
        if run.id in inside or run.id in own or is_doubted:
            continue
        held = work.frontier.setdefault("held", [])
        if run.id not in held:
            held.append(run.id)


def release(work: Work) -> None:
    """Follow what was held, and ring for what could not be handed out."""
    if not work.all_in_motion():
        return
    known = {run.id for run in work.settled}
    for key in work.frontier.pop("held", []):
        run = work.run(key)
        if run is not None and key not in known and run.state.is_settled:
            work.settled.append(run)
    resuming.ring_again(work)
    if work.frontier.pop("overdue", False):
        work.wake_at("RUN", work.now)


def is_quiet(work: Work) -> bool:
    """Tell whether every step run of the part has settled, so that its plan can be complete."""
    part = work.frontier["part"]
    doubts = work.frontier.get("doubts", {})
    left: list[str] = []
    for key in part["waits"]:
        run = work.runs.get(key) or work.run(key)
        if run is None:
            return False
        if not run.state.is_settled or key in doubts:
            left.append(key)
    part["waits"] = left
    return not left


def interrupt(work: Work, stop: Stop) -> None:
    """Take a stop of the whole run while a part is being undone: at once, or once it is undone."""
    if "undo" in work.frontier:
        then = work.frontier["part"].get("then") or {}
        if stop.undo or not then.get("undo"):
            # A second word never takes an undo away (saga-semantics §5).
            work.frontier["part"]["then"] = asdict(stop)
        return
    _widen(work, stop)


def rejected(work: Work, *, actor: str, reason: str) -> None:
    """Stop the run without undo: a person does not want the part undone (`plan/reject`)."""
    part = work.frontier["part"]
    outcome = work.execution.outcome or ForwardResult.FAILED
    work.move(ExecutionState.COMPENSATING, reason="the plan was rejected")
    stop = Stop(
        trigger="REJECTED",
        outcome=outcome,
        failure=part["failure"],
        undo=False,
        actor=actor,
        reason=reason,
    )
    _widen(work, stop)


def _widen(work: Work, stop: Stop) -> None:
    """Give the part up and stop the whole run."""
    _leave(work, reason="the whole run is stopped")
    work.stop = stop


# ---- undone ----------------------------------------------------------------------------------


def undone(work: Work) -> None:
    """Go on once nothing of the part is left to undo."""
    part = work.frontier["part"]
    interrupted = part.get("then")
    if work.execution.paused and interrupted is None:
        return
    if interrupted is not None:
        _widen(work, Stop(**{**interrupted, "outcome": ForwardResult(interrupted["outcome"])}))
    elif part["kind"] == RETRY:
        _retry(work)
    elif part["kind"] == BLOCK:
        _leave_block(work)
    else:
        _end_node(work)


def _retry(work: Work) -> None:
    """Go back to the savepoint now or after the delay, unless an effect is left (invariant 26)."""
    part = work.frontier["part"]
    if part.get("waited") and not part.get("over"):
        return
    if not work.snapshot.whole:
        work.needs.whole = True
        return
    allowed = (*_UNDONE, *_ACCEPTED) if part["partial"] else _UNDONE
    left = [
        run
        for key in members(work)
        if (run := work.runs[key]).entry_state is not None and run.entry_state not in allowed
    ]
    if left:
        _give_up(work, left[0])
        return
    if part["delay"] and not part.get("over"):
        due_at = work.later(part["delay"])
        part["waited"] = due_at.isoformat()
        work.wake_at("SAVEPOINT", due_at)
        work.record(Event(type="savepoint.waiting", data={"until": part["waited"]}))
    elif epochs.begin(work, part, members(work)):
        if part["overdue"]:
            # The deadline that led back here is over: the next epoch gets one of its own.
            work.wake_at("RUN", work.later(work.graph.definition.timeout_seconds))
        _forget_part(work)
        release(work)


def delay_over(work: Work) -> None:
    """Take the end of the delay before a savepoint retry."""
    part = work.frontier.get("part")
    if part is not None and part.get("waited"):
        part["over"] = True


def _give_up(work: Work, left: StepRun) -> None:
    """Fall back to the outer scope: what is left undone forbids going forward again."""
    part = work.frontier["part"]
    state = left.entry_state.value if left.entry_state else ""
    reason = f"{part['why']} (no retry from the savepoint: {left.reference} is {state})"
    spent = (*part["spent"], part["scope"])
    failure, outcome = work.execution.failure, work.execution.outcome or ForwardResult.FAILED
    trigger = "TIMEOUT" if outcome is ForwardResult.TIMED_OUT else "FAILURE"
    _leave(work, reason=reason)
    work.stop = Stop(trigger=trigger, outcome=outcome, failure=failure, reason=reason, spent=spent)


def _leave_block(work: Work) -> None:
    """Go on after an optional block that has been undone."""
    part = work.frontier["part"]
    if not work.snapshot.whole:
        work.needs.whole = True
        return
    block, inside = work.run(part["block"]), scopes.members(work, part["block"])
    end = work.run(_end_of_block(work) or "")
    if block is None or end is None:
        return
    node, graph = work.node(end), work.graph_of(end.defined_by)
    if node is None or graph is None:
        return
    followed = {cause for key in inside for cause in work.runs[key].caused_by}
    last = tuple(sorted(inside - followed - {end.id})) or (end.id,)
    _leave(work, reason="an optional block was undone")
    if end.type in _WAITS:
        # It comes after all that stood in the block, so what follows it does.
        work.change(end, caused_by=last)
        last = (end.id,)
    due.go_past(work, graph, node, end, last)


def _end_of_block(work: Work) -> str | None:
    """Return the step run that ends the block: the JOIN of a fork, else the container itself."""
    part = work.frontier["part"]
    if part["kind"] != BLOCK:
        return None
    block = work.runs[part["block"]]
    node = work.node(block)
    if node is None or block.type not in {"FORK_JOIN", "FORK_JOIN_DYNAMIC"} or node.next is None:
        return block.id
    graph = work.graph_of(block.defined_by)
    if graph is None:
        return block.id
    join = graph.nodes[node.next].position(node.rounds(block.position))
    found = scopes.by_position(work).get(join)
    return found.id if found else block.id


def _end_node(work: Work) -> None:
    """Complete the COMPENSATE node that asked; what follows it goes on."""
    node_run = work.run(work.frontier["part"]["node"])
    if node_run is None or not work.all_in_motion():
        return
    _leave(work, reason=f"{node_run.reference} is done")
    base.complete(work, node_run, {"undone": True})


def _leave(work: Work, *, reason: str) -> None:
    """Let the run go forward again in the same epoch."""
    if not work.all_in_motion():
        return
    if work.frontier["part"]["kind"] == RETRY:
        work.set(outcome=None, failure=None)
    _forget_part(work)
    work.move(ExecutionState.RUNNING, reason=reason)
    release(work)


def _forget_part(work: Work) -> None:
    part = work.frontier.pop("part")
    work.frontier.pop("stop", None)
    stopping.forget_quiesce(work)
    if part.get("waited"):
        work.forget("SAVEPOINT")
