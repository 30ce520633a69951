"""A second trigger while a plan runs: the plan grows, it never shrinks (saga-semantics §5).

Invariants 8, 10 and 12 are also held by `checks` after every decision.
"""

from __future__ import annotations

from typing import Any

from orchestrator.engine import order
from orchestrator.engine.canonical import digest
from orchestrator.engine.outcomes import Failed, Succeeded, Unknown
from orchestrator.engine.snapshot import (
    Cancelled,
    Claimed,
    EntryActed,
    ParentSpoke,
    PlanConfirmed,
    PlanRejected,
    UndoRequested,
    VerdictReached,
)
from tests.unit.engine.definitions import child, fork, saga, undone
from tests.unit.engine.driver import Run, World

REFUSED = Failed(reason="no", terminal=True)
MANUAL = {"policy": "MANUAL"}
APPROVED = {"policy": "APPROVAL"}


def completed(*tasks: Any, work: str, settings: Any = None) -> Run:
    run = World().start(saga(*tasks, settings=settings))
    for reference in work.split():
        run.work(reference)
    assert run.state == "COMPLETED"
    return run


def request(run: Run, *entries: str, actor: str = "op", override: bool = False) -> None:
    chosen = frozenset(run.step(name).id for name in entries) if entries else None
    run.feed(UndoRequested(actor=actor, reason=f"by {actor}", entries=chosen, override=override))


def act(run: Run, action: str, reference: str) -> None:
    entry = run.step(reference)
    run.feed(EntryActed(entry_id=entry.id, action=action, actor="ann", reason="because"))


def claimable(run: Run) -> list[str]:
    return sorted(step.reference for step in run.claimable())


def hold_plan(run: Run) -> None:
    """Invariants 7 and 12: one active plan, acyclic, whose hash is that of what it holds."""
    active = [plan.command for plan in run.plans if plan.state == "ACTIVE"]
    assert len(active) == 1
    plan = active[0]
    assert plan.hash == digest([plan.entries, [list(edge) for edge in plan.edges]])
    assert order.is_acyclic([entry["id"] for entry in plan.entries], plan.edges)
    assert plan.number == len(run.plans)


def test_more_entries_make_a_larger_plan_with_a_new_fence():
    run = completed(undone("a"), undone("b"), undone("c"), work="a b c")
    request(run, "c")
    taken = run.claimable()[0]
    run.feed(Claimed(step_run_id=taken.id, worker="w"))
    fence, first = run.execution.fence, run.plans[0].command
    request(run, "b", "c", actor="eve")

    hold_plan(run)
    second = run.plans[1].command
    assert [plan.state for plan in run.plans] == ["EXTENDED", "ACTIVE"]
    assert {entry["id"] for entry in first.entries} < {entry["id"] for entry in second.entries}
    assert second.hash != first.hash
    assert run.execution.fence == fence + 1
    assert run.ledger() == {"a": "ARMED", "b": "PLANNED", "c": "RUNNING"}
    # The undo that is under way keeps its lease, round and key.
    assert run.runs[taken.id].attempt_id == taken.attempt_id
    run.end(run.runs[taken.id], Succeeded())
    run.work("un_b")
    assert (run.state, run.ledger()["a"]) == ("PARTIALLY_COMPENSATED", "ARMED")


def test_what_is_settled_stays_in_the_larger_plan_and_holds_nobody_back():
    run = completed(undone("a"), undone("b"), undone("c", undo=MANUAL), work="a b c")
    request(run, "b", "c")
    act(run, "SKIP", "c")
    run.work("un_b")
    assert run.state == "PARTIALLY_COMPENSATED"
    request(run, "c")
    request(run)

    hold_plan(run)
    names = [entry["taskReferenceName"] for entry in run.plans[-1].command.entries]
    assert names == ["c", "a"]
    # `b` is undone and out of the plan, but `a` still waits for `c`, which came after it.
    assert claimable(run) == []
    act(run, "RESOLVE", "c")
    run.work("un_a")
    assert run.state == "PARTIALLY_COMPENSATED"


def test_nothing_to_add_changes_nothing():
    run = completed(undone("a"), undone("b"), work="a b")
    request(run)
    decision = run.feed(UndoRequested(actor="eve", reason="again"))
    assert decision.is_empty
    assert run.feed(Cancelled(compensate=True, actor="eve", reason="again")).is_empty
    assert len(run.plans) == 1


def test_a_cancel_with_undo_asks_for_all_of_it():
    run = completed(undone("a"), undone("b"), work="a b")
    request(run, "b")
    run.feed(Cancelled(compensate=True, actor="eve", reason="all of it"))
    assert run.plans[1].command.trigger == "CANCEL"
    run.work("un_b")
    run.work("un_a")
    assert (run.state, run.execution.outcome) == ("COMPENSATED", "COMPLETED")


def test_a_cancel_without_undo_takes_nothing_away():
    run = completed(undone("a"), undone("b"), work="a b")
    request(run, "b")
    assert run.feed(Cancelled(compensate=False, actor="eve", reason="stop")).is_empty


def test_an_undo_that_was_not_sent_waits_for_what_is_added_after_it():
    """Invariant 8: `a` is free to go when `b`, waived before, is wanted after all."""
    run = completed(undone("a", undo=APPROVED), undone("b", undo=MANUAL), work="a b")
    request(run)
    act(run, "SKIP", "b")
    assert run.ledger() == {"a": "AWAITING_APPROVAL", "b": "SKIPPED"}
    request(run, "b")
    assert (run.ledger()["b"], run.step("b").round) == ("MANUAL", 1)

    entry = run.step("a")
    assert entry.approval_id is not None
    run.feed(
        VerdictReached(
            entry_id=entry.id, approval_id=entry.approval_id, verdict="APPROVED", actor="fin"
        )
    )
    assert (run.ledger()["a"], claimable(run), run.state) == ("READY", [], "NEEDS_ATTENTION")
    act(run, "RETRY", "b")
    run.work("un_b")
    run.work("un_a")
    assert run.state == "COMPENSATED"


def test_parallel_branches_join_the_plan_without_waiting_for_each_other():
    run = completed(
        undone("a"), fork("f", [undone("b")], [undone("c")]), undone("d"), work="a b c d"
    )
    request(run, "d")
    request(run, "d", "b")
    request(run)
    hold_plan(run)
    assert len(run.plans) == 3
    run.work("un_d")
    assert claimable(run) == ["un_b", "un_c"]
    run.work("un_b")
    assert claimable(run) == ["un_c"]
    run.work("un_c")
    run.work("un_a")
    assert run.state == "COMPENSATED"


def test_serial_mode_still_sends_one_at_a_time():
    run = completed(
        fork("f", [undone("b")], [undone("c")]), work="b c", settings={"mode": "SERIAL"}
    )
    request(run, "b")
    request(run)
    assert claimable(run) == ["un_b"]
    run.work("un_b")
    assert claimable(run) == ["un_c"]
    run.work("un_c")
    assert run.state == "COMPENSATED"


def test_a_failed_undo_that_lets_others_go_does_so_in_the_larger_plan():
    tasks = (undone("a"), undone("b"), undone("c", undo={"onFailure": "CONTINUE"}))
    run = completed(*tasks, work="a b c")
    request(run, "c", "b")
    run.work("un_c", REFUSED)
    assert claimable(run) == ["un_b"]
    request(run)
    assert claimable(run) == ["un_b"]
    run.work("un_b")
    run.work("un_a")
    assert run.state == "NEEDS_ATTENTION"
    act(run, "RESOLVE", "c")
    assert run.state == "PARTIALLY_COMPENSATED"


def test_a_failed_undo_holds_back_what_is_added_before_it():
    run = completed(undone("a"), undone("b"), work="a b")
    request(run, "b")
    run.work("un_b", REFUSED)
    assert run.state == "NEEDS_ATTENTION"
    request(run)
    assert claimable(run) == []
    act(run, "RETRY", "b")
    run.work("un_b")
    run.work("un_a")
    assert run.state == "COMPENSATED"


def test_an_outcome_that_somebody_must_tell_first_is_left_out():
    unsafe = {"safeIfNotApplied": False}
    run = World().start(
        saga(undone("a"), undone("b", undo=unsafe, optional=True, onUnknown=["ASK"]), undone("c"))
    )
    run.work("a")
    run.work("b", Unknown(reason="?"))
    run.work("c")
    assert run.state == "COMPLETED"
    request(run, "c")
    assert run.state == "COMPENSATING"
    request(run)
    hold_plan(run)
    assert run.ledger()["b"] == "UNCERTAIN"
    assert len(run.plans[-1].command.entries) == 2


def test_each_entry_keeps_the_trigger_that_brought_it_in():
    """Who asked for an undo must not approve it because somebody else has more undone (§7)."""
    run = completed(undone("a", undo=APPROVED), undone("b", undo=APPROVED), work="a b")
    request(run, "b", actor="ann")
    request(run, actor="bob")
    asked = {request.reference: request.triggered_by for request in run.approvals.values()}
    assert asked == {"b": "ann"}
    entry = run.step("b")
    run.feed(
        VerdictReached(
            entry_id=entry.id, approval_id=entry.approval_id or "", verdict="SKIP", actor="fin"
        )
    )
    asked = {request.reference: request.triggered_by for request in run.approvals.values()}
    assert asked == {"a": "bob", "b": "ann"}


def test_a_plan_that_waits_grows_and_is_looked_at_again():
    settings = {"confirmPlan": "ALWAYS"}
    run = completed(undone("a"), undone("b"), work="a b", settings=settings)
    request(run, "b")
    seen = run.plans[0].command.hash
    request(run)
    hold_plan(run)
    assert run.state == "PLANNING"
    assert run.feed(PlanConfirmed(hash=seen, actor="op", reason="")).refused == (seen,)
    run.feed(PlanConfirmed(hash=run.plans[1].command.hash, actor="op", reason=""))
    run.work("un_b")
    run.work("un_a")
    assert run.state == "COMPENSATED"


def test_a_plan_that_has_grown_is_rejected_whole():
    settings = {"confirmPlan": "ALWAYS"}
    run = completed(undone("a"), undone("b"), work="a b", settings=settings)
    request(run, "b")
    request(run)
    run.feed(PlanRejected(hash=run.plans[1].command.hash, actor="boss", reason="no"))
    assert (run.state, run.ledger()) == ("COMPLETED", {"a": "ARMED", "b": "ARMED"})


def test_the_parents_plan_takes_in_what_the_childs_own_left_out():
    world = World()
    world.register(saga(undone("x"), undone("y"), name="kid"))
    run = world.start(saga(child("sub", "kid"), undone("b")))
    kid = next(each for each in world.all.values() if each is not run)
    kid.work("x")
    kid.work("y")
    world.settle()
    request(kid, "y")
    run.work("b", REFUSED)
    world.settle()
    assert len(kid.plans) == 2
    kid.work("un_y")
    kid.work("un_x")
    world.settle()
    assert (kid.state, run.state) == ("COMPENSATED", "COMPENSATED")


def test_told_by_its_parent_twice_a_child_goes_on():
    run = completed(undone("a"), work="a")
    request(run)
    assert run.feed(ParentSpoke(undo=True, stop=False, reason="again")).is_empty
