"""Transitions: the only caller of `decide` outside the engine.

One transition: lock the executions → load what the decisions need → decide → write → commit → wake.
Many executions go together, each decided on its own; one execution is the case n = 1. Scripts that
a decision asks for are evaluated with no transaction open, and the next transition gets their
answers.
"""

import functools
import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction

from orchestrator import dispatch
from orchestrator.engine.canonical import JSONValue
from orchestrator.engine.commands import Decision, Needs, Question
from orchestrator.engine.decide import decide
from orchestrator.engine.snapshot import (
    Answer,
    ChildReported,
    ChildVersion,
    ExecutionView,
    Input,
    ParentSpoke,
    RetryRequested,
    StepDue,
    StepRun,
    TimerDue,
)
from orchestrator.engine.states import ExecutionState, ForwardResult
from orchestrator.failpoints import failpoint
from orchestrator.gate import still_holds
from orchestrator.handlers import registry
from orchestrator.models import Execution, WorkflowVersion
from orchestrator.services import answering, children, telling, versions
from orchestrator.services.retrying import retried
from orchestrator.services.together import Together
from orchestrator.store import claims, clock, definitions, load
from orchestrator.store.apply import decisions
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
) -> Advanced:
    """Decide for executions whose rows the caller has locked, and write what was decided.

    Rings for whoever must be woken once the caller's transaction is committed, but for the
    executions in `to_advance`: the caller goes on with them itself, or rings for them.
    """
    now = clock.now()
    made = _decisions(found, inputs, answers, keep, now)
    written = decisions.Written(now=now, wake_now=not dispatch.reaches_workers())
    result = Advanced(loaded=found)
    fresh: list[StepRun] = []
    for key, decision in made.items():
        written.add(found[key], decision)
        _gather(result, found[key], decision)
        fresh.extend(decision.fresh)
    decisions.write(written)
    result.to_advance |= written.to_advance
    failpoint("advance.before_commit")
    dispatch.ring_steps((run.id, run.queue) for run in fresh if run.queue)
    dispatch.tell_pollers(run.name for run in fresh if not run.queue)
    dispatch.tell_followers(key for key, decision in made.items() if decision.events)
    telling.tell(made.values())
    return result


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
) -> dict[str, Decision]:
    """Decide for each execution, loading what is missing for all of them together."""
    made: dict[str, Decision] = {}
    missing = list(found)
    resolvers = _resolvers()
    wanted: dict[str, Needs] = {}
    for _ in range(MOST_ASKED):
        wanted = {}
        for key in missing:
            decision = decide(
                found[key].graph,
                found[key].snapshot(now=now, answers=answers, queues=_QUEUES),
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


class _Queues(dict[tuple[str, str], str]):
    """(type, name) → Celery queue; empty where polling workers do the step."""

    def get(self, key: tuple[str, str], default: Any = None) -> Any:
        return registry.queue_of(*key) or default


_QUEUES = _Queues()


@functools.cache
def _resolvers() -> load.Resolvers:
    return load.Resolvers(child=_child, inline_child=_inline_child, approval_holds=_approval_holds)


def _approval_holds(approval_id: str, input_hash: str) -> bool:
    return still_holds(approval_id=approval_id, input_hash=input_hash)


def _child(name: str, number: int | None) -> ChildVersion | None:
    version = children.find_version(name=name, number=number)
    return _child_version(version) if version else None


def _child_version(version: WorkflowVersion) -> ChildVersion:
    graph = definitions.graph_of_version(version.pk)
    return ChildVersion(
        version_id=version.pk,
        workflow_name=version.workflow.name if version.number else graph.definition.name,
        number=version.number or 0,
        is_saga=graph.is_saga,
        has_undo=version.has_undo,
    )


def _inline_child(parent: ExecutionView, document: JSONValue) -> ChildVersion | str:
    # By key: an inline child of an inline child bears a name that no workflow has.
    home = Execution.objects.select_related("workflow").only("workflow__name").get(pk=parent.id)
    try:
        found = versions.inline_child_locked(parent_name=home.workflow.name, document=document)
    except versions.UnusableDefinition as error:
        return str(error)
    return _child_version(found)


# ---- what is due -----------------------------------------------------------------------------


@retried
@transaction.atomic(durable=True)
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
    found = load.lock_executions({*inputs, *due})
    taken = {key: list(inputs.get(key, ())) for key in found}
    wanted = [key for key in due if key in found]
    if wanted:
        for key, items in _due_inputs(wanted).items():
            taken[key] = [*items, *taken[key]]
    advanced = advance_locked(found, taken, answers=answers, keep=keep)
    if any(isinstance(item, TimerDue) for items in taken.values() for item in items):
        failpoint("timer.before_commit")
    return advanced


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
        undo=bool(data.get("undo", True)), stop=kind == "STOP", reason=str(data.get("reason", ""))
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
