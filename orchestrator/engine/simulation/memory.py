"""One execution in memory: what the store is to a real one.

`decide` is given everything there is; only what needs a name (children, answers, a round of a loop)
it has to ask for. Rows are never changed in place, so a copy is cheap: it shares them.
"""

from collections import ChainMap
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from orchestrator.engine.commands import Decision, Needs, OpenApproval, StorePlan
from orchestrator.engine.definition.branches import branches_of
from orchestrator.engine.definition.graph import (
    ENGINE_TYPES,
    Graph,
    Node,
    inner_steps,
    policy_of,
)
from orchestrator.engine.definition.model import TaskPolicy
from orchestrator.engine.events import Event
from orchestrator.engine.simulation.knowledge import Knowledge, Version
from orchestrator.engine.snapshot import (
    Answer,
    ExecutionView,
    Input,
    PlanView,
    Snapshot,
    StepRun,
)
from orchestrator.engine.states import Direction, ExecutionState, StepState

_CLAIMABLE = (StepState.SCHEDULED, StepState.RETRY_WAIT)
_NEVER_CLAIMED = frozenset({"WAIT", "HUMAN"})


class _Nobody(dict[str, tuple[str, ...]]):
    """No worker has asked for any domain of any task."""

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> tuple[str, ...]:
        return ()


_NOBODY = _Nobody()


@dataclass(slots=True, kw_only=True)
class Run:
    """One execution and its rows."""

    version: Version
    graph: Graph
    """The version's, with the switches that this play forces."""
    execution: ExecutionView
    within: tuple[str, ...] = ()
    """Positions of the SUB_WORKFLOW steps that lead here from the root."""
    indexes: Mapping[str, int] = field(default_factory=dict)
    """Place of each step in the document."""
    runs: dict[str, StepRun] = field(default_factory=dict)
    latest: dict[str, StepRun | None] = field(default_factory=dict)
    before: dict[tuple[str, int], StepRun | None] = field(default_factory=dict)
    rounds: dict[str, bool] = field(default_factory=dict)
    attached: frozenset[str] = frozenset()
    dynamic: dict[str, Graph] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    """Answers of loop conditions, which are counted."""
    asked: dict[str, int] = field(default_factory=dict)
    """How often each loop condition was asked."""
    timers: dict[tuple[str, str], datetime] = field(default_factory=dict)
    plan: StorePlan | None = None
    """The active one."""
    approvals: dict[str, OpenApproval] = field(default_factory=dict)
    given: dict[str, bool] = field(default_factory=dict)
    """Approvals that were ever asked for; what was agreed to holds."""
    notices: tuple[Input, ...] = ()
    events: tuple[Event, ...] = ()

    def copy(self) -> "Run":
        """Return a copy that goes its own way."""
        return replace(
            self,
            runs=dict(self.runs),
            latest=dict(self.latest),
            before={},
            rounds=dict(self.rounds),
            dynamic=dict(self.dynamic),
            answers=dict(self.answers),
            asked=dict(self.asked),
            timers=dict(self.timers),
            approvals=dict(self.approvals),
            given=dict(self.given),
        )

    # ---- reading ------------------------------------------------------------------------------

    @property
    def state(self) -> ExecutionState:
        """The state of the execution."""
        return self.execution.state

    def node(self, run: StepRun) -> Node:
        """Return the step of a step run."""
        graph = self.graph if run.defined_by is None else self.branches(run.defined_by)
        return graph.nodes[run.reference]

    def branches(self, fork_id: str) -> Graph:
        """Return the branches that a dynamic fork has made, compiled."""
        if fork_id not in self.dynamic:
            fork = self.runs[fork_id]
            outer = self.graph if fork.defined_by is None else self.branches(fork.defined_by)
            self.dynamic[fork_id] = branches_of(outer, fork.reference, fork.dynamic or [])
        return self.dynamic[fork_id]

    def forward(self) -> dict[str, StepRun]:
        """Return the step runs that went forward, by id."""
        return {key: run for key, run in self.runs.items() if run.direction is Direction.FORWARD}

    def index_of(self, run: StepRun) -> int:
        """Return the place of a step run's step in the document; a forked one has its fork's."""
        while run.defined_by is not None:
            run = self.runs[run.defined_by]
        return self.indexes.get(run.reference, len(self.indexes))

    def policy(self, run: StepRun, knowledge: Knowledge) -> TaskPolicy:
        """Return the TaskDef that holds for a step run."""
        return policy_of(self.node(run).step, {**knowledge.policies, **self.version.policies})

    def claimable(self, now: datetime) -> list[StepRun]:
        """Return what a worker could take now, in order of scheduling."""
        found = [
            run for run in self.waiting_for_worker() if run.due_at is None or run.due_at <= now
        ]
        return sorted(found, key=lambda run: run.seq)

    def waiting_for_worker(self) -> list[StepRun]:
        """Return what a worker will take sooner or later."""
        if self.state.is_terminal and not self._has_confirms():
            return []
        is_going = self.state is ExecutionState.RUNNING
        return [
            run
            for run in self.runs.values()
            if _waits_for_worker(run) and (is_going or run.direction is not Direction.FORWARD)
        ]

    def _has_confirms(self) -> bool:
        return any(
            run.direction is Direction.CONFIRM and not run.state.is_settled
            for run in self.runs.values()
        )

    def in_state(self, *states: StepState) -> list[StepRun]:
        """Return the step runs in these states, in order of scheduling."""
        found = [run for run in self.runs.values() if run.state in states]
        return sorted(found, key=lambda run: run.seq)

    # ---- what a decision may see --------------------------------------------------------------

    def snapshot(self, now: datetime, knowledge: Knowledge) -> Snapshot:
        """Return everything there is."""
        return Snapshot(
            now=now,
            execution=self.execution,
            runs=self.runs,
            latest=self.latest,
            latest_before=self.before,
            in_motion=True,
            whole=True,
            rounds=self.rounds,
            attached=self.attached,
            dynamic=self.dynamic,
            children=knowledge.children,
            inline_children=knowledge.inline,
            answers=ChainMap(self.answers, knowledge.answers),
            policies=ChainMap(knowledge.policies, dict(self.version.policies)),
            queues=knowledge.queues,
            approvals=self.given,
            # Nobody else is in the world that is played.
            polled=_NOBODY,
            owners={run.effect_id: None for run in self.runs.values() if run.effect_id},
            plan=self._plan_view(),
        )

    def _plan_view(self) -> PlanView | None:
        plan = self.plan
        if plan is None:
            return None
        return PlanView(
            id=plan.id,
            hash=plan.hash,
            trigger=plan.trigger,
            reason=plan.reason,
            triggered_by=plan.triggered_by,
        )

    def satisfy(self, needs: Needs) -> None:
        """Look up what the rows of this execution can answer."""
        for reference in needs.references:
            self.latest.setdefault(reference, None)
        for reference, seq in needs.before:
            self.before[reference, seq] = self._newest_before(reference, seq)
        self.rounds |= {position: True for position, _, _ in needs.rounds}
        self.attached |= needs.attached
        for fork_id in needs.dynamic:
            self.branches(fork_id)

    def _newest_before(self, reference: str, seq: int) -> StepRun | None:
        """Return a step as one that was scheduled later saw it (saga-semantics §11)."""
        epoch = next(run.epoch for run in self.runs.values() if run.seq == seq)
        found = [
            run
            for run in self._runs_of(reference)
            if run.seq < seq and (run.cut_epoch is None or run.cut_epoch > epoch)
        ]
        return max(found, key=lambda run: run.seq, default=None)

    def _runs_of(self, reference: str) -> list[StepRun]:
        return [
            run
            for run in self.runs.values()
            if run.reference == reference and run.direction is Direction.FORWARD
        ]

    # ---- taking a decision over ---------------------------------------------------------------

    def store(self, decision: Decision) -> None:
        """Write the rows of a decision; its commands are the world's."""
        self.execution = decision.execution
        for run in (*decision.created, *(run for run, _ in decision.updated)):
            self._put(run)
        self.events = (*self.events, *decision.events)
        self.before = {}

    def _put(self, run: StepRun) -> None:
        self.runs[run.id] = run
        if run.direction is not Direction.FORWARD:
            return
        known = self.latest.get(run.reference)
        if run.cut_epoch is not None:
            # It came after a savepoint that the run went back to: nobody reads it any more.
            left = [each for each in self._runs_of(run.reference) if each.cut_epoch is None]
            self.latest[run.reference] = max(left, key=lambda each: each.seq, default=None)
        elif known is None or known.seq <= run.seq:
            self.latest[run.reference] = run


def _waits_for_worker(run: StepRun) -> bool:
    if run.type in ENGINE_TYPES:
        return False
    handed_back = run.state is StepState.WAITING and run.due_at is not None
    return run.state in _CLAIMABLE or (handed_back and run.type not in _NEVER_CLAIMED)


def new_run(
    version: Version,
    graph: Graph,
    execution: ExecutionView,
    *,
    within: tuple[str, ...] = (),
) -> Run:
    """Return an execution that has just been accepted."""
    latest: Mapping[str, StepRun | None] = dict.fromkeys(graph.nodes)
    steps = inner_steps(graph.definition.tasks)
    return Run(
        version=version,
        graph=graph,
        execution=execution,
        within=within,
        indexes={step.reference: index for index, step in enumerate(steps)},
        latest=dict(latest),
    )
