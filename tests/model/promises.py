"""What must hold at each moment, by the numbers of saga-semantics §15.

`at_rest` looks at one moment; `from_to` at two that follow each other. Both answer with the
sentences of what is broken, each beginning with the number of its invariant: an empty list is
the promise kept.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

from tests.model.choice import held_back, reach
from tests.model.facts import SETTLED, STEP_SETTLED, UNDO_OPEN
from tests.model.paths import Place, before
from tests.model.view import TERMINAL, SeenEntry, SeenRun

Broken = Iterator[str]
BLOCKS_THE_END = UNDO_OPEN | {"LATE_EFFECT"}
IN_FLIGHT = frozenset({"SCHEDULED", "DISPATCHED", "WAITING", "RETRY_WAIT"})
LEGAL_RUN_MOVES: Mapping[str, frozenset[str]] = {
    "CREATED": frozenset({"RUNNING", "TERMINATED"}),
    "RUNNING": frozenset({"COMPLETED", "STOPPING", "NEEDS_ATTENTION"}),
    "STOPPING": frozenset(
        {"PLANNING", "NEEDS_ATTENTION", "RUNNING", "FAILED", "TIMED_OUT", "TERMINATED", "COMPLETED"}
    ),
    "PLANNING": frozenset({"COMPENSATING", "FAILED", "TIMED_OUT", "TERMINATED"}),
    "COMPENSATING": frozenset(
        {"COMPENSATED", "PARTIALLY_COMPENSATED", "RUNNING", "NEEDS_ATTENTION"}
    ),
    "NEEDS_ATTENTION": frozenset({"COMPENSATING", "PLANNING", "STOPPING", "RUNNING"}) | TERMINAL,
    "COMPLETED": frozenset({"PLANNING", "NEEDS_ATTENTION"}),
    "FAILED": frozenset({"PLANNING", "RUNNING", "NEEDS_ATTENTION"}),
    "TIMED_OUT": frozenset({"PLANNING", "RUNNING", "NEEDS_ATTENTION"}),
    "TERMINATED": frozenset({"PLANNING", "RUNNING", "NEEDS_ATTENTION"}),
    "COMPENSATED": frozenset({"NEEDS_ATTENTION"}),
    "PARTIALLY_COMPENSATED": frozenset({"PLANNING", "NEEDS_ATTENTION"}),
}
LEGAL_ENTRY_MOVES: Mapping[str, frozenset[str]] = {
    "TENTATIVE": frozenset({"ARMED", "UNCERTAIN", "VOID"}),
    "ARMED": frozenset({"PLANNED", "SEALED"}),
    "UNCERTAIN": frozenset({"ARMED", "VOID", "PLANNED"}),
    "VOID": frozenset({"LATE_EFFECT", "TENTATIVE"}),
    "SEALED": frozenset({"PLANNED"}),
    "PLANNED": frozenset(
        {"AWAITING_APPROVAL", "DELAYED", "MANUAL", "READY", "ARMED", "UNCERTAIN", "SEALED"}
    ),
    "AWAITING_APPROVAL": frozenset({"READY", "DELAYED", "SKIPPED", "MANUAL"}),
    "DELAYED": frozenset({"READY", "AWAITING_APPROVAL", "MANUAL"}),
    "READY": frozenset({"RUNNING", "AWAITING_APPROVAL", "MANUAL", "COMPENSATION_FAILED"}),
    "RUNNING": frozenset({"COMPENSATED", "RETRY_WAIT", "COMPENSATION_FAILED", "AWAITING_APPROVAL"}),
    "RETRY_WAIT": frozenset({"RUNNING", "COMPENSATION_FAILED"}),
    "COMPENSATION_FAILED": frozenset(
        {"READY", "AWAITING_APPROVAL", "SKIPPED", "RESOLVED_MANUALLY", "MANUAL", "COMPENSATED"}
    ),  # COMPENSATED: a definite late success of the same round (invariant 37)
    "MANUAL": frozenset({"RESOLVED_MANUALLY", "SKIPPED", "READY"}),
    "COMPENSATED": frozenset({"LATE_EFFECT"}),
    "SKIPPED": frozenset({"PLANNED"}),
    "RESOLVED_MANUALLY": frozenset(),
    "LATE_EFFECT": frozenset({"PLANNED", "RESOLVED_MANUALLY", "COMPENSATED"}),
}


def at_rest(run: SeenRun) -> list[str]:
    """Check one committed moment of a run."""
    return [sentence for check in MOMENT for sentence in check(run)]


def from_to(was: SeenRun, now: SeenRun) -> list[str]:
    """Check one commit: what it made of the moment before it."""
    return [sentence for check in CHANGE for sentence in check(was, now)]


def one_entry_for_each_step_run(run: SeenRun) -> Broken:
    """Invariant 2."""
    owners = [entry.of for entry in run.entries.values()]
    yield from (f"2: two entries for {of}" for of in set(owners) if owners.count(of) > 1)


def armed_means_completed(run: SeenRun) -> Broken:
    """Invariant 3, and what the other early states say of their step run (§2.3)."""
    says = {
        "ARMED": {"COMPLETED"},
        # An operator's retry takes a doubt along: the step is tried again, the entry stays.
        "UNCERTAIN": {"UNKNOWN", "FAILED", "COMPLETED_WITH_ERRORS", *IN_FLIGHT},
        "VOID": {"FAILED", "COMPLETED_WITH_ERRORS", "CANCELLED", "SKIPPED"},
        "TENTATIVE": IN_FLIGHT,
    }
    for entry in run.entries.values():
        step = run.steps[entry.of]
        if entry.follows_child:
            continue
        if entry.state in says and step.state not in says[entry.state]:
            yield f"3: {entry.place} is {entry.state} while its step is {step.state}"


def plan_waits_for_all_settled(run: SeenRun) -> Broken:
    """No plan lives beside a forward step of the same scope in flight (invariant 11)."""
    if run.state in {"PLANNING", "COMPENSATING"} and run.plan is not None:
        for step in run.steps.values():
            if step.state not in STEP_SETTLED and whole_run(run):
                yield f"11: {step.place} is {step.state} beside the plan"


def whole_run(run: SeenRun) -> bool:
    """Whether the plan is of the run and not of a block or branch in it."""
    return run.plan is not None and run.plan.trigger != "SCOPE"


def plan_is_a_dag(run: SeenRun) -> Broken:
    """Invariant 7."""
    if run.plan and any(a == b for a, b in reach_ids(run.plan.edges)):
        yield "7: the plan has a cycle"


def reach_ids(edges: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """Close a plan's edges over entry ids."""
    return reach(edges)  # type: ignore[arg-type,return-value]


def compensated_means_all(run: SeenRun) -> Broken:
    """Invariant 15."""
    states = {entry.state for entry in run.entries.values()}
    if run.state == "COMPENSATED" and not states <= {"COMPENSATED", "VOID"}:
        yield f"15: COMPENSATED with {sorted(states)}"


def terminal_means_nothing_open(run: SeenRun) -> Broken:
    """Invariant 16."""
    if run.state in TERMINAL:
        for entry in run.entries.values():
            if entry.state in BLOCKS_THE_END:
                yield f"16: {run.state} with {entry.place} {entry.state}"


def partial_names_what_is_left(run: SeenRun) -> Broken:
    """Invariant 18."""
    left = {"SKIPPED", "SEALED", "RESOLVED_MANUALLY", "ARMED", "UNCERTAIN"}
    if run.state == "PARTIALLY_COMPENSATED" and not any(
        entry.state in left for entry in run.entries.values()
    ):
        yield "18: PARTIALLY_COMPENSATED with nothing left"


def waits_are_kept(run: SeenRun) -> Broken:
    """Nothing that is sent has an open waiter before it in the plan itself (invariant 8).

    The comparison with the model's own order is made where the tree is known.
    """
    if run.plan is None:
        return
    states = {e.id: e.state for e in run.entries.values()}
    for a, b in run.plan.edges:
        if run.entries[b].gave_up:
            continue  # open: whether the others wait again when a person has it tried again
        if states[a] == "RUNNING" and states[b] not in SETTLED | {
            "COMPENSATION_FAILED",
            "LATE_EFFECT",
        }:
            yield f"8: {a} is {states[a]} while {b} is {states[b]}"


def no_other_moves(was: SeenRun, now: SeenRun) -> Broken:
    """Invariant 5, and the tables of §2.1 and §2.3: one commit may make several moves."""
    if now.state not in reachable(was.state, LEGAL_RUN_MOVES):
        yield f"§2.1: the run went from {was.state} to {now.state}"
    for key, entry in was.entries.items():
        if (
            key in now.entries
            and not entry.follows_child
            and now.entries[key].state not in reachable(entry.state, LEGAL_ENTRY_MOVES)
        ):
            yield f"5: {entry.place} went from {entry.state} to {now.entries[key].state}"


def reachable(state: str, moves: Mapping[str, frozenset[str]]) -> set[str]:
    """Where a state may be after any number of moves inside one commit."""
    found = {state}
    front = {state}
    while front:
        front = {move for state in front for move in moves[state]} - found
        found |= front
    return found


def settled_stay(was: SeenRun, now: SeenRun) -> Broken:
    """Invariant 5: what is settled changes only in the ways it names."""
    undo_again = reachable("PLANNED", LEGAL_ENTRY_MOVES)
    ways: Mapping[str, set[str]] = {
        "VOID": {"LATE_EFFECT", "TENTATIVE"},
        "COMPENSATED": {"LATE_EFFECT"},
        "SEALED": undo_again,
        "SKIPPED": undo_again,
    }
    for key, entry in was.entries.items():
        after = now.entries.get(key, entry).state
        if entry.state not in SETTLED or entry.follows_child or after == entry.state:
            continue
        if after not in ways.get(entry.state, set()):
            yield f"5: settled {entry.place} went from {entry.state} to {after}"


def snapshots_stay(was: SeenRun, now: SeenRun) -> Broken:
    """Invariant 3: frozen when the step settled, never changed afterwards."""
    for key, entry in was.entries.items():
        later = now.entries.get(key)
        if was.steps[entry.of].state != "COMPLETED":
            continue  # a late success still gives its output to what was unknown
        if entry.state in {"ARMED", *UNDO_OPEN} and later and later.snapshot != entry.snapshot:
            yield f"3: the snapshot of {entry.place} changed"


def outcome_stays(was: SeenRun, now: SeenRun) -> Broken:
    """Invariant 21: written once per epoch, never by undo."""
    if was.epoch != now.epoch or now.state in {"RUNNING", "CREATED"}:
        return
    if was.outcome and now.outcome == "TERMINATED":
        return  # open: whether a cancel that comes while a part goes back gives the outcome
    undoing = was.state in {"PLANNING", "COMPENSATING"} and now.state != "STOPPING"
    if was.outcome and undoing and now.outcome != was.outcome:
        yield f"21: outcome {was.outcome} became {now.outcome}"
    if was.failure and undoing and now.failure != was.failure:
        yield "21: the failure was overwritten"


def fence_and_epoch_grow(was: SeenRun, now: SeenRun) -> Broken:
    """§12: fence +1 on entering STOPPING, at each plan, at each epoch; neither goes back."""
    if now.fence < was.fence or now.epoch < was.epoch:
        yield "22: fence or epoch went back"
    if was.state != "STOPPING" and now.state == "STOPPING" and now.fence == was.fence:
        yield "22: STOPPING at the old fence"
    if now.plans > was.plans and now.fence == was.fence:
        yield "22: a new plan at the old fence"
    if now.epoch > was.epoch and now.fence == was.fence:
        yield "22: a new epoch at the old fence"


def nothing_forward_outside_running(was: SeenRun, now: SeenRun) -> Broken:
    """Invariant 22: no forward dispatch while the run is not RUNNING."""
    if was.state not in {"RUNNING", "CREATED"} and now.state != "RUNNING":
        for key, step in now.steps.items():
            before_it = was.steps[key].state if key in was.steps else None
            if step.state == "DISPATCHED" and before_it != "DISPATCHED":
                yield f"22: {step.place} was dispatched while {was.state}"


def planned_undo_survives(was: SeenRun, now: SeenRun) -> Broken:
    """Invariant 25: nothing drops a planned undo but the rejection of a plan not yet begun."""
    if was.state == "PLANNING":
        return
    for key, entry in was.entries.items():
        if entry.follows_child:
            continue
        if entry.state in UNDO_OPEN and now.entries.get(key, entry).state in {
            "ARMED",
            "UNCERTAIN",
            "VOID",
            "TENTATIVE",
            "SEALED",
        }:
            yield f"25: planned {entry.place} was dropped to {now.entries[key].state}"


def failed_undo_waits(was: SeenRun, now: SeenRun) -> Broken:
    """§9: a failed undo is never marked COMPENSATED without a confirmed success."""
    for key, entry in was.entries.items():
        later = now.entries.get(key, entry)
        skipped_the_try = entry.state == "RETRY_WAIT" and later.state == "COMPENSATED"
        if skipped_the_try and later.attempts == entry.attempts:
            yield f"37: {entry.place} COMPENSATED without an attempt"


def new_keys_in_a_new_epoch(was: SeenRun, now: SeenRun) -> Broken:
    """Invariant 26: keys of the new epoch were never used before."""
    old = {step.key for step in was.steps.values() if step.epoch < now.epoch}
    for key, step in now.steps.items():
        if key not in was.steps and step.epoch == now.epoch and step.key in old:
            yield f"26: the key of {step.place} was used in an earlier epoch"


def pivot_guard(pivot: Place, was: SeenRun, now: SeenRun) -> Broken:
    """Invariant 23: after a completed pivot only what comes after it is undone by itself."""
    if now.plan is None or (was.plan and was.plan.id == now.plan.id):
        return
    for key in now.plan.entries:
        if not before(pivot, now.entries[key].place):
            yield f"23: {now.entries[key].place} is not after the pivot {pivot}"


def order_is_kept(
    edges: set[tuple[Place, Place]], now: Mapping[Place, SeenEntry], going_on: set[Place]
) -> Broken:
    """Invariant 8 against the model's own order: `edges` are its pairs for this plan."""
    states = {place: entry.state for place, entry in now.items()}
    for place, entry in now.items():
        if entry.state in {"READY", "RUNNING"}:
            for b in held_back(place, edges, states, going_on):
                yield f"8: {place.ref} is {entry.state} while {b.ref} is {states[b]}"


MOMENT: tuple[Callable[[SeenRun], Broken], ...] = (
    one_entry_for_each_step_run,
    armed_means_completed,
    plan_waits_for_all_settled,
    plan_is_a_dag,
    compensated_means_all,
    terminal_means_nothing_open,
    partial_names_what_is_left,
    waits_are_kept,
)
CHANGE: tuple[Callable[[SeenRun, SeenRun], Broken], ...] = (
    no_other_moves,
    settled_stay,
    snapshots_stay,
    outcome_stays,
    fence_and_epoch_grow,
    nothing_forward_outside_running,
    planned_undo_survives,
    failed_undo_waits,
    new_keys_in_a_new_epoch,
)
