"""Workers, services, people and accidents: everything that can happen to executions, at random.

Services are well behaved (saga-semantics §12): they know their calls by key, an undo for something
that never happened is remembered, and the call is refused afterwards.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

from orchestrator.engine.outcomes import Failed, Outcome, Succeeded, Unknown, Waiting
from orchestrator.engine.snapshot import (
    AttemptEnded,
    Cancelled,
    Claimed,
    EntryActed,
    Extended,
    Input,
    PauseSet,
    RetryRequested,
    StepDue,
    StepRun,
    StepSettled,
    UndoRequested,
    VerdictReached,
)
from orchestrator.engine.states import Direction, EntryState, ExecutionState, StepState

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.engine.driver import Run, World

E = ExecutionState


@dataclass
class Services:
    """What has really happened, by step run."""

    applied: Counter[str] = field(default_factory=Counter)
    undone: Counter[tuple[str, int]] = field(default_factory=Counter)
    refused: set[str] = field(default_factory=set)
    by_person: set[str] = field(default_factory=set)
    """Step runs about which a person has said that nothing happened."""

    def call(self, run: StepRun) -> bool:
        """Take a forward call; True if the effect is there afterwards."""
        if run.id in self.refused:
            return False
        self.applied[run.id] = 1
        return True

    def undo(self, run: StepRun) -> None:
        """Take an undo call."""
        assert run.compensates is not None
        self.refused.add(run.compensates)
        self.undone[run.compensates, run.round] += 1

    def left(self, run: StepRun) -> bool:
        """Tell whether the effect of a forward step run is still there."""
        was_undone = any(self.undone[run.id, round_] for round_ in range(run.round + 1))
        return bool(self.applied[run.id]) and not was_undone


@dataclass
class Player:
    """Plays a world at random; the same seed plays the same."""

    world: World
    random: Random
    services: Services = field(default_factory=Services)
    reports: list[tuple[Run, AttemptEnded]] = field(default_factory=list)
    landed: list[tuple[Run, AttemptEnded]] = field(default_factory=list)
    """Successes of calls that nobody knew to have landed, to be told later."""
    approved: set[str] = field(default_factory=set)
    faults: bool = True
    trouble: float = 0.3
    """How often a call does not simply succeed."""

    # ---- one thing happens ----

    def step(self) -> None:
        """Let one thing happen."""
        run = self.random.choice(list(self.world.all.values()))
        moves: list[Callable[[Run], None]] = [
            self._work,
            self._work,
            self._work,
            self._report,
            self._report,
            self._report,
        ]
        moves += [self._people, self._time, self._deliver]
        if self.random.random() < self.trouble:
            moves = [self._repeat, self._extend, self._lose, self._operator, self._tell_late]
        self.random.choice(moves)(run)

    def _work(self, run: Run) -> None:
        steps = run.claimable()
        if steps:
            chosen = self.random.choice(steps)
            run.feed(Claimed(step_run_id=chosen.id, worker="w"))

    def _report(self, run: Run) -> None:
        held = run.dispatched()
        if held:
            self.report(run, self.random.choice(held))

    def report(self, run: Run, step: StepRun) -> None:
        """Report on a step that a worker holds."""
        outcome = self._undo_outcome(step) if step.compensates else self._outcome(run, step)
        item = AttemptEnded(step_run_id=step.id, attempt_id=step.attempt_id, outcome=outcome)
        self.reports.append((run, item))
        run.feed(item)

    def _outcome(self, run: Run, step: StepRun) -> Outcome:
        has_trouble = self.faults and self.random.random() < self.trouble
        kind = self.random.choice("fftuuwp") if has_trouble else "s"
        is_there = bool(self.services.applied[step.id])
        if kind == "s" or (is_there and kind in "ftp"):
            return Succeeded(output={"n": 1}) if self.services.call(step) else Failed(reason="no")
        if kind == "w":
            return Waiting(callback_seconds=5)
        if kind == "u":
            if self.random.random() < 0.5 and self.services.call(step):
                self._will_tell(run, step)
            return Unknown(reason="who knows", timed_out=self.random.random() < 0.3)
        if kind == "p" and run.node(step).has_undo:
            return (
                Failed(reason="half", partial=True)
                if self.services.call(step)
                else Failed(reason="no")
            )
        return Failed(reason="no", terminal=kind == "t")

    def _will_tell(self, run: Run, step: StepRun) -> None:
        done = Succeeded(output={"n": 1})
        self.landed.append(
            (run, AttemptEnded(step_run_id=step.id, attempt_id=step.attempt_id, outcome=done))
        )

    def _undo_outcome(self, step: StepRun) -> Outcome:
        has_trouble = self.faults and self.random.random() < self.trouble
        kind = self.random.choice("fut") if has_trouble else "s"
        if kind == "s" or (kind == "u" and self.random.random() < 0.5):
            self._apply_undo(step)
        if kind == "s":
            return Succeeded()
        return (
            Unknown(reason="who knows")
            if kind == "u"
            else Failed(reason="no", terminal=kind == "t")
        )

    def _apply_undo(self, step: StepRun) -> None:
        if not step.reference.startswith("un2_"):
            self.services.undo(step)

    def _people(self, run: Run) -> None:
        found = self.questions(run)
        if found:
            run.feed(self.random.choice(found))

    def questions(self, run: Run) -> list[Input]:
        """Return what people are waited for to say."""
        found: list[Input] = []
        for step in run.runs.values():
            if step.type == "HUMAN" and step.state is StepState.WAITING:
                done = Succeeded()
                found.append(
                    AttemptEnded(
                        step_run_id=step.id, attempt_id=step.attempt_id, outcome=done, signal=True
                    )
                )
            if step.entry_state is EntryState.AWAITING_APPROVAL:
                found.append(self._verdict(step))
            if step.entry_state in (EntryState.COMPENSATION_FAILED, EntryState.MANUAL):
                found.append(self._act(step))
            if step.entry_state is EntryState.LATE_EFFECT:
                found.append(self._act_on_late_effect(run, step))
        for key in run.execution.frontier.get("questions", []):
            is_there = bool(self.services.applied[key])
            if not is_there:
                self.services.by_person.add(key)
                self.services.refused.add(key)
            output = {"n": 1} if is_there else None
            found.append(
                StepSettled(
                    step_run_id=key, applied=is_there, actor="eve", reason="", output=output
                )
            )
        if run.state is E.NEEDS_ATTENTION and "undo" not in run.execution.frontier:
            with_undo = self.random.random() < 0.7
            found.append(Cancelled(compensate=with_undo, actor="eve", reason="asked"))
        return found

    def _verdict(self, step: StepRun) -> VerdictReached:
        verdict = self.random.choice(["APPROVED", "APPROVED", "SKIP", "MANUAL"])
        assert step.approval_id is not None
        if verdict == "APPROVED":
            self.approved.add(step.approval_id)
        else:
            self.world.stale_approvals.add(step.approval_id)
        return VerdictReached(
            entry_id=step.id, approval_id=step.approval_id, verdict=verdict, actor="ann"
        )

    def _act(self, step: StepRun) -> EntryActed:
        action = self.random.choice(["RETRY", "RETRY", "SKIP", "RESOLVE", "TO_MANUAL"])
        return EntryActed(entry_id=step.id, action=action, actor="ann", reason="because")

    def _act_on_late_effect(self, run: Run, step: StepRun) -> EntryActed:
        can_begin = "undo" in run.execution.frontier or "late" in run.execution.frontier
        actions = ["RESOLVE", "HARMLESS", *(["RETRY"] * 4 if can_begin else [])]
        action = self.random.choice(actions)
        return EntryActed(entry_id=step.id, action=action, actor="ann", reason="because")

    def _time(self, _: Run) -> None:
        self.world.pass_time(self.random.choice([1, 10, 61, 100]))

    def _deliver(self, run: Run) -> None:
        run.feed()

    # ---- accidents and operators ----

    def _repeat(self, _: Run) -> None:
        if self.reports:
            other, item = self.random.choice(self.reports)
            other.feed(item)

    def _tell_late(self, _: Run) -> None:
        if self.landed:
            other, item = self.random.choice(self.landed)
            other.feed(item)

    def _extend(self, run: Run) -> None:
        for step in run.dispatched()[:1]:
            run.feed(Extended(step_run_id=step.id, attempt_id=step.attempt_id))

    def _lose(self, run: Run) -> None:
        held = run.dispatched()
        if held:
            step = self.random.choice(held)
            lands = step.direction is Direction.FORWARD and self.random.random() < 0.5
            if lands and self.services.call(step):
                self._will_tell(run, step)
            if step.due_at is not None:
                self.world.now = max(self.world.now, step.due_at)
                run.feed(StepDue(step_run_id=step.id))

    def _operator(self, run: Run) -> None:
        roll = self.random.random()
        is_root = run.execution.parent_id is None
        if roll < 0.2:
            run.feed(PauseSet(paused=not run.execution.paused, actor="op"))
        elif roll < 0.35 and is_root:
            run.feed(Cancelled(compensate=self.random.random() < 0.7, actor="op", reason="stop"))
        elif roll < 0.6 and run.state.is_terminal:
            run.feed(UndoRequested(actor="op", reason="undo it"))
        elif is_root and self.may_retry(run):
            run.feed(RetryRequested(actor="op", reason="again"))

    def may_retry(self, run: Run) -> bool:
        """Tell whether an operator may retry a run: nothing of it was ever dispatched for undo."""
        if run.state not in (E.FAILED, E.TIMED_OUT, E.TERMINATED):
            return False
        entries = [step for step in run.runs.values() if step.entry_state is not None]
        live_children = any(
            step.child_id
            and step.entry_state not in (EntryState.VOID, EntryState.TENTATIVE)
            and step.state is not StepState.COMPLETED
            for step in entries
        )
        return not run.plans and not live_children

    # ---- to the end ----

    def finish(self, limit: int = 3000) -> None:
        """Let everything come to an end: no more faults, people answer, time passes."""
        self.faults = False
        for _ in range(limit):
            if self._finish_one():
                continue
            if all(run.state.is_terminal for run in self.world.all.values()):
                return
            self.world.pass_time(120)
        states = {
            key: (run.state, run.states(), run.ledger(), run.execution.frontier)
            for key, run in self.world.all.items()
            if not run.state.is_terminal
        }
        raise AssertionError(f"never ends: {states}")

    def _finish_one(self) -> bool:
        for run in self.world.all.values():
            if run.notices:
                run.feed()
                return True
            if run.execution.paused:
                run.feed(PauseSet(paused=False, actor="op"))
                return True
            questions = self.questions(run)
            if questions:
                run.feed(questions[0])
                return True
            for step in run.claimable():
                # What was handed back may not be taken again once the run is stopping.
                if run.feed(Claimed(step_run_id=step.id, worker="w")).claimed:
                    return True
            if held := run.dispatched():
                self.report(run, held[0])
                return True
        return False


def player_of(world: World, seed: int) -> Player:
    """Return a player who makes little or much trouble."""
    random = Random(seed)  # noqa: S311 - a game, not a secret
    return Player(world, random, trouble=random.choice([0.05, 0.2, 0.5]))


def play(world: World, seed: int, steps: int) -> Player:
    """Play some steps, then let everything end."""
    player = player_of(world, seed)
    random = player.random
    for _ in range(steps):
        player.step()
    player.finish()
    for told, item in player.landed:
        told.feed(item)
    player.finish()
    # What has completed can be undone too.
    player.trouble = random.choice([0, 0.1, 0.3])
    for run in list(world.all.values()):
        if run.state.is_terminal and run.execution.parent_id is None:
            run.feed(UndoRequested(actor="op", reason="undo it"))
    player.faults = True
    for _ in range(steps):
        player.step()
    player.finish()
    return player
