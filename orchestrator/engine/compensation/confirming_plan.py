"""A person starts the plan: `confirmPlan` (saga-semantics §5, product.md §3).

The plan is stored and its entries are PLANNED; the run waits in PLANNING until somebody confirms
or rejects exactly this plan. Every plan of a run asks but those that carry out what somebody has
already confirmed: a child's under its parent's plan, and the next round of one entry that a person
sends off again.
"""

from collections.abc import Iterable
from typing import Any

from orchestrator.engine import roots
from orchestrator.engine.commands import EndPlan
from orchestrator.engine.compensation import deadline, plan, sealing
from orchestrator.engine.definition.model import Script
from orchestrator.engine.events import Event
from orchestrator.engine.forward import finish, part
from orchestrator.engine.snapshot import PlanConfirmed, PlanRejected, StepRun
from orchestrator.engine.states import EntryState, ExecutionState, StepState
from orchestrator.engine.work import Work

_CONFIRMED_BEFORE = frozenset({"PARENT", "LATE_EFFECT"})
_KEPT = frozenset({EntryState.SKIPPED, EntryState.SEALED, EntryState.LATE_EFFECT})
"""States before the plan that the step run does not tell."""


def asks(work: Work, trigger: str) -> bool:
    """Tell whether a plan made by this trigger may have to wait for a person."""
    settings = work.graph.definition.saga
    return settings.confirm_plan != "NEVER" and trigger not in _CONFIRMED_BEFORE


def kept_states(work: Work, entries: Iterable[str]) -> dict[str, str]:
    """Return the states to go back to that cannot be read from the step runs any more."""
    states = {key: work.runs[key].entry_state for key in entries}
    return {key: state.value for key, state in states.items() if state in _KEPT}


def begin(
    work: Work, made: plan.Plan, *, trigger: str, came_from: ExecutionState, kept: dict[str, str]
) -> None:
    """Begin a plan that has been stored: at once, or when a person says so."""
    if not asks(work, trigger):
        work.move(ExecutionState.COMPENSATING)
        deadline.begin(work)
        return
    work.frontier["confirm"] = {
        "from": came_from.value,
        "kept": kept,
        "trigger": trigger,
        **_shown(made),
    }
    advance(work)


def grown(work: Work, made: plan.Plan, kept: dict[str, str]) -> None:
    """Let a plan that waits be asked about anew: more is to be undone than anybody has seen."""
    waiting = work.frontier["confirm"]
    waiting |= {"kept": {**waiting["kept"], **kept}, **_shown(made)}
    waiting.pop("asked", None)


def _shown(made: plan.Plan) -> dict[str, Any]:
    return {
        "hash": made.hash,
        "entries": len(made.entries),
        "amounts": plan.totals(made.entries),
    }


def advance(work: Work) -> None:
    """Ask the author's rule once; true, null or an error leaves the plan to a person."""
    waiting = work.frontier.get("confirm")
    if waiting is None or waiting.get("asked"):
        return
    needs_person = _rule_asks(work, waiting)
    if needs_person is None:
        return
    if not needs_person:
        _start(work)
        return
    waiting["asked"] = True
    work.record(Event(type="plan.waiting", data={"hash": waiting["hash"]}))


def _rule_asks(work: Work, waiting: dict[str, Any]) -> bool | None:
    rule = work.graph.definition.saga.confirm_plan
    if not isinstance(rule, Script):
        return True
    execution = work.execution
    if rule.evaluator == "value-param":
        return execution.input.get(rule.expression) is not False
    amounts = waiting["amounts"]
    single = next(iter(amounts.items())) if len(amounts) == 1 else None
    data = {
        "input": execution.input,
        "output": execution.output,
        "compensationInput": None,
        "amount": {"value": single[1], "currency": single[0]} if single else None,
        "workflow": roots.workflow_root(execution),
        "plan": {name: waiting[name] for name in ("trigger", "entries", "amounts")},
    }
    answer = work.ask("javascript", rule.expression, data)
    if answer is None:
        return None
    return bool(answer.error) or answer.value is not False


def _start(work: Work) -> None:
    del work.frontier["confirm"]
    work.move(ExecutionState.COMPENSATING)
    deadline.begin(work)


def confirmed(work: Work, item: PlanConfirmed) -> None:
    """Start the plan that a person has looked at; another one than waits is refused."""
    if _waits_for(work, item.hash):
        work.record(
            Event(
                type="plan.confirmed",
                data={"hash": item.hash, "by": item.actor, "reason": item.reason},
            )
        )
        _start(work)


def confirmed_above(work: Work) -> None:
    """Start the plan because the parent's own asks for the undo of this run (T6)."""
    if work.in_state(ExecutionState.PLANNING) and "confirm" in work.frontier:
        work.record(Event(type="plan.confirmed", data={"by": "parent"}))
        _start(work)


def rejected(work: Work, item: PlanRejected) -> None:
    """Drop the plan: its entries are what they were, and the run ends as its outcome says."""
    if not _waits_for(work, item.hash):
        return
    if not work.snapshot.whole:
        work.needs.whole = True
        return
    waiting = work.frontier.pop("confirm")
    undo = work.frontier.pop("undo")
    work.frontier.pop("stop", None)
    for run in list(work.runs.values()):
        if run.entry_state is EntryState.PLANNED:
            _give_back(work, run, waiting["kept"].get(run.id))
    work.do(EndPlan(id=undo["plan"], state="REJECTED"))
    work.plan = None
    data = {"hash": item.hash, "by": item.actor, "reason": item.reason}
    work.record(Event(type="plan.rejected", data=data))
    if "part" in work.frontier:
        part.rejected(work, actor=item.actor, reason=item.reason)
        return
    came_from = ExecutionState(waiting["from"])
    work.move(came_from if came_from.is_terminal else _end_of_forward(work))
    if not came_from.is_terminal:
        finish.tell_parent(work)


def _waits_for(work: Work, plan_hash: str) -> bool:
    waiting = work.frontier.get("confirm")
    holds = work.in_state(ExecutionState.PLANNING) and waiting and waiting["hash"] == plan_hash
    if not holds:
        work.refused.append(plan_hash)
    return bool(holds)


def _give_back(work: Work, run: StepRun, kept: str | None) -> None:
    if kept is not None:
        state = EntryState(kept)
    else:
        is_known = run.state is StepState.COMPLETED or run.child_id is not None
        state = EntryState.ARMED if is_known else EntryState.UNCERTAIN
    run = work.change(run, entry_state=state, undo_waits=0, undo_next=())
    work.tell("entry.unplanned", run, state=state.value)
    sealing.reopen(work, run)


def _end_of_forward(work: Work) -> ExecutionState:
    outcome = work.execution.outcome
    return ExecutionState(outcome.value) if outcome else ExecutionState.FAILED
