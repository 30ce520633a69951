"""Processes that die between any two commits, doubled messages, and the journal (§13).

Both plays of a pair make the same calls in the same order; one of them loses every decision once
before it is stored, and rings twice after it. What every participant did in the end is the same.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.engine.canonical import digest
from orchestrator.engine.outcomes import Failed, Outcome, Succeeded, Unknown
from orchestrator.engine.snapshot import AttemptEnded, Claimed, UndoRequested
from tests.model import replay
from tests.model.budget import BUDGET
from tests.model.growing import workflows
from tests.model.machine import SagaMachine, finish
from tests.model.stage import Stage

if TYPE_CHECKING:
    from orchestrator.engine.snapshot import Input
    from tests.model.trees import Workflow
    from tests.unit.engine.driver import Run

FEW = settings(BUDGET, max_examples=max(10, BUDGET.max_examples // 5))
SEEDS = st.integers(0, 2**16)


class Falling(Stage):
    """A stage on which every process dies once before its commit, and every message comes twice."""

    def feed(self, run: Run, *inputs: Input) -> bool:
        """Decide, forget it, decide again and commit; ring once more for nothing."""
        run._decided(tuple(inputs), {}, ())
        claimed = super().feed(run, *inputs)
        again = tuple(item for item in inputs if isinstance(item, AttemptEnded | Claimed))
        run._decided(again, {}, ())
        super().feed(run)
        return claimed


def outcome(seed: int, key: str, number: int) -> Outcome:
    """Answer the same call alike, in whatever play it is made."""
    chance = hashlib.blake2b(f"{seed} {key} {number}".encode(), digest_size=1).digest()[0]
    if chance < 30:
        return Failed(reason="no")
    return Unknown(reason="who knows") if chance < 60 else Succeeded(output={"id": 1})


def played(stage: Stage, seed: int) -> Stage:
    """Play to the end, and have everything undone; what goes wrong hangs on the seed alone."""
    machine = SagaMachine()
    machine.stage = stage
    for _ in range(60):
        if not (open_ := machine.claimable()):
            break
        run, step = open_[seed % len(open_)]
        if not stage.claim(run, step):
            break
        call = stage.calls[-1]
        answer = outcome(seed, call.key, len(stage.calls))
        if isinstance(answer, Succeeded) and not stage.land(call):
            answer = Failed(reason="undone before it came", terminal=True)
        stage.answer(call, answer)
        for other in stage.runs:
            stage.deliver(other)
    finish(machine)
    stage.feed(stage.root, UndoRequested(actor="op", reason="undo it"))
    finish(machine)
    return stage


def books(stage: Stage) -> object:
    """Return what is left: what was really done and undone, and where every run and entry ended."""
    ends = [(run.execution.id, run.state, run.states(), run.ledger()) for run in stage.runs]
    return ends, stage.service.applied, stage.service.undone, stage.service.undos_by_key


@FEW
@given(workflows(), SEEDS)
def test_deaths_before_a_commit_and_doubled_messages_change_nothing(tree: Workflow, seed: int):
    """Invariants 42 and 44."""
    assert books(played(Falling(tree), seed)) == books(played(Stage(tree), seed))


@FEW
@given(workflows(), SEEDS)
def test_invariant_43_the_journal_tells_states_ledger_and_plans(tree: Workflow, seed: int):
    """Invariant 43, as far as the journal carries it: no inputs, outputs or columns of timers."""
    stage = played(Stage(tree), seed)

    for run in stage.runs:
        assert list(replay.differences(run)) == []


@FEW
@given(workflows(), SEEDS)
def test_plans_are_closed_and_bound_to_what_they_hold(tree: Workflow, seed: int):
    """Invariants 10 and 12; that they are closed is checked as each is stored."""
    stage = played(Stage(tree), seed)

    for run in stage.runs:
        for plan in run.plans:
            stored = plan.command
            assert stored.hash == digest([stored.entries, [list(edge) for edge in stored.edges]])
        assert len([plan for plan in run.plans if plan.state == "ACTIVE"]) <= 1
        assert len({plan.command.id for plan in run.plans}) == len(run.plans)


@FEW
@given(workflows(), SEEDS)
def test_invariant_19_an_undo_keeps_its_key_for_all_its_tries(tree: Workflow, seed: int):
    stage = played(Stage(tree), seed)

    for call in stage.calls:
        if call.is_undo:
            entry = call.run.runs[str(call.step.compensates)]
            keys = {
                other.key
                for other in stage.calls
                if other.step.id == call.step.id and other.step.round == call.step.round
            }
            assert keys == {call.key}
            assert call.key.startswith(f"c:{entry.id}:r")
