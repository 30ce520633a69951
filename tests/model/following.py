"""The model of one run under way: it is told what the world did, and says what must be true.

It never reads the engine's states to make up its own mind. What the engine shows is compared with
what follows from the calls, by `compare`; every sentence returned is a difference.
"""

import dataclasses
from collections.abc import Iterator, Mapping

from tests.model import choice, facts
from tests.model.facts import Known
from tests.model.observing import Positions
from tests.model.paths import Place, before, inside
from tests.model.trees import Effect, Loop, Node, OnFailure, Step, Sub, Undo, Workflow
from tests.model.view import SeenPlan, SeenRun

RUNS_ON = frozenset({"CREATED", "RUNNING"})
BOUNDED = frozenset(
    {"FAILURE", "TIMEOUT", "TERMINATE", "COMPENSATE", "PARENT", "TRIGGER", "CANCEL"}
)
"""Triggers that never reach over a completed pivot: without a second person T4 does not either."""
WENT_WELL = frozenset({"COMPLETED", "COMPLETED_WITH_ERRORS", "SKIPPED"})


@dataclasses.dataclass
class StepModel:
    """One step run: what its attempts told, and the state that follows."""

    place: Place
    node: Step
    epoch: int = 1
    state: str = "SCHEDULED"
    attempts: list[Known] = dataclasses.field(default_factory=list)
    since_retry: int = 0
    was_retried: bool = False
    was_doubted: bool = False
    said_by_person: bool = False
    maybe_late: bool = False
    or_else: str | None = None

    def ended(self, known: Known, *, stopped: bool) -> None:
        """Take the end of the attempt in flight.

        The document does not say whether tries begin at nothing when an operator retries the run:
        then both states are right, and the model takes up the one that it sees.
        """
        self.attempts.append(known)
        self.state = self._now(stopped=stopped)
        if self.was_retried:
            self.or_else = self._now(stopped=True)
        if known is Known.NOTHING_DONE and self.node.optional:
            self.or_else = "COMPLETED_WITH_ERRORS"
        elif known is Known.NOTHING_DONE and len(self.attempts) > 1:
            # Nothing this time, and known failures before: cancelled, or what those say.
            self.or_else = facts.after_attempts(self.node, self.attempts[:-1], stopped=True)

    def stop(self) -> None:
        """The run stops: nothing is tried again (§3, STOPPING)."""
        if self.state == "SCHEDULED":
            self.state = self._now(stopped=True) if self.was_doubted else "CANCELLED"
        elif self.state == "RETRY_WAIT":
            self.state = self._now(stopped=True)
            if self.state == "COMPLETED_WITH_ERRORS":
                # The table of states knows only FAILED here (§2.2); the run stops in either case.
                self.state = "FAILED"

    def again(self) -> None:
        """An operator retries the run from here."""
        doubted = self.entry == "UNCERTAIN"
        self.state = "SCHEDULED"
        self.since_retry = len(self.attempts)
        self.was_retried = True
        self.was_doubted = doubted

    @property
    def lets_others_go(self) -> bool:
        """Whether what comes after may begin."""
        return self.state in WENT_WELL or (
            self.node.optional and self.state in {"UNKNOWN", "FAILED"}
        )

    @property
    def fails_the_run(self) -> bool:
        """T1: FAILED or UNKNOWN for good, and not optional."""
        return self.state in {"FAILED", "UNKNOWN"} and not self.node.optional

    @property
    def entry(self) -> str:
        """The state of its entry before any plan; a doubt stays one when tried again (5)."""
        found = facts.entry_before_plan(self.state, self.attempts)
        return "UNCERTAIN" if self.was_doubted and found == "TENTATIVE" else found

    def _now(self, *, stopped: bool) -> str:
        tried = self.attempts[self.since_retry :] or self.attempts
        state = facts.after_attempts(self.node, tried, stopped=stopped)
        doubts = any(facts.doubted(self.node, known) for known in self.attempts)
        is_partial = self.attempts[-1] is Known.PARTIAL
        if doubts and not is_partial and state in {"FAILED", "COMPLETED_WITH_ERRORS"}:
            return "UNKNOWN"
        return state


@dataclasses.dataclass
class Followed:
    """One run of a tree."""

    workflow: Workflow
    positions: Positions
    steps: dict[str, StepModel] = dataclasses.field(default_factory=dict)
    planned: set[str] = dataclasses.field(default_factory=set)
    gone_back: set[int] = dataclasses.field(default_factory=set)

    def node_at(self, place: Place) -> Node:
        """Return the node of a place."""
        return next(node for known, node in self.positions.values() if known == place)

    def undo_at(self, place: Place) -> Undo | None:
        """Return the undo that an entry at a place has of its own."""
        match self.node_at(place):
            case Step(undo=undo) | Sub(undo=undo) | Loop(once=undo):
                return undo
            case _:
                return None

    def compare(self, was: SeenRun | None, now: SeenRun) -> Iterator[str]:
        """Compare one committed moment of the engine with the model."""
        yield from self._new_steps(was, now)
        if now.state not in RUNS_ON:
            for step in self.steps.values():
                step.stop()
        yield from self._steps(now)
        yield from self._run(now)
        yield from self._early_entries(now)
        if now.plan and (was is None or was.plan is None or was.plan.id != now.plan.id):
            yield from self._plan(now, now.plan)
        yield from self._order(now)

    def _new_steps(self, was: SeenRun | None, now: SeenRun) -> Iterator[str]:
        """A step run appears only when all before it let it go, and while the run runs (§4.1)."""
        for key, seen in now.steps.items():
            node = self.node_at(seen.place)
            if was is None or key not in was.steps:
                yield from self._enabled(seen.place, now)
            if key not in self.steps and isinstance(node, Step):
                self.steps[key] = StepModel(seen.place, node, seen.epoch)

    def _enabled(self, place: Place, now: SeenRun) -> Iterator[str]:
        known = {step.place: step for step in now.steps.values()}
        for other, node in self.positions.values():
            if not before(other, place) or not isinstance(node, Step | Sub):
                continue
            if other not in known:
                yield f"§4.1: {place.ref} was enabled and {other.ref}, before it, never was"
            elif known[other].state not in facts.STEP_SETTLED:
                yield f"§4.1: {place.ref} was enabled while {other.ref} is {known[other].state}"

    def _steps(self, now: SeenRun) -> Iterator[str]:
        for key, model in self.steps.items():
            seen = now.steps[key].state
            if model.maybe_late and seen == "COMPLETED":
                model.state = "COMPLETED"
                model.attempts[-1] = Known.APPLIED
            if seen == model.or_else:
                model.state = seen
            model.or_else = None
            if seen != model.state:
                yield f"§2.2: {model.place.ref} is {seen}, its attempts say {model.state}"

    def _run(self, now: SeenRun) -> Iterator[str]:
        failing = [
            step.place.ref
            for step in self.steps.values()
            if step.fails_the_run and step.epoch == now.epoch
        ]
        waits = now.paused and now.state in RUNS_ON  # what falls due is only queued (§2.1)
        if failing and not waits and now.state in RUNS_ON | {"COMPLETED"}:
            yield f"§5 T1: {failing} failed for good and the run is {now.state}"
        if now.outcome == "COMPLETED":
            settled = {model.place for model in self.steps.values() if model.lets_others_go}
            for place, node in self.positions.values():
                if isinstance(node, Step) and place not in settled:
                    yield f"§2.1: outcome COMPLETED without {place.ref}"
        keeps = self.workflow.scope.on_failure is OnFailure.NONE
        if keeps and now.plan and now.plan.trigger == "FAILURE":
            yield "§11: policy none, and a plan after a failure"

    def _early_entries(self, now: SeenRun) -> Iterator[str]:
        """An entry that no plan ever chose stands where the calls put it (§2.3, invariant 4)."""
        for key, entry in now.entries.items():
            if entry.state in facts.UNDO_OPEN | facts.UNDO_ENDED:
                self.planned.add(key)
            model = self.steps.get(key)
            if model and key not in self.planned and entry.state not in {model.entry, "SEALED"}:
                yield f"§2.3: entry of {entry.place.ref} is {entry.state}, not {model.entry}"
        for key, model in self.steps.items():
            needs = model.node.undo is not None and not self._replaced(model, now)
            if needs != (key in now.entries):
                yield f"1: {model.place.ref} {'lacks an' if needs else 'has no need of its'} entry"

    def _replaced(self, model: StepModel, now: SeenRun) -> bool:
        """Whether a complete loop with an undo of its own stands for this step run (§3)."""
        return any(
            step.state == "COMPLETED"
            and step.epoch == model.epoch
            and inside(step.place, model.place)
            for step in now.steps.values()
            if isinstance(loop := self.node_at(step.place), Loop) and loop.once is not None
        )

    def live(self, now: SeenRun) -> dict[Place, choice.Live]:
        """What a trigger may choose from, by the model's own states where it has them."""
        found = {}
        for key, entry in now.entries.items():
            model = self.steps.get(key)
            undo = self.undo_at(entry.place)
            state = model.entry if model and key not in self.planned else entry.state
            found[entry.place] = choice.Live(
                place=entry.place,
                state=state,
                independent=bool(undo and undo.independent),
                after=undo.after if undo else (),
            )
        return found

    def _plan(self, now: SeenRun, plan: SeenPlan) -> Iterator[str]:
        """The plan is the model's choice, in the model's order (§3, §4, §5)."""
        fresh = {now.entries[key].place for key in plan.entries}
        for key in plan.entries:
            self.planned.discard(key)
        live = self.live(now)
        simple = {p for p in fresh | set(live) if isinstance(self.node_at(p), Step)}
        chosen = self._choice(now, live, fresh)
        optional = {p for p, e in live.items() if e.state == "SKIPPED"}
        self.planned |= plan.entries
        if plan.trigger != "CHOSEN":
            for place in (chosen & simple) - fresh:
                yield f"10: {place.ref} is live and not in the plan"
            for place in (fresh & simple) - chosen - optional:
                yield f"§3: {place.ref} is in the plan and is {live[place].state}"
        for model in self.steps.values():
            # What was applied in part certainly happened: no question is left to ask about it.
            doubtful = model.state == "UNKNOWN" and model.place in fresh
            if doubtful and not facts.undo_takes_doubt(model.node.undo, model.node.on_unknown):
                yield f"20: {model.place.ref} is planned while nobody knows if it happened"
        yield from self._edges(now, plan)

    def _choice(
        self, now: SeenRun, live: dict[Place, choice.Live], fresh: set[Place]
    ) -> set[Place]:
        """Choose by T1: back to the savepoint passed last while retries are left, else all (§11).

        Where people left something of such a plan, the outer scope follows in the same epoch.
        """
        whole = choice.whole_scope(live.values())
        if now.plan is not None and now.plan.trigger in BOUNDED:
            whole = choice.guarded(whole, self.pivot())
        savepoint = self.savepoint_for(now)
        if savepoint is None:
            return whole
        back = choice.back_to_savepoint(live.values(), savepoint)
        # What people have left, or a child has, forbids to go through it again (§11).
        left = any(
            entry.state in {"SKIPPED", "RESOLVED_MANUALLY"} and before(savepoint, entry.place)
            for entry in now.entries.values()
        )
        goes_out = left or (now.epoch in self.gone_back and fresh >= whole - back)
        self.gone_back.add(now.epoch)
        is_failure = now.plan is not None and now.plan.trigger in {"FAILURE", "TIMEOUT"}
        return back if is_failure and not goes_out else whole

    def pivot(self) -> Place | None:
        """Return the pivot that has decided; there is one in a tree at most."""
        decided = (
            model.place
            for model in self.steps.values()
            if model.node.effect is Effect.PIVOT and model.state == "COMPLETED"
        )
        return next(decided, None)

    def savepoint_for(self, now: SeenRun) -> Place | None:
        """Name the savepoint that a failure goes back to, if any may be used once more."""
        scope = self.workflow.scope
        used = now.epoch - 1
        if scope.on_failure is not OnFailure.FORWARD or used >= (scope.max_retries or 0):
            return None
        failure = now.failure if isinstance(now.failure, dict) else {}
        pivot = self.pivot()
        failed = now.steps.get(str(failure.get("stepId")))
        passed = [
            model.place
            for model in self.steps.values()
            if model.node.savepoint
            and model.state == "COMPLETED"
            and failed is not None
            and before(model.place, failed.place)
            and not (pivot is not None and before(model.place, pivot))
        ]
        return max(passed, key=lambda place: place.turns, default=None)

    def _edges(self, now: SeenRun, plan: SeenPlan) -> Iterator[str]:
        stored = choice.reach((now.entries[a].place, now.entries[b].place) for a, b in plan.edges)
        wanted = choice.reach(self.edges(now, plan))
        for a, b in wanted - stored:
            yield f"§4.1: the plan lets {a.ref} go before {b.ref}"
        for a, b in stored - wanted:
            yield f"§4.1: the plan makes {a.ref} wait for {b.ref} without need"

    def edges(self, now: SeenRun, plan: SeenPlan) -> set[choice.Edge]:
        """Return the model's pairs for the entries of a plan."""
        places = {now.entries[key].place for key in plan.entries}
        return choice.waits_for({p: e for p, e in self.live(now).items() if p in places})

    def _order(self, now: SeenRun) -> Iterator[str]:
        """Invariant 8 by the model's own order, at every moment and not only at the plan."""
        if now.plan is None:
            return
        edges = self.edges(now, now.plan)
        states = {entry.place: entry.state for entry in now.entries.values()}
        gave_up = {entry.place for entry in now.entries.values() if entry.gave_up}
        going_on = {p for p in states if (undo := self.undo_at(p)) and undo.goes_on}
        busy = [p for p, state in states.items() if state in {"RUNNING", "RETRY_WAIT"}]
        for place in busy:
            for other in choice.held_back(place, edges, states, going_on) - gave_up:
                yield f"8: {place.ref} is {states[place]} while {other.ref} is {states[other]}"
        yield from self._one_at_a_time(busy, states)

    def _one_at_a_time(self, busy: list[Place], states: Mapping[Place, str]) -> Iterator[str]:
        # Open: whether an undo that nobody waits for may go beside that of a sub-workflow.
        running = [
            place.ref
            for place in busy
            if states[place] == "RUNNING"
            and not ((undo := self.undo_at(place)) and undo.independent)
        ]
        if self.workflow.scope.serial and len(running) > 1:
            yield f"9: {running} are undone at once in serial mode"
