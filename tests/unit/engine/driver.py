"""Executions in memory: `decide` with a store of dictionaries, for tests without a database.

Commits like the real store: a decision is applied whole, what it lacks is loaded and asked again.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from orchestrator.engine import decide as deciding
from orchestrator.engine.commands import (
    ChangeAttempt,
    ClearTimer,
    CloseApproval,
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
from orchestrator.engine.definition import document
from orchestrator.engine.definition.branches import branches_of
from orchestrator.engine.definition.graph import (
    ENGINE_TYPES,
    Graph,
    Node,
    compile_definition,
)
from orchestrator.engine.definition.model import TaskPolicy
from orchestrator.engine.outcomes import Outcome, Succeeded
from orchestrator.engine.snapshot import (
    Answer,
    AttemptEnded,
    ChildReported,
    ChildVersion,
    Claimed,
    ExecutionView,
    Input,
    ParentSpoke,
    PlanView,
    RetryRequested,
    Snapshot,
    StepDue,
    StepRun,
    TimerDue,
)
from orchestrator.engine.states import Direction, ExecutionState, ForwardResult, StepState
from tests.unit.engine import checks

if TYPE_CHECKING:
    from orchestrator.engine.events import Event

START = datetime(2026, 1, 1, tzinfo=UTC)
Evaluate = Callable[[Question], Answer]


def unanswerable(question: Question) -> Answer:
    """Fail a test that needs a script without saying what it comes to."""
    raise AssertionError(f"no answer for {question.expression!r}")


def graph_of(definition: dict[str, Any]) -> Graph:
    """Parse and compile a definition that must be sound."""
    result = document.parse(definition, inline=True)
    errors = [problem for problem in result.problems if problem.severity == "error"]
    assert not errors, errors
    assert result.definition is not None
    return compile_definition(result.definition)


@dataclass
class Plan:
    """A stored plan."""

    command: StorePlan
    state: str = "ACTIVE"


@dataclass
class Run:
    """One execution in memory."""

    world: World
    graph: Graph
    execution: ExecutionView
    runs: dict[str, StepRun] = field(default_factory=dict)
    attempts: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    timers: dict[tuple[str, str], datetime] = field(default_factory=dict)
    plans: list[Plan] = field(default_factory=list)
    approvals: dict[str, OpenApproval] = field(default_factory=dict)
    notices: list[Input] = field(default_factory=list)
    late: list[RecordLate] = field(default_factory=list)
    decisions: int = 0
    needs_seen: list[Needs] = field(default_factory=list)

    # ---- reading ----

    @property
    def state(self) -> ExecutionState:
        return self.execution.state

    def step(self, reference: str, direction: Direction = Direction.FORWARD) -> StepRun:
        """Return the newest step run of a reference."""
        found = [
            run
            for run in self.runs.values()
            if run.reference == reference and run.direction is direction
        ]
        assert found, f"no step run of {reference}"
        return max(found, key=lambda run: run.seq)

    @property
    def tasks(self) -> list[dict[str, Any]]:
        """Return the tasks of the document, with what its dynamic forks were given."""
        found: Any = self.graph.definition.document["tasks"]
        return list(found)

    def states(self) -> dict[str, str]:
        """Return the state of each forward step run by position."""
        return {
            run.position: run.state.value
            for run in sorted(self.runs.values(), key=lambda run: run.seq)
            if run.direction is Direction.FORWARD
        }

    def ledger(self) -> dict[str, str]:
        """Return the entries by position."""
        return {
            run.position: run.entry_state.value
            for run in sorted(self.runs.values(), key=lambda run: run.seq)
            if run.entry_state is not None
        }

    def claimable(self) -> list[StepRun]:
        """Return what a worker could take now."""
        found = []
        for run in self.runs.values():
            ready = run.state in (StepState.SCHEDULED, StepState.RETRY_WAIT) or (
                run.state is StepState.WAITING and run.due_at is not None and run.type != "WAIT"
            )
            if ready and run.type not in ENGINE_TYPES and (run.due_at or START) <= self.world.now:
                found.append(run)
        return sorted(found, key=lambda run: run.seq)

    def dispatched(self) -> list[StepRun]:
        """Return what workers hold."""
        return [run for run in self.runs.values() if run.state is StepState.DISPATCHED]

    # ---- acting ----

    def feed(self, *inputs: Input, claim: tuple[str, ...] = ()) -> Decision:
        """Decide with these inputs until nothing is missing; apply; answer scripts; go on."""
        taken = (*self.notices, *inputs)
        self.notices = []
        answers: dict[str, Answer] = {}
        while True:
            decision = self._decided(taken, answers, claim)
            before = dict(self.runs), self.execution
            self._apply(decision)
            checks.check(self)
            checks.check_moves(self, before[0], before[1], decision)
            taken, claim = (), ()
            unanswered = {q.id: q for q in decision.questions if q.id not in answers}
            if not unanswered and self.execution.wake_at is None:
                self._decide_once_more(answers)
                return decision
            answers |= {key: self.world.evaluate(q) for key, q in unanswered.items()}

    def _decide_once_more(self, answers: Mapping[str, Answer]) -> None:
        """Hold decide to its word: deciding again on a stored decision gives nothing."""
        again = self._decided((), answers, ())
        assert again.is_empty, (again.changed, again.events, again.commands)

    def node(self, run: StepRun) -> Node:
        """Return the step of a step run."""
        graph = self.graph if run.defined_by is None else self._branches(run.defined_by)
        return graph.nodes[run.reference]

    def _decided(
        self, inputs: tuple[Input, ...], answers: Mapping[str, Answer], claim: tuple[str, ...]
    ) -> Decision:
        needs = Needs()
        for _ in range(50):
            snapshot = self._snapshot(needs, answers)
            before = copy.deepcopy((snapshot.execution, snapshot.runs))
            decision = deciding.decide(
                self.graph, snapshot, inputs, claim=claim, claim_limit=10, worker="driver"
            )
            self.decisions += 1
            assert (snapshot.execution, snapshot.runs) == before, "decide changed its input"
            if decision.needs is None:
                return decision
            _merge(needs, decision.needs)
            self.needs_seen.append(decision.needs)
        raise AssertionError(f"decide is never satisfied: {needs}")

    def _snapshot(self, needs: Needs, answers: Mapping[str, Answer]) -> Snapshot:
        forward = sorted(
            (run for run in self.runs.values() if run.direction is Direction.FORWARD),
            key=lambda run: run.seq,
        )
        chosen = {key: run for key, run in self.runs.items() if key in needs.runs}
        if needs.in_motion:
            chosen |= {key: run for key, run in self.runs.items() if not run.state.is_settled}
        if needs.whole:
            light = {
                key: replace(run, input={}, output=None, is_light=True)
                for key, run in self.runs.items()
                if key not in chosen
            }
            chosen |= light
        for _, references, _ in needs.rounds:
            chosen |= {run.id: run for run in forward if run.reference in references}
        chosen |= {key: run for key, run in self.runs.items() if run.compensates in needs.attached}
        latest: dict[str, StepRun | None] = dict.fromkeys(needs.references)
        latest |= {
            run.reference: run
            for run in forward
            if run.reference in needs.references and run.cut_epoch is None
        }
        before: dict[tuple[str, int], StepRun | None] = dict.fromkeys(needs.before)
        epochs = {run.seq: run.epoch for run in forward}
        for reference, seq in needs.before:
            for run in forward:
                is_cut = run.cut_epoch is not None and run.cut_epoch <= epochs[seq]
                if run.reference == reference and run.seq < seq and not is_cut:
                    before[reference, seq] = run
        active = [plan.command for plan in self.plans if plan.state == "ACTIVE"]
        return Snapshot(
            now=self.world.now,
            execution=self.execution,
            runs=chosen,
            latest=latest,
            latest_before=before,
            in_motion=needs.in_motion,
            whole=needs.whole,
            rounds={position: True for position, _, _ in needs.rounds},
            attached=frozenset(needs.attached),
            dynamic={key: self._branches(key) for key in needs.dynamic},
            children={key: self.world.child(*key) for key in needs.children},
            inline_children={
                key: self.world.inline_child(key, raw) for key, raw in needs.inline_children.items()
            },
            answers=answers,
            policies={name: TaskPolicy(name=name) for name in needs.policies} | self.world.policies,
            queues=self.world.queues,
            approvals={key: key not in self.world.stale_approvals for key in needs.approvals},
            polled={name: self.world.polled.get(name, ()) for name in needs.polled},
            owners={key: self.world.owners.get(key) for key in needs.owners},
            plan=PlanView(
                id=active[0].id,
                hash=active[0].hash,
                trigger=active[0].trigger,
                reason=active[0].reason,
                triggered_by=active[0].triggered_by,
                entries=tuple(entry["id"] for entry in active[0].entries)
                if needs.plan_entries
                else None,
            )
            if active
            else None,
        )

    def _branches(self, fork_id: str) -> Graph:
        fork = self.runs[fork_id]
        graph = self.graph if fork.defined_by is None else self._branches(fork.defined_by)
        return branches_of(graph, fork.reference, fork.dynamic or [])

    def _apply(self, decision: Decision) -> None:
        self.execution = decision.execution
        for run in decision.created:
            assert run.id not in self.runs, f"{run.position} created twice"
            self.runs[run.id] = copy.copy(run)
        for run, names in decision.updated:
            changes = {name: copy.deepcopy(getattr(run, name)) for name in names}
            self.runs[run.id] = replace(self.runs[run.id], **changes)
        self.events.extend(decision.events)
        for command in decision.commands:
            self._perform(command)

    def _perform(self, command: object) -> None:  # noqa: C901 - one case per command
        match command:
            case StartAttempt(attempt_id=key):
                assert key not in self.attempts, "an attempt was started twice"
                self.attempts[key] = {
                    "state": command.state,
                    "run": command.step_run_id,
                    "number": command.number,
                    "callback_after": command.callback_after,
                }
            case ChangeAttempt(attempt_id=key, changes=changes):
                self.attempts[key].update(changes)
            case RecordLate():
                self.late.append(command)
            case SetTimer(purpose=purpose, subject=subject, due_at=due_at):
                self.timers[purpose, subject] = due_at
            case ClearTimer(purpose=purpose, subject=subject):
                self.timers.pop((purpose, subject), None)
            case StorePlan():
                assert not [plan for plan in self.plans if plan.state == "ACTIVE"]
                self.plans.append(Plan(command))
            case EndPlan(id=key, state=state):
                next(plan for plan in self.plans if plan.command.id == key).state = state
            case OpenApproval(id=key):
                self.approvals[key] = command
            case CloseApproval(id=key):
                self.approvals.pop(key, None)
            case StartChild():
                self.world.start_child(self, command)
            case SendNotice():
                self.world.deliver(command)
            case _:
                raise AssertionError(command)

    def work(self, reference: str, outcome: Outcome | None = None) -> StepRun:
        """Claim the claimable step run of a reference and report on it."""
        run = next(run for run in self.claimable() if run.reference == reference)
        self.feed(Claimed(step_run_id=run.id, worker="w"))
        taken = self.runs[run.id]
        assert taken.state is StepState.DISPATCHED, taken.state
        self.end(taken, outcome or Succeeded(output={"of": reference}))
        return self.runs[run.id]

    def end(self, run: StepRun, outcome: Outcome) -> None:
        """Report the end of a step run's present attempt."""
        self.feed(AttemptEnded(step_run_id=run.id, attempt_id=run.attempt_id, outcome=outcome))

    def fire(self) -> None:
        """Fire every timer and lease that is due."""
        for (purpose, subject), due_at in sorted(self.timers.items()):
            if due_at <= self.world.now and (purpose, subject) in self.timers:
                self.feed(TimerDue(purpose=purpose, subject=subject))
        for run in self.dispatched():
            if run.due_at is not None and run.due_at <= self.world.now:
                self.feed(StepDue(step_run_id=run.id))


@dataclass
class World:
    """Executions, the clock, workers' queues and scripts."""

    evaluate: Evaluate = unanswerable
    queues: dict[tuple[str, str], str] = field(default_factory=dict)
    policies: dict[str, TaskPolicy] = field(default_factory=dict)
    stale_approvals: set[str] = field(default_factory=set)
    """Approvals that do not hold any more for what would be sent."""
    polled: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Task name → domains that workers have asked for lately."""
    owners: dict[str, str] = field(default_factory=dict)
    """Effect id → execution outside this world that keeps the effect."""
    inline: dict[str, str] = field(default_factory=dict)
    """Digest of an inline definition that cannot be used → why."""
    now: datetime = START
    all: dict[str, Run] = field(default_factory=dict)
    graphs: dict[str, Graph] = field(default_factory=dict)

    def register(self, definition: dict[str, Any]) -> Graph:
        """Make a definition known as a sub-workflow."""
        graph = graph_of(definition)
        self.graphs[definition["name"]] = graph
        return graph

    def start(self, definition: dict[str, Any], **given: Any) -> Run:
        """Start an execution and take its first decision."""
        return self._start(
            graph_of(definition), f"{len(self.all) + 1:08d}-0000-7000-8000-000000000000", given
        )

    def _start(self, graph: Graph, execution_id: str, given: dict[str, Any], **columns: Any) -> Run:
        execution = ExecutionView(
            id=execution_id,
            root_id=columns.pop("root_id", execution_id),
            workflow_name=graph.definition.name,
            version_number=1,
            is_saga=graph.is_saga,
            input=given,
            created_at=self.now,
            **columns,
        )
        run = Run(self, graph, execution)
        self.all[execution_id] = run
        run.feed()
        return run

    def child(self, name: str, version: int | None) -> ChildVersion | None:
        """Resolve a sub-workflow."""
        graph = self.graphs.get(name)
        if graph is None:
            return None
        return ChildVersion(
            version_id=1,
            workflow_name=name,
            number=version or 1,
            is_saga=graph.is_saga,
            has_undo=any(node.has_undo for node in graph.nodes.values()),
        )

    def inline_child(self, key: str, raw: Any) -> ChildVersion | str:
        """Resolve an inline definition."""
        if key in self.inline:
            return self.inline[key]
        self.graphs[f"inline {key}"] = graph = graph_of(raw)
        return ChildVersion(
            version_id=1,
            workflow_name=f"inline {key}",
            number=0,
            is_saga=graph.is_saga,
            has_undo=any(node.has_undo for node in graph.nodes.values()),
        )

    def start_child(self, parent: Run, command: StartChild) -> None:
        """Create a child; it takes its first decision at once, its notices wait for `settle`."""
        self._start(
            self.graphs[command.workflow_name],
            command.id,
            command.input,
            parent_id=parent.execution.id,
            parent_step_id=command.step_run_id,
        )

    def deliver(self, notice: SendNotice) -> None:
        """Put a notice into the receiver's box."""
        data = notice.data
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
        elif notice.kind == "RETRY":
            item = RetryRequested(
                actor=data["by"], reason=data["reason"], resume_children=True, by_parent=True
            )
        else:
            item = ParentSpoke(
                undo=bool(data.get("undo", True)),
                stop=notice.kind == "STOP",
                reason=data.get("reason", ""),
                override=bool(data.get("override")),
            )
        self.all[notice.execution_id].notices.append(item)

    def settle(self) -> None:
        """Deliver all notices until none is left."""
        while boxes := [run for run in self.all.values() if run.notices]:
            for run in boxes:
                run.feed()

    def pass_time(self, seconds: float) -> None:
        """Move the clock and fire what is due."""
        self.now += timedelta(seconds=seconds)
        for run in list(self.all.values()):
            run.fire()
        self.settle()


def _merge(needs: Needs, more: Needs) -> None:
    for name in Needs.__slots__:
        value = getattr(more, name)
        if isinstance(value, bool):
            setattr(needs, name, getattr(needs, name) or value)
        else:
            getattr(needs, name).update(value)
