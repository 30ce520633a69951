"""Transitions: the only caller of `decide` outside the engine.

One transition: lock the executions → load what the decisions need → decide → write → commit → wake.
Many executions go together, each decided on its own; one execution is the case n = 1. Scripts that
a decision asks for are evaluated with no transaction open, and the next transition gets their
answers.
"""

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import InterfaceError, OperationalError, transaction

from orchestrator import dispatch
from orchestrator.engine.commands import Decision, Needs, Question
from orchestrator.engine.decide import decide
from orchestrator.engine.snapshot import (
    Answer,
    ChildReported,
    Input,
    ParentSpoke,
    RetryRequested,
    StepDue,
    StepRun,
    TimerDue,
)
from orchestrator.engine.states import ExecutionState, ForwardResult
from orchestrator.failpoints import failpoint
from orchestrator.services import answering, memory, resolving, telling
from orchestrator.services.retrying import retried
from orchestrator.services.together import Together
from orchestrator.store import claims, clock, load
from orchestrator.store.apply import decisions
from orchestrator.store.apply.revisions import Stale
from orchestrator.store.load import Loaded

logger = logging.getLogger(__name__)

MOST_ASKED = 40
"""How often a decision may ask for more data; more would be a decision that never ends."""
SLICE_SECONDS = 10.0
NO_ANSWERS: Mapping[str, Answer] = {}

Inputs = Mapping[str, Sequence[Input]]


class EndlessDecision(Exception):
    """A decision keeps asking for data: a bug of the engine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """Who takes new step runs at once, without a way through the broker ("keep going")."""

    queues: tuple[str, ...] = ()
    limit: int = 0
    worker: str = ""


KEEP_NONE = Keeping()


@dataclass(slots=True, kw_only=True)
class Advanced:
    """What became of a transition over several executions."""

    loaded: Mapping[str, Loaded]
    questions: dict[str, list[Question]] = field(default_factory=dict)
    """By execution: scripts that must be evaluated before it can go on."""
    claimed: list[tuple[Loaded, StepRun]] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    to_advance: set[str] = field(default_factory=set)
    """Executions that something is due for now."""
    runs: dict[str, StepRun] = field(default_factory=dict)
    """Step runs as they are after the transition, as far as they were touched."""


# ---- one transition --------------------------------------------------------------------------


def advance_locked(
    found: Mapping[str, Loaded],
    inputs: Inputs,
    *,
    answers: Mapping[str, Answer] = NO_ANSWERS,
    keep: Keeping = KEEP_NONE,
    new: Mapping[str, dict[str, Any]] | None = None,
    last: bool = False,
    remembered: bool = False,
) -> Advanced:
    """Decide for executions whose rows the caller has locked, and write what was decided.

    Rings for whoever must be woken once the caller's transaction is committed, but for the
    executions in `to_advance`: the caller goes on with them itself, or rings for them.

    Args:
        found: The executions.
        inputs: What has happened to them.
        answers: Results of scripts.
        keep: Who takes new step runs at once.
        new: Rows of executions that are not there yet and are inserted.
        last: The caller's transaction ends with this, so the COMMIT may travel with the writes.
        remembered: The rows are not locked; that they are still the same is checked with the write.

    Raises:
        Stale: A remembered execution has been changed meanwhile, or needs its lock.
    """
    now = clock.lately()
    resolvers = resolving.without_lock() if remembered else resolving.under_lock()
    expected = {key: loaded.view.revision for key, loaded in found.items()} if remembered else None
    made = _decisions(found, inputs, answers, keep, now, resolvers)
    if remembered and any(decision.is_empty for decision in made.values()):
        # Nothing would be written, so nothing would be checked.
        raise Stale
    written = decisions.Written(
        now=now, wake_now=not dispatch.reaches_workers(), new_executions=dict(new or {})
    )
    result = Advanced(loaded=found)
    fresh: list[StepRun] = []
    for key, decision in made.items():
        written.add(found[key], decision)
        _gather(result, found[key], decision)
        fresh.extend(decision.fresh)
    failpoint("advance.before_commit")
    if any("epoch" in decision.changed for decision in made.values()):
        failpoint("epoch.before_commit")
    decisions.write(written, expected=expected, last=last)
    result.to_advance |= written.to_advance
    memory.follow(found, made)
    dispatch.ring_steps((run.id, run.queue) for run in fresh if run.queue)
    dispatch.tell_pollers(run.name for run in fresh if not run.queue)
    _tell_followers(made, new or {})
    telling.tell(made.values())
    return result


def _tell_followers(made: Mapping[str, Decision], new: Collection[str]) -> None:
    """Wake who follows these executions; nobody can follow one that is not there yet."""
    told = {key: decision for key, decision in made.items() if decision.events and key not in new}
    moved = any("state" in decision.changed for decision in told.values())
    dispatch.tell_followers(told, at_once=moved)


def begin(rows: Mapping[str, dict[str, Any]], *, last: bool) -> Advanced:
    """Take the first decision of new executions and insert their rows as they are after it."""
    found = {key: load.loaded_from_new(row) for key, row in rows.items()}
    return advance_locked(found, {}, new=rows, last=last)


def _gather(result: Advanced, loaded: Loaded, decision: Decision) -> None:
    key = loaded.view.id
    loaded.view = decision.execution
    if decision.questions:
        result.questions[key] = list(decision.questions)
    result.claimed.extend((loaded, run) for run in decision.claimed)
    result.refused.update(decision.refused)
    for run in decision.created:
        loaded.runs[run.id] = result.runs[run.id] = run
    for run, _ in decision.updated:
        loaded.runs[run.id] = result.runs[run.id] = run


def _decisions(
    found: Mapping[str, Loaded],
    inputs: Inputs,
    answers: Mapping[str, Answer],
    keep: Keeping,
    now: Any,
    resolvers: load.Resolvers,
) -> dict[str, Decision]:
    """Decide for each execution, loading what is missing for all of them together."""
    made: dict[str, Decision] = {}
    missing = list(found)
    wanted: dict[str, Needs] = {}
    for _ in range(MOST_ASKED):
        wanted = {}
        for key in missing:
            decision = decide(
                found[key].graph,
                found[key].snapshot(now=now, answers=answers, queues=resolving.QUEUES),
                inputs.get(key, ()),
                claim=keep.queues,
                claim_limit=keep.limit,
                worker=keep.worker,
            )
            if decision.needs is not None:
                wanted[key] = decision.needs
            else:
                made[key] = decision
        if not wanted:
            return made
        load.satisfy(found, wanted, resolvers)
        missing = list(wanted)
    raise EndlessDecision(f"{missing[0]} keeps asking for {wanted[missing[0]]}")


# ---- what is due -----------------------------------------------------------------------------


def transit(
    *,
    inputs: Inputs,
    due: Collection[str] = (),
    answers: Mapping[str, Answer] = NO_ANSWERS,
    keep: Keeping = KEEP_NONE,
) -> Advanced:
    """Take inputs, and for the executions in `due` all that their rows say is due.

    Safe to call any number of times: with nothing due, nothing changes. The row locks make two
    callers take turns, so the second sees what the first decided.
    """
    remembered = None if due or answers else memory.recall(inputs)
    if remembered is not None:
        try:
            advanced = _transit_remembered(remembered, inputs, keep)
        except (Stale, OperationalError, InterfaceError):
            # Locked and read as ever; what a lost COMMIT has written is found then.
            advanced = _transit(inputs=inputs, due=(), answers=answers, keep=keep)
    else:
        advanced = _transit(inputs=inputs, due=due, answers=answers, keep=keep)
    memory.keep(advanced.claimed)
    return advanced


@transaction.atomic(durable=True)
def _transit_remembered(found: dict[str, Loaded], inputs: Inputs, keep: Keeping) -> Advanced:
    return advance_locked(found, inputs, keep=keep, last=True, remembered=True)


@retried
@transaction.atomic(durable=True)
def _transit(
    *, inputs: Inputs, due: Collection[str], answers: Mapping[str, Answer], keep: Keeping
) -> Advanced:
    found = load.lock_executions({*inputs, *due})
    taken = {key: list(inputs.get(key, ())) for key in found}
    wanted = [key for key in due if key in found]
    if wanted:
        for key, items in _due_inputs(wanted).items():
            taken[key] = [*items, *taken[key]]
    if any(isinstance(item, TimerDue) for items in taken.values() for item in items):
        failpoint("timer.before_commit")
    return advance_locked(found, taken, answers=answers, keep=keep, last=True)


def _due_inputs(ids: Collection[str]) -> dict[str, list[Input]]:
    items: dict[str, list[Input]] = {key: [] for key in ids}
    now = clock.now()
    for key, kind, data in claims.take_notices(ids):
        items[key].append(_notice(kind, data))
    for key, purpose, subject in claims.timers_of(ids, now=now):
        items[key].append(TimerDue(purpose=purpose, subject=subject))
    for due in claims.expired_leases_of(ids, now=now):
        items[due.execution_id].append(StepDue(step_run_id=due.step_run_id))
    return items


def _notice(kind: str, data: Mapping[str, Any]) -> Input:
    if kind == "CHILD":
        outcome = data["outcome"]
        return ChildReported(
            step_run_id=data["step_run_id"],
            child_id=data["child_id"],
            state=ExecutionState(data["state"]),
            outcome=ForwardResult(outcome) if outcome else None,
            output=data["output"],
            reason=data["reason"],
            live=data["live"],
        )
    if kind == "RETRY":
        return RetryRequested(
            actor=data["by"], reason=data["reason"], resume_children=True, by_parent=True
        )
    return ParentSpoke(
        undo=bool(data.get("undo", True)),
        stop=kind == "STOP",
        reason=str(data.get("reason", "")),
        override=bool(data.get("override")),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one caller wants taken in the next transition."""

    inputs: Inputs
    due: Collection[str]
    answers: Mapping[str, Answer]
    keep: Keeping

    def executions(self) -> set[str]:
        """Return the executions it concerns."""
        return {*self.inputs, *self.due}


def _transit_together(steps: list[Step]) -> list[Advanced]:
    """Take the steps of several callers in one transition, and give each its own part of it."""
    inputs: dict[str, list[Input]] = {}
    answers: dict[str, Answer] = {}
    for step in steps:
        for key, items in step.inputs.items():
            inputs.setdefault(key, []).extend(items)
        answers |= step.answers
    due = {key for step in steps for key in step.due}
    advanced = transit(inputs=inputs, due=due, answers=answers, keep=steps[0].keep)
    if len(steps) == 1:
        return [advanced]
    return _parts(advanced, steps)


def _parts(advanced: Advanced, steps: list[Step]) -> list[Advanced]:
    """Divide what became of a transition: an execution belongs to the first who named it."""
    parts: list[Advanced] = []
    taken: set[str] = set()
    for step in steps:
        own = step.executions() - taken
        taken |= own
        parts.append(
            Advanced(
                loaded=advanced.loaded,
                questions={k: asked for k, asked in advanced.questions.items() if k in own},
                claimed=[pair for pair in advanced.claimed if pair[0].view.id in own],
                refused=advanced.refused,
                to_advance=advanced.to_advance & own,
                runs=advanced.runs,
            )
        )
    # Children and receivers of notices are nobody's yet.
    parts[0].to_advance |= advanced.to_advance - taken
    return parts


_TOGETHER = Together(_transit_together)


def drive(
    *,
    inputs: Inputs,
    due: Collection[str] = (),
    keep: Keeping = KEEP_NONE,
    on_first: Callable[[Advanced], None] | None = None,
) -> list[tuple[Loaded, StepRun]]:
    """Transit until nothing is due any more; returns what the caller has claimed.

    Answers scripts and follows children and notices on the way. After a time slice the rest is
    handed over through the broker, so that long runs do not starve others.
    """
    ends = time.monotonic() + SLICE_SECONDS
    claimed: list[tuple[Loaded, StepRun]] = []
    answers: Mapping[str, Answer] = NO_ANSWERS
    while inputs or due:
        left = Keeping(
            queues=keep.queues, limit=max(keep.limit - len(claimed), 0), worker=keep.worker
        )
        step = Step(inputs=inputs, due=due, answers=answers, keep=left)
        advanced = _TOGETHER.do(step, group=left)
        _pass_commit(advanced)
        if on_first is not None:
            on_first(advanced)
            on_first = None
        claimed += advanced.claimed
        inputs, due = {}, advanced.to_advance
        if due and (time.monotonic() > ends or claimed):
            # What was claimed must not wait for what is merely due.
            hand_over(due)
            break
        answers = answering.evaluate(advanced.questions)
    return claimed


def _pass_commit(advanced: Advanced) -> None:
    """Mark the moments after a commit at which a process may die."""
    failpoint("advance.after_commit")
    views = [loaded.view for loaded in advanced.loaded.values()]
    if any(view.state is ExecutionState.STOPPING for view in views):
        failpoint("stop.after_commit")


@transaction.atomic(durable=True)
def hand_over(ids: Collection[str]) -> None:
    """Have somebody else take what is due for these executions."""
    dispatch.ring_executions(ids)
