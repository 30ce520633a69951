"""A decision in the making: the snapshot's values, changed on copies, and what to store for it.

Everything that decides gets the `Work` and calls its verbs. It checks every move against the
tables of `states`, counts what is in motion, and writes the journal, so that the modules that
decide can speak only of their rules. Nothing here touches the world; a `Work` that ends up wanting
data is thrown away.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from orchestrator.engine import states
from orchestrator.engine.canonical import JSONValue, copied, digest
from orchestrator.engine.commands import (
    ClearTimer,
    Command,
    Decision,
    Needs,
    Question,
    SetTimer,
)
from orchestrator.engine.definition.branches import branches_of
from orchestrator.engine.definition.graph import Graph, Node
from orchestrator.engine.events import Event
from orchestrator.engine.snapshot import (
    Answer,
    ExecutionView,
    PlanView,
    Snapshot,
    StepRun,
)
from orchestrator.engine.states import (
    Direction,
    EntryState,
    ExecutionState,
    ForwardResult,
    StepState,
)

STEPS_PER_DECISION = 400
"""Continuations followed in one transition; what is left stands in the frontier as `pending`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Why forward work ends before its time."""

    trigger: str
    """FAILURE, TIMEOUT, TERMINATE, CANCEL or PARENT (saga-semantics §5, T1 to T4)."""
    outcome: ForwardResult
    failure: dict[str, Any] | None
    undo: bool | None = None
    """None = as `onFailure` says."""
    actor: str = ""
    reason: str = ""
    output: JSONValue = None
    """What TERMINATE gives as the run's output; `None` = as always."""
    target: str = ""
    """Of COMPENSATE: `step` or `savepoint` where it names one."""
    spent: tuple[str, ...] = ()
    """Scopes that have no savepoint retry left, or could not take theirs."""
    steps: tuple[str, ...] = ()
    """Of a trigger: undo only these steps and what came after them (T7)."""
    override: bool = False
    """Two persons have agreed to undo what came before a pivot (§11)."""


@dataclass(slots=True)
class Work:
    """One decision in the making."""

    graph: Graph
    snapshot: Snapshot
    execution: ExecutionView = field(init=False)
    now: datetime = field(init=False)
    frontier: dict[str, Any] = field(init=False)
    runs: dict[str, StepRun] = field(init=False)
    latest: dict[str, StepRun | None] = field(init=False)
    settled: deque[StepRun] = field(default_factory=deque)
    """Forward step runs whose continuation is due."""
    returned: deque[StepRun] = field(default_factory=deque)
    """Undo, probe and confirm step runs that have just settled."""
    stop: Stop | None = None
    plan: PlanView | None = field(init=False)
    needs: Needs = field(default_factory=Needs)
    questions: dict[str, Question] = field(default_factory=dict)
    commands: list[Command] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    branches: dict[str, Graph] = field(default_factory=dict)
    """Compiled branches of dynamic forks entered in this decision."""
    claimed: list[StepRun] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    fresh: list[StepRun] = field(default_factory=list)
    """Step runs that became claimable in this decision."""
    variables_changed: bool = False
    """Business times may have moved."""
    fresh_probes: list[StepRun] = field(default_factory=list)
    """Step runs whose outcome is unknown and whose participant is to be asked."""
    _changed: set[str] = field(default_factory=set)
    _created: dict[str, StepRun] = field(default_factory=dict)
    _updated: dict[str, set[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        source = self.snapshot.execution
        self.execution = ExecutionView(
            **{name: getattr(source, name) for name in ExecutionView.__slots__}
        )
        self.now = self.snapshot.now
        self.frontier = copied(source.frontier)
        self.runs = dict(self.snapshot.runs)
        self.latest = dict(self.snapshot.latest)
        self.plan = self.snapshot.plan

    # ---- the execution ------------------------------------------------------------------------

    @property
    def is_saga(self) -> bool:
        """Tell whether the rules of saga-semantics hold for this run."""
        return self.execution.is_saga

    def set(self, **columns: Any) -> None:
        """Change columns of the execution."""
        for name, value in columns.items():
            if getattr(self.execution, name) != value:
                setattr(self.execution, name, value)
                self._changed.add(name)
                self.variables_changed |= name == "variables"

    def move(self, target: ExecutionState, **data: Any) -> None:
        """Move the execution to another state and say so in the journal."""
        states.check_execution_move(self.execution.state, target)
        self.set(state=target)
        if target is ExecutionState.STOPPING:
            self.set(fence=self.execution.fence + 1)
        if target.is_terminal:
            self.set(ended_at=self.now)
        elif self.execution.ended_at is not None:
            self.set(ended_at=None)
        self.record(Event(type=f"execution.{target.value.lower()}", data=data))

    def in_state(self, *wanted: ExecutionState) -> bool:
        """Tell whether the execution is in one of these states."""
        return self.execution.state in wanted

    def next_seq(self) -> int:
        """Give the next number in the order of scheduling."""
        return self._count("seq")

    def next_settle_seq(self) -> int:
        """Give the next number in the order of settling (saga-semantics §4.3)."""
        return self._count("settle")

    def _count(self, name: str) -> int:
        number = int(self.frontier.get(name, 0)) + 1
        self.frontier[name] = number
        return number

    # ---- step runs ----------------------------------------------------------------------------

    def create(self, run: StepRun) -> StepRun:
        """Add a step run."""
        self._created[run.id] = run
        self.runs[run.id] = run
        if run.direction is Direction.FORWARD:
            self.latest[run.reference] = run
            self._in_motion(1)
        if run.entry_state is not None:
            self._ledger(run.entry_state, 1)
        return run

    def change(self, run: StepRun, **columns: Any) -> StepRun:
        """Change columns of a step run; returns the value that holds from now on."""
        run = self.runs.get(run.id, run)
        if run.id not in self._created and run.id not in self._updated:
            run = StepRun(**{name: getattr(run, name) for name in StepRun.__slots__})
            self._updated[run.id] = set()
            self.runs[run.id] = run
            known = self.latest.get(run.reference)
            if known is not None and known.id == run.id:
                self.latest[run.reference] = run
        if "state" in columns:
            self._check_step(run, columns["state"])
        if "entry_state" in columns:
            self._check_entry(run, columns["entry_state"])
        names = self._updated.get(run.id)
        for name, value in columns.items():
            setattr(run, name, value)
            if names is not None:
                names.add(name)
        if names is not None:
            run.updated_at = self.now
            names.add("updated_at")
        return run

    def look_at(self, run: StepRun, due_at: datetime | None) -> StepRun:
        """Change when a step run is looked at; that is no word of its worker (`updated_at`)."""
        heard = run.updated_at
        run = self.change(run, due_at=due_at)
        run.updated_at = heard
        return run

    def _check_step(self, run: StepRun, target: StepState) -> None:
        if target is run.state:
            return
        states.check_step_move(run.state, target)
        if run.direction is Direction.FORWARD:
            self._in_motion(int(run.state.is_settled) - int(target.is_settled))

    def _check_entry(self, run: StepRun, target: EntryState | None) -> None:
        if target is run.entry_state:
            return
        if run.entry_state is not None:
            if target is not None and run.child_id is None:
                states.check_entry_move(run.entry_state, target)
            self._ledger(run.entry_state, -1)
        if target is not None:
            self._ledger(target, 1)

    def _in_motion(self, by: int) -> None:
        self.frontier["active"] = int(self.frontier.get("active", 0)) + by

    def _ledger(self, state: EntryState, by: int) -> None:
        counts = self.frontier.setdefault("ledger", {})
        left = int(counts.get(state.value, 0)) + by
        if left:
            counts[state.value] = left
        else:
            counts.pop(state.value, None)

    def entries_in(self, wanted: Iterable[EntryState]) -> int:
        """Count the ledger's entries in these states."""
        counts = self.frontier.get("ledger", {})
        return sum(int(counts.get(state.value, 0)) for state in wanted)

    def goes_forward(self, run: StepRun) -> bool:
        """Tell whether the part of the run that a step run stands in still goes forward.

        While a part is stopped, or a pivot is in doubt, the rest keeps what it has in flight
        (saga-semantics §11).
        """
        if self.in_state(ExecutionState.RUNNING):
            return True
        if self.execution.state.is_terminal:
            return False
        part = self.frontier.get("part")
        if part is not None:
            return run.id not in part["own"]
        return "pivot_doubt" in self.frontier and "stop" not in self.frontier

    @property
    def active(self) -> int:
        """How many forward step runs are not settled."""
        return int(self.frontier.get("active", 0))

    def run(self, run_id: str) -> StepRun | None:
        """Return a step run, or ask for it."""
        found = self.runs.get(run_id)
        if found is None or found.is_light:
            self.needs.runs.add(run_id)
            return None
        return found

    def all_in_motion(self) -> bool:
        """Tell whether every unsettled step run is known; ask for them if not."""
        if not self.snapshot.in_motion:
            self.needs.in_motion = True
        return self.snapshot.in_motion

    def unsettled(self) -> list[StepRun]:
        """Return all unsettled step runs, in order of scheduling; `all_in_motion` must hold."""
        return sorted(
            (run for run in self.runs.values() if not run.state.is_settled), key=lambda run: run.seq
        )

    def node(self, run: StepRun) -> Node | None:
        """Return the step of a step run in its graph, or ask for the fork that defines it."""
        graph = self.graph_of(run.defined_by)
        return graph.nodes[run.reference] if graph else None

    def graph_of(self, defined_by: str | None) -> Graph | None:
        """Return the graph that a dynamic fork defines, or the definition's own."""
        if defined_by is None:
            return self.graph
        found = self.snapshot.dynamic.get(defined_by) or self.branches.get(defined_by)
        if found is not None:
            return found
        is_new = defined_by in self._created or "dynamic" in self._updated.get(defined_by, ())
        fork = self.runs[defined_by] if is_new else None
        outer = self.graph_of(fork.defined_by) if fork else None
        if fork is None or outer is None or fork.dynamic is None:
            self.needs.dynamic.add(defined_by)
            return None
        # The fork was entered in this very decision, so no store has its row yet.
        self.branches[defined_by] = branches_of(outer, fork.reference, fork.dynamic)
        return self.branches[defined_by]

    def active_plan(self) -> PlanView | None:
        """Return the plan being undone, or ask for it; None where there is none."""
        if self.plan is None and "undo" in self.frontier:
            self.needs.plan = True
        return self.plan

    # ---- facts, timers, questions -------------------------------------------------------------

    def record(self, event: Event) -> None:
        """Write a fact into the journal."""
        self.events.append(event)

    def tell(self, kind: str, run: StepRun, **data: Any) -> None:
        """Record a fact about a step run; an undo's facts bear the reference of the step undone."""
        reference = run.reference
        if run.direction is not Direction.FORWARD:
            owner = self.runs.get(run.compensates or "")
            reference = owner.reference if owner else reference
            data["task"] = run.reference
        data["direction"] = run.direction.value
        data["state"] = run.state.value
        if run.iteration:
            data["iteration"] = run.iteration
        if run.entry_state is not None:
            data["entry"] = run.entry_state.value
        self.record(Event(type=kind, reference=reference, step_run_id=run.id, data=data))

    def do(self, command: Command) -> None:
        """Have something performed once this is stored."""
        self.commands.append(command)

    def wake_at(self, purpose: str, due_at: datetime, subject: str = "") -> None:
        """Set the timer of a purpose, replacing the one it had."""
        self.commands.append(SetTimer(purpose=purpose, due_at=due_at, subject=subject))

    def forget(self, purpose: str, subject: str = "") -> None:
        """Clear the timer of a purpose."""
        self.commands.append(ClearTimer(purpose=purpose, subject=subject))

    def later(self, seconds: float) -> datetime:
        """Return the moment that far from now."""
        return self.now + timedelta(seconds=seconds)

    def ask(
        self, evaluator: str, expression: str, data: JSONValue, *, patient: bool = False
    ) -> Answer | None:
        """Return the result of a script if it is known, else ask for it and return None."""
        key = digest([evaluator, expression, data])
        answer = self.snapshot.answers.get(key)
        if answer is None:
            self.questions[key] = Question(
                id=key, evaluator=evaluator, expression=expression, data=data, patient=patient
            )
        return answer

    # ---- the result ---------------------------------------------------------------------------

    def decision(self) -> Decision:
        """Return what was decided; only the needs, if something was missing."""
        if self.needs:
            return Decision(execution=self.snapshot.execution, needs=self.needs)
        if self.settled:
            self.frontier["pending"] = [run.id for run in self.settled]
        if self.frontier != self.snapshot.execution.frontier:
            self.execution.frontier = self.frontier
            self._changed.add("frontier")
        due = bool(self.questions or (self.settled and not self.execution.paused))
        wake_at = self.now if due else None
        if due or self.execution.wake_at is not None:
            self.execution.wake_at = wake_at
            self._changed.add("wake_at")
        return Decision(
            execution=self.execution,
            changed=frozenset(self._changed),
            created=tuple(self._created.values()),
            updated=tuple(
                (self.runs[run_id], frozenset(names))
                for run_id, names in self._updated.items()
                if names
            ),
            commands=tuple(self.commands),
            events=tuple(self.events),
            questions=tuple(self.questions.values()),
            fresh=tuple(
                run
                for run in self.fresh
                if run.state in (StepState.SCHEDULED, StepState.RETRY_WAIT)
            ),
            claimed=tuple(self.claimed),
            refused=tuple(self.refused),
        )


def merged(template: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Fill what is missing from a template (`inputTemplate`, conductor/definitions.md §6)."""
    return {**template, **given} if template else dict(given)
