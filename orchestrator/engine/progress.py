"""Going on: what follows once inputs are taken, until nothing moves any more."""

from collections.abc import Collection

from orchestrator.engine.compensation import (
    confirm_hooks,
    confirming_plan,
    plan,
    planning,
    results,
    sealing,
    triggers,
    undo,
)
from orchestrator.engine.forward import direction, due, finish, part, stopping
from orchestrator.engine.states import EntryState, ExecutionState
from orchestrator.engine.work import STEPS_PER_DECISION, Work


def go_on(work: Work) -> None:
    """Go on until nothing moves any more, or something is missing."""
    followed = 0
    asked = False
    while not work.needs:
        before = _mark(work)
        if work.stop is not None and work.in_state(ExecutionState.RUNNING):
            stop, work.stop = work.stop, None
            direction.take(work, stop)
        elif _take_attached(work):
            continue
        elif work.settled and work.in_state(ExecutionState.RUNNING):
            if work.execution.paused or followed >= STEPS_PER_DECISION:
                return
            followed += 1
            _follow(work)
            continue
        elif _may_ask(work) and not asked:
            asked = not due.resume_asked(work)
            continue
        else:
            _put_aside(work)
            _by_state(work)
        if _mark(work) == before:
            return
        asked = False


def _take_attached(work: Work) -> bool:
    """Take one thing that lies beside the run's own road; False if there is none."""
    if work.fresh_probes:
        results.probe(work, work.fresh_probes.pop(0))
    elif work.variables_changed:
        work.variables_changed = False
        results.follow_variables(work)
        triggers.arm(work)
    elif work.returned:
        results.returned(work, work.returned.popleft())
    elif work.in_state(ExecutionState.COMPLETED) and "seals" in work.frontier:
        sealing.run_completed(work)
    elif confirm_hooks.is_due(work):
        confirm_hooks.begin(work)
    else:
        return False
    return True


def _follow(work: Work) -> None:
    """Follow a settled step run; all of them wait while a pivot is in doubt (§11)."""
    if "pivot_doubt" in work.frontier:
        part.hold(work)
    else:
        due.follow(work, work.settled.popleft())


def _put_aside(work: Work) -> None:
    """Take what settled while the run does not go forward."""
    waits_for_pivot = "pivot_doubt" in work.frontier or "pivot_known" in work.frontier
    if "part" in work.frontier or (waits_for_pivot and "stop" not in work.frontier):
        part.hold(work)
    stopping.put_aside(work)
    work.stop = None


def _may_ask(work: Work) -> bool:
    """Tell whether steps that wait for a script may go on."""
    return bool(work.frontier.get("asks")) and not work.execution.paused


def _mark(work: Work) -> tuple[object, ...]:
    return (
        len(work.events),
        len(work.commands),
        len(work.settled),
        len(work.returned),
        work.execution.state,
        work.stop is None,
    )


def _by_state(work: Work) -> None:
    match work.execution.state:
        case ExecutionState.RUNNING:
            _running(work)
        case ExecutionState.STOPPING:
            if _is_quiet(work):
                _stopped(work)
        case ExecutionState.PLANNING:
            confirming_plan.advance(work)
        case ExecutionState.COMPENSATING:
            if "undo" in work.frontier:
                undo.advance(work)
            elif "part" in work.frontier:
                part.undone(work)
        case ExecutionState.NEEDS_ATTENTION:
            _needs_attention(work)
        case _:
            return


def _running(work: Work) -> None:
    """End a run in which nothing is left to do."""
    if _pivot_holds(work):
        return
    is_idle = stopping.is_quiet(work) and not work.frontier.get("asks")
    if is_idle and not work.execution.paused:
        finish.complete(work)


def _needs_attention(work: Work) -> None:
    """Go on where a person, or a late answer, has cleared the way."""
    if work.frontier.pop("pivot_known", False):
        _pivot_known(work)
    elif "undo" in work.frontier:
        undo.advance(work)
    elif "late" in work.frontier:
        undo.end_late(work)
    elif "stop" in work.frontier and _is_quiet(work):
        _stopped(work)


def _is_quiet(work: Work) -> bool:
    """Tell whether all that is stopped, the run or a part of it, has settled."""
    return part.is_quiet(work) if "part" in work.frontier else stopping.is_quiet(work)


def _pivot_holds(work: Work) -> bool:
    """Hold the run while a pivot is in doubt; call a person once nothing else can tell (§11)."""
    if work.frontier.pop("pivot_known", False):
        part.release(work)
        return False
    doubted = work.frontier.get("pivot_doubt")
    if doubted is None:
        return False
    if doubted in work.frontier.get("questions", ()):
        work.move(ExecutionState.NEEDS_ATTENTION, reason="the outcome of the pivot is unknown")
    return True


def _pivot_known(work: Work) -> None:
    """Go on in the direction that a pivot's outcome, now known, leaves open."""
    if any(name in work.frontier for name in ("stop", "undo", "late", "part")):
        return
    work.move(ExecutionState.RUNNING, reason="the outcome of the pivot is known")
    part.release(work)


def _stopped(work: Work) -> None:
    """Everything in flight has settled: ask, undo or end (saga-semantics §2.1, §5, §11)."""
    stop = work.frontier.get("stop") or {}
    wanted = stopping.wants_undo(work)
    is_bounded = wanted is True and direction.bounded_by_pivot(work, stop)
    is_part = "part" in work.frontier or is_bounded or "steps" in stop
    if is_part and not work.snapshot.whole:
        work.needs.whole = True
        return
    inside = part.members(work) if "part" in work.frontier else None
    if is_bounded and inside is not None and inside <= direction.beyond_pivot(work):
        # All of the part came after the pivot: it is undone as it is, and gone through again.
        is_bounded = False
    inside = triggers.within(work, stop, inside)
    is_open = wanted is not False and _has_question(work, inside)
    if is_open or wanted is None:
        if work.in_state(ExecutionState.STOPPING):
            why = "an outcome is unknown" if is_open else "a person decides whether to undo"
            work.move(ExecutionState.NEEDS_ATTENTION, reason=why)
        return
    if is_bounded:
        if stop.get("dead_end"):
            return
        is_bounded = direction.is_dead_end(work, stop, inside)
        inside = triggers.within(work, stop, direction.beyond_pivot(work))
        if is_bounded:
            stop["dead_end"] = True
    choosable = plan.CHOOSABLE_ON_REQUEST if "wanted" in stop else plan.CHOOSABLE
    chosen = stop.get("wanted") if inside is None else _live(work, inside, choosable)
    if not wanted or not (chosen if inside is not None else work.entries_in(choosable)):
        _nothing_to_undo(work, is_dead_end=is_bounded)
        return
    stopping.forget_quiesce(work)
    planning.begin_plan(
        work,
        str(stop.get("trigger", "FAILURE")),
        actor=str(stop.get("by", "")),
        reason=str(stop.get("reason", "")),
        wanted=frozenset(chosen) if chosen else None,
        on_request="wanted" in stop,
        override=bool(stop.get("override")),
    )


def _has_question(work: Work, inside: frozenset[str] | None) -> bool:
    """Tell whether a person must first say what happened, in the part that is to be undone."""
    questions = work.frontier.get("questions", ())
    return any(inside is None or key in inside for key in questions)


def _live(work: Work, inside: frozenset[str], choosable: Collection[EntryState]) -> list[str]:
    return sorted(key for key in inside if work.runs[key].entry_state in choosable)


def _nothing_to_undo(work: Work, *, is_dead_end: bool) -> None:
    if "part" in work.frontier:
        part.undone(work)
    elif not is_dead_end:
        stopping.end_without_undo(work)
    elif not work.in_state(ExecutionState.NEEDS_ATTENTION):
        stopping.forget_quiesce(work)
        work.move(ExecutionState.NEEDS_ATTENTION, reason=direction.DEAD_END)
