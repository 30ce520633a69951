"""Executions in memory together: the clock, children, notices, and what happened in which order."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, assert_never

from orchestrator.engine import decide as deciding
from orchestrator.engine.commands import (
    ChangeAttempt,
    ClearTimer,
    CloseApproval,
    Command,
    Decision,
    EndPlan,
    Needs,
    OpenApproval,
    Question,
    RecordLate,
    SendNotice,
    SetTimer,
    StartAttempt,
    StartChild,
    StorePlan,
)
from orchestrator.engine.definition.graph import Graph
from orchestrator.engine.simulation.knowledge import Knowledge, Play, Version, Wanted
from orchestrator.engine.simulation.memory import Run, new_run
from orchestrator.engine.simulation.setup import Budget, Fault, Scene
from orchestrator.engine.snapshot import (
    Answer,
    ChildReported,
    ExecutionView,
    Input,
    ParentSpoke,
    StepRun,
)
from orchestrator.engine.states import ExecutionState, ForwardResult

ROOT_ID = "00000000-0000-7000-8000-000000000000"
MOST_NEEDS = 50
PAUSE_EVERY = 200
"""Decisions after which the caller may look at its clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A step run that was handed to a worker."""

    within: tuple[str, ...]
    position: str
    reference: str
    iteration: int
    workflow: str
    order: tuple[tuple[int, int], ...]
    """Its place in the definition: (index of the step, number of the step run), level by level."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Something that people were asked, and what the play assumed they say."""

    kind: str
    """APPROVAL, OUTCOME, DIRECTION, MANUAL, PLAN or OVERRIDE."""
    within: tuple[str, ...]
    reference: str = ""
    iteration: int = 0
    assumed: str = ""
    approval: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class World:
    """Everything that exists in one play."""

    scene: Scene
    knowledge: Knowledge
    budget: Budget
    forced: Mapping[int, Graph] = field(default_factory=dict)
    """By `version_id`: graphs in which this play forces the branches of switches."""
    all: dict[str, Run] = field(default_factory=dict)
    now: datetime
    round: int = 0
    decisions: int = 0
    changes: int = 0
    """Decisions that were not empty; what moves nothing leaves it alone."""
    points: dict[tuple[tuple[str, ...], str], Point] = field(default_factory=dict)
    """Step runs that were handed out, in order, by where they are."""
    first_rounds: dict[tuple[tuple[str, ...], str], int] = field(default_factory=dict)
    plans: tuple[tuple[str, StorePlan], ...] = ()
    """(execution id, plan) in order of storing."""
    asked: tuple[Asked, ...] = ()
    faults: tuple[Fault, ...] = ()
    is_stopped_by_hand: bool = False
    """A step is in flight and the run is cancelled with undo."""
    is_released: bool = False
    """Steps that go wrong together do not wait for each other any more."""
    troubled_at: datetime | None = None
    endless: tuple[Point, ...] = ()
    """Steps that are tried again until they succeed."""
    cut: frozenset[str] = frozenset()
    """Sentences on what was not played to its end."""

    def copy(self, **changes: Any) -> "World":
        """Return a copy that goes its own way."""
        return replace(
            self,
            all={key: run.copy() for key, run in self.all.items()},
            points=dict(self.points),
            first_rounds=dict(self.first_rounds),
            **changes,
        )

    @property
    def root(self) -> Run:
        """The execution that was started."""
        return self.all[ROOT_ID]

    @property
    def is_spent(self) -> bool:
        """Tell whether this play has done all it may."""
        limit = self.budget.limits.decisions_per_scenario
        return self.budget.is_spent or self.decisions >= limit

    def start(self, version: Version) -> None:
        """Accept the execution."""
        definition = version.graph.definition
        given = dict(self.scene.input)
        # Conductor fills the template only into a start that has some input.
        filled = {**definition.input_template, **given} if given else given
        self._accept(version, execution_id=ROOT_ID, input=filled, root_id=ROOT_ID)

    def _accept(
        self,
        version: Version,
        *,
        execution_id: str,
        input: dict[str, Any],  # noqa: A002 - the word of the contract
        within: tuple[str, ...] = (),
        **columns: Any,
    ) -> None:
        execution = ExecutionView(
            id=execution_id,
            workflow_name=version.graph.definition.name,
            version_number=version.child.number or version.graph.definition.version,
            is_saga=version.graph.is_saga,
            input=input,
            lock=version.lock,
            created_at=self.now,
            started_by="simulation",
            **columns,
        )
        self.all[execution_id] = new_run(version, self._graph(version), execution, within=within)

    def _graph(self, version: Version) -> Graph:
        return self.forced.get(version.child.version_id, version.graph)

    # ---- deciding -----------------------------------------------------------------------------

    def feed(self, run: Run, *inputs: Input) -> Play[None]:
        """Let an execution take inputs, and go on until nothing is due for it at once."""
        taken = (*run.notices, *inputs)
        run.notices = ()
        while True:
            decision = yield from self._decided(run, taken)
            run.store(decision)
            self.changes += not decision.is_empty
            for command in decision.commands:
                self._perform(run, command)
            taken = ()
            yield from self._answer(run, decision.questions)
            if self.is_spent:
                self.cut |= {"The play was longer than a simulation follows."}
                return
            if not decision.questions and run.execution.wake_at is None:
                return

    def _decided(self, run: Run, inputs: tuple[Input, ...]) -> Play[Decision]:
        for _ in range(MOST_NEEDS):
            decision = deciding.decide(run.graph, run.snapshot(self.now, self.knowledge), inputs)
            yield from self._count()
            if decision.needs is None:
                return decision
            run.satisfy(decision.needs)
            yield from self._ask(decision.needs)
        raise AssertionError(f"decide is never satisfied: {run.execution.workflow_name}")

    def _count(self) -> Play[None]:
        self.decisions += 1
        self.budget.decisions += 1
        if self.budget.decisions % PAUSE_EVERY == 0:
            given = yield Wanted()
            self.budget.is_over |= given.is_over

    def _ask(self, needs: Needs) -> Play[None]:
        """Ask for what no row can tell."""
        known = self.knowledge
        wanted = Wanted(
            children=frozenset(needs.children - known.children.keys()),
            inline={k: raw for k, raw in needs.inline_children.items() if k not in known.inline},
            policies=frozenset(needs.policies - known.policies.keys()),
        )
        if wanted.children or wanted.inline or wanted.policies:
            given = yield wanted
            self.budget.is_over |= given.is_over
            known.take(given)

    def _answer(self, run: Run, questions: Iterable[Question]) -> Play[None]:
        """Have scripts evaluated that nobody has evaluated yet."""
        known, loops = self.knowledge, _loop_conditions(run.graph)
        unknown = [
            question
            for question in questions
            if question.id not in known.answers and question.id not in known.conditions
        ]
        if unknown:
            self.budget.questions += len(unknown)
            given = yield Wanted(questions=tuple(unknown))
            self.budget.is_over |= given.is_over
            for question in unknown:
                kept = known.conditions if question.expression in loops else known.answers
                kept[question.id] = given.answers[question.id]
        for question in questions:
            if question.id in known.conditions and question.id not in run.answers:
                run.answers[question.id] = self._counted(run, question)

    def _counted(self, run: Run, question: Question) -> Answer:
        """Return the answer of a loop's condition, until the loop has gone round often enough."""
        rounds = run.asked.get(question.expression, 0) + 1
        run.asked[question.expression] = rounds
        if rounds < self.budget.limits.loop_rounds:
            return self.knowledge.conditions[question.id]
        self.cut |= {f"A loop was ended after {rounds} rounds: {question.expression[:80]}"}
        return Answer(value=False)

    # ---- commands -----------------------------------------------------------------------------

    def _perform(self, run: Run, command: Command) -> None:
        match command:
            case SetTimer(purpose=purpose, subject=subject, due_at=due_at):
                run.timers[purpose, subject] = due_at
            case ClearTimer(purpose=purpose, subject=subject):
                run.timers.pop((purpose, subject), None)
            case StorePlan():
                run.plan = command
                self.plans = (*self.plans, (run.execution.id, command))
            case EndPlan():
                run.plan = None
            case OpenApproval(id=key):
                run.approvals[key] = command
                run.given[key] = True
            case CloseApproval(id=key):
                run.approvals.pop(key, None)
            case StartChild():
                self._start_child(run, command)
            case SendNotice():
                self._deliver(command)
            case StartAttempt() | ChangeAttempt() | RecordLate():
                pass
            case _:
                assert_never(command)

    def _start_child(self, parent: Run, command: StartChild) -> None:
        version = self.knowledge.versions[command.version_id]
        step = parent.runs[command.step_run_id]
        self._accept(
            version,
            execution_id=command.id,
            input=command.input,
            within=(*parent.within, step.position),
            root_id=parent.execution.root_id,
            parent_id=parent.execution.id,
            parent_step_id=step.id,
        )

    def _deliver(self, notice: SendNotice) -> None:
        receiver, data = self.all[notice.execution_id], notice.data
        item: Input
        if notice.kind == "CHILD":
            item = ChildReported(
                step_run_id=data["step_run_id"],
                child_id=data["child_id"],
                state=ExecutionState(data["state"]),
                outcome=ForwardResult(data["outcome"]) if data["outcome"] else None,
                output=data["output"],
                reason=data["reason"],
                live=data["live"],
            )
        else:
            item = ParentSpoke(
                undo=bool(data.get("undo", True)),
                stop=notice.kind == "STOP",
                reason=str(data.get("reason", "")),
            )
        receiver.notices = (*receiver.notices, item)

    # ---- places -------------------------------------------------------------------------------

    def parent_of(self, run: Run) -> Run | None:
        """Return the execution that started this one."""
        parent_id = run.execution.parent_id
        return self.all.get(parent_id) if parent_id else None

    def order_of(self, run: Run, step: StepRun) -> tuple[tuple[int, int], ...]:
        """Return where a step run stands in the definition, level by level."""
        own = (run.index_of(step), step.seq)
        parent = self.parent_of(run)
        if parent is None:
            return (own,)
        return (*self.order_of(parent, parent.runs[run.execution.parent_step_id or ""]), own)

    def note_point(self, run: Run, step: StepRun) -> None:
        """Keep in mind that a step run was handed out."""
        key = (run.within, step.position)
        if key in self.points:
            return
        self.points[key] = Point(
            within=run.within,
            position=step.position,
            reference=step.reference,
            iteration=step.iteration,
            workflow=run.execution.workflow_name,
            order=self.order_of(run, step),
        )
        self.first_rounds[key] = self.round


def _loop_conditions(graph: Graph) -> frozenset[str]:
    return frozenset(
        node.step.loop_condition for node in graph.nodes.values() if node.step.loop_condition
    )
