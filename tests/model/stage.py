"""The engine on a stage: its executions, the services it calls, and the model looking on.

Every input goes through `feed`, which tells the model what the world did and compares after the
commit. A call in the air lands when the play says so, perhaps after its lease has gone.
"""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import TYPE_CHECKING

from orchestrator.engine import keys
from orchestrator.engine.outcomes import Failed, Outcome, Succeeded, Unknown, Waiting
from orchestrator.engine.snapshot import (
    AttemptEnded,
    Claimed,
    Input,
    RetryRequested,
    StepDue,
    StepRun,
    StepSettled,
    TimerDue,
)
from orchestrator.engine.states import Direction, EntryState, StepState
from tests.model import promises, replay, writing
from tests.model.facts import Known
from tests.model.following import RUNS_ON, Followed
from tests.model.observing import positions, see
from tests.model.services import Service
from tests.unit.engine.driver import Run, World

if TYPE_CHECKING:
    from tests.model.trees import Workflow
    from tests.model.view import SeenRun


@dataclasses.dataclass
class Call:
    """A call that a worker made: what it carries, and whether it has arrived."""

    run: Run
    step: StepRun
    key: str
    forward_key: str
    landed: bool = False

    @property
    def is_undo(self) -> bool:
        """Whether it undoes something."""
        return self.step.direction is Direction.COMPENSATION


class Stage:
    """One play: a tree, its executions, and everything that happens to them."""

    def __init__(self, tree: Workflow) -> None:
        self.trees = {tree.name: tree}
        self.world = World()
        for child in writing.called(tree):
            self.trees[child.name] = child
            self.world.register(writing.document(child))
        self.service = Service()
        self.calls: list[Call] = []
        self.models: dict[str, Followed] = {}
        self.seen: dict[str, SeenRun] = {}
        self.wrong_about: set[str] = set()
        self.root = self.world.start(writing.document(tree))
        self.look()

    # ---- one commit ----

    def feed(self, run: Run, *inputs: Input) -> bool:
        """Commit a decision, and compare; True if something was claimed."""
        known = {
            item.step_run_id: self._told(run, item)
            for item in inputs
            if isinstance(item, AttemptEnded | StepDue)
        }
        runs_on = run.state.value in RUNS_ON
        decision = run.feed(*inputs)
        model = self.models[run.execution.id]
        for key, told in known.items():
            if told is not None:
                model.steps[key].ended(told, stopped=not runs_on)
        for item in inputs:
            self._people(run, item)
        for step in decision.claimed:
            self._called(run, step)
        self.look()
        return bool(decision.claimed)

    def look(self) -> None:
        """Compare every execution with its model and with what must always hold."""
        broken: list[str] = []
        for run in list(self.world.all.values()):
            key = run.execution.id
            if key not in self.models:
                tree = self.trees[run.execution.workflow_name]
                self.models[key] = Followed(tree, positions(tree))
            model = self.models[key]
            was, now = self.seen.get(key), see(run, model.positions)
            broken += promises.at_rest(now)
            broken += replay.differences(run)
            if was is not None:
                broken += promises.from_to(was, now)
            broken += model.compare(was, now)
            self.seen[key] = now
        assert not broken, "\n".join(broken)

    def _told(self, run: Run, item: AttemptEnded | StepDue) -> Known | None:
        """What an input tells about the attempt in flight, if it is about that one."""
        step = run.runs.get(item.step_run_id)
        if step is None or step.id not in self.models[run.execution.id].steps:
            return None
        if isinstance(item, StepDue):
            is_due = step.due_at is not None and step.due_at <= self.world.now
            lost = is_due and step.state is StepState.DISPATCHED
            return Known.UNKNOWN if lost else None
        in_flight = step.state in {StepState.DISPATCHED, StepState.WAITING}
        if item.attempt_id != step.attempt_id or not in_flight:
            self._maybe_late(run, step, item.outcome)
            return None
        if isinstance(item.outcome, Waiting):
            self.models[run.execution.id].steps[step.id].state = "WAITING"
            return None
        return Known.NOTHING_DONE if item.cancelled else known_of(item.outcome)

    def _maybe_late(self, run: Run, step: StepRun, outcome: Outcome) -> None:
        """A late success settles a doubt, or waits as a late effect (§12)."""
        if isinstance(outcome, Succeeded):
            model = self.models[run.execution.id].steps[step.id]
            model.maybe_late = model.state == "UNKNOWN"

    def _people(self, run: Run, item: Input) -> None:
        model = self.models[run.execution.id]
        if isinstance(item, StepSettled) and item.step_run_id in model.steps:
            step = model.steps[item.step_run_id]
            if step.state == "UNKNOWN":
                step.said_by_person = True
                step.state = "COMPLETED" if item.applied else "FAILED"
                step.attempts = [Known.APPLIED if item.applied else Known.NOT_APPLIED]
        if isinstance(item, RetryRequested) and run.state.value in RUNS_ON:
            for step in model.steps.values():
                is_present = step.epoch == run.execution.epoch
                if (
                    is_present
                    and step.state in {"FAILED", "UNKNOWN", "CANCELLED"}
                    and not (step.node.optional and step.state in {"UNKNOWN", "FAILED"})
                ):
                    step.again()

    # ---- workers ----

    def _called(self, run: Run, step: StepRun) -> None:
        taken = run.runs[step.id]
        model = self.models[run.execution.id]
        if step.direction is Direction.FORWARD:
            if step.id in model.steps:
                model.steps[step.id].state = "DISPATCHED"
            key = keys.forward_key(run.execution.id, step.position, step.epoch)
            self.calls.append(Call(run, taken, key, key))
            return
        entry = run.runs[str(step.compensates)]
        is_first = entry.undo_attempts == 0 and not any(
            call.step.id == step.id for call in self.calls
        )
        stale = is_first and entry.approval_id in self.world.stale_approvals
        assert not stale, f"30: {entry.position} was sent with an approval that does not hold"
        tasks = run.node(entry).step.compensation
        several = tasks is not None and len(tasks.tasks) > 1
        key = keys.undo_key(entry.id, entry.round, step.reference if several else "")
        forward = keys.forward_key(run.execution.id, entry.position, entry.epoch)
        self.calls.append(Call(run, taken, key, forward))

    def land(self, call: Call) -> bool:
        """Let a call arrive; False if the service refuses it for good."""
        if call.is_undo:
            call.landed = True
            if is_last_part(call):
                self.service.undo(call.key, call.forward_key)
            return True
        call.landed = self.service.forward(call.key)
        return call.landed

    def claim(self, run: Run, step: StepRun) -> bool:
        """Let a worker take a step."""
        return self.feed(run, Claimed(step_run_id=step.id, worker="w"))

    def answer(self, call: Call, outcome: Outcome, *, nothing_done: bool = False) -> None:
        """Report on a call; also on one whose lease has gone."""
        if isinstance(outcome, Failed) and not outcome.partial:
            # A service that said no has dealt with this copy of the call; it cannot land any more.
            self.calls.remove(call)
        self.feed(
            call.run,
            AttemptEnded(
                step_run_id=call.step.id,
                attempt_id=call.step.attempt_id,
                outcome=outcome,
                cancelled=nothing_done,
            ),
        )

    def is_current(self, call: Call) -> bool:
        """Whether its lease still holds."""
        step = call.run.runs[call.step.id]
        return step.state is StepState.DISPATCHED and step.attempt_id == call.step.attempt_id

    # ---- time ----

    def pass_time(self, seconds: float) -> None:
        """Move the clock, and fire what has come due; late, but never early."""
        self.world.now += timedelta(seconds=seconds)
        for run in list(self.world.all.values()):
            for purpose, subject in sorted(run.timers):
                due_at = run.timers.get((purpose, subject))
                if due_at is not None and due_at <= self.world.now:
                    self._fire(run, purpose, subject)
            for step in run.dispatched():
                if step.due_at is not None and step.due_at <= self.world.now:
                    self.feed(run, StepDue(step_run_id=step.id))

    def _fire(self, run: Run, purpose: str, subject: str) -> None:
        if purpose == "QUIESCE":
            # Who has not answered until now becomes UNKNOWN (§3, STOPPING).
            for model in self.models[run.execution.id].steps.values():
                if model.state in {"DISPATCHED", "WAITING"}:
                    model.ended(Known.UNKNOWN, stopped=True)
        self.feed(run, TimerDue(purpose=purpose, subject=subject))

    # ---- messages ----

    def deliver(self, run: Run) -> None:
        """Hand over what other executions sent; or ring once more for nothing."""
        self.feed(run)

    # ---- reading ----

    @property
    def runs(self) -> list[Run]:
        """Every execution, oldest first."""
        return list(self.world.all.values())

    def entries(self, *states: EntryState) -> list[tuple[Run, StepRun]]:
        """Return entries that stand in one of these states."""
        return [
            (run, step)
            for run in self.runs
            for step in run.runs.values()
            if step.entry_state in states
        ]


def known_of(outcome: Outcome) -> Known:
    """Return what an outcome says about the effect (§2.2)."""
    match outcome:
        case Succeeded():
            return Known.APPLIED
        case Failed(partial=True):
            return Known.PARTIAL
        case Failed(terminal=True):
            return Known.TERMINAL
        case Failed():
            return Known.NOT_APPLIED
        case Unknown():
            return Known.UNKNOWN
        case _:
            raise AssertionError(outcome)


def is_last_part(call: Call) -> bool:
    """Whether an undo call is the last of its entry's: the one that really takes back."""
    entry = call.run.runs[str(call.step.compensates)]
    compensation = call.run.node(entry).step.compensation
    return compensation is None or compensation.tasks[-1].reference == call.step.reference
