"""The machine: Hypothesis chooses what happens next, the model says what must follow."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from orchestrator.engine.outcomes import Failed, Outcome, Succeeded, Unknown, Waiting
from orchestrator.engine.snapshot import (
    AttemptEnded,
    Cancelled,
    Claimed,
    EntryActed,
    Extended,
    Input,
    PauseSet,
    PlanConfirmed,
    PlanRejected,
    RetryRequested,
    StepRun,
    StepSettled,
    UndoRequested,
    VerdictReached,
)
from orchestrator.engine.states import EntryState, ExecutionState
from tests.model.growing import workflows
from tests.model.stage import Call, Stage
from tests.model.trees import Workflow
from tests.unit.engine.driver import Run

E = EntryState
ANY = st.integers(0, 2**16)
ANSWERS = st.sampled_from(["yes"] * 6 + ["no", "never", "half", "who knows", "lost", "wait"])
STUCK = (E.COMPENSATION_FAILED, E.MANUAL, E.LATE_EFFECT)
ENDED_WITHOUT_UNDO = {
    ExecutionState.FAILED,
    ExecutionState.TIMED_OUT,
    ExecutionState.TERMINATED,
}


class SagaMachine(RuleBasedStateMachine):
    """Random definitions, random interleavings, bad luck, and people."""

    plays = 0
    stage: Stage
    words: int = 4
    """How often people may still interfere with the run as a whole: else nothing ever happens."""

    @initialize(tree=workflows())
    def start(self, tree: Workflow) -> None:
        """Publish and start."""
        SagaMachine.plays += 1
        self.stage = Stage(tree)

    # ---- workers and services ----

    @precondition(lambda self: bool(self.claimable()))
    @rule(which=ANY)
    def a_worker_takes_a_step(self, which: int) -> None:
        """Claim what can be claimed."""
        self.stage.claim(*self._pick(self.claimable(), which))

    @precondition(lambda self: bool(self.claimable() or self.held()))
    @rule(which=ANY, often=st.integers(1, 8), last=st.sampled_from(["never", "yes", "no", "yes"]))
    def work_goes_on(self, which: int, often: int, last: str) -> None:
        """Some steps, forward or back, one after the other; the last may not come out well."""
        for number in range(often):
            self._do_one(which + number, "yes" if number < often - 1 else last)

    @precondition(lambda self: bool(self.claimable() or self.held()))
    @rule(which=ANY, how=st.sampled_from(["no", "never", "half", "who knows", "lost"]))
    def something_goes_wrong(self, which: int, how: str) -> None:
        """A step is taken and does not come out well."""
        self._do_one(which, how)

    def _do_one(self, which: int, how: str) -> None:
        if open_ := self.claimable():
            self.stage.claim(*self._pick(open_, which))
        if held := self.held():
            call = self._pick(held, which)
            self.stage.answer(call, self.outcome(call, how))

    @precondition(lambda self: bool(self.stage.calls))
    @rule(which=ANY)
    def a_call_arrives(self, which: int) -> None:
        """A call lands at its service: in time, late, or once more."""
        self.stage.land(self._pick(self.stage.calls, which))

    @precondition(lambda self: bool(self.held()))
    @rule(which=ANY, how=ANSWERS)
    def a_worker_reports(self, which: int, how: str) -> None:
        """A held call is answered."""
        call = self._pick(self.held(), which)
        self.stage.answer(call, self.outcome(call, how))

    @precondition(lambda self: bool(self.held()))
    @rule(which=ANY)
    def a_worker_says_it_did_nothing(self, which: int) -> None:
        """CANCELED, from a worker whose call never left, while the run stops."""
        held = [
            call
            for call in self.held()
            if not call.is_undo
            and not call.landed
            and call.run.state is ExecutionState.STOPPING
            and not self.stage.service.applied[call.key]
        ]
        if held:
            call = self._pick(held, which)
            self.stage.answer(call, Failed(reason="did nothing"), nothing_done=True)

    @precondition(lambda self: bool(self.stage.calls))
    @rule(which=ANY)
    def a_report_comes_again_or_late(self, which: int) -> None:
        """The same report twice, or from a lease that has gone."""
        old = [call for call in self.stage.calls if not self.stage.is_current(call) and call.landed]
        if old:
            self.stage.answer(self._pick(old, which), Succeeded(output={"id": 1}))

    @precondition(lambda self: bool(self.held()))
    @rule(which=ANY)
    def a_lease_is_renewed(self, which: int) -> None:
        """A heartbeat."""
        call = self._pick(self.held(), which)
        self.stage.feed(
            call.run, Extended(step_run_id=call.step.id, attempt_id=call.step.attempt_id)
        )

    def outcome(self, call: Call, how: str) -> Outcome:
        """Answer as a well-behaved service can: never no to what it did."""
        stage = self.stage
        done = bool(
            stage.service.undos_by_key[call.key]
            if call.is_undo
            else stage.service.applied[call.key]
        )
        if how == "wait" and not call.is_undo:
            return Waiting(callback_seconds=5)
        if how == "lost":
            stage.land(call)
        if how in {"who knows", "lost"}:
            return Unknown(reason="the answer was lost")
        if how == "half" and not call.is_undo and call.run.node(call.step).has_undo:
            if stage.land(call):
                return Failed(reason="half of it", partial=True)
            return Failed(reason="refused", terminal=True)
        if how == "yes" or done:
            if stage.land(call):
                return Succeeded(output={"id": 1})
            return Failed(reason="undone before it came", terminal=True)
        if not call.is_undo and call.landed:
            return Succeeded(output={"id": 1})
        return Failed(reason="no", terminal=how == "never")

    # ---- time, messages, crashes ----

    @rule(seconds=st.sampled_from([1, 5, 31, 61, 4000]))
    def time_passes(self, seconds: int) -> None:
        """Timers and leases come due."""
        self.stage.pass_time(seconds)

    @rule(which=ANY)
    def a_message_is_delivered_or_doubled(self, which: int) -> None:
        """Somebody rings: with news, or for nothing."""
        self.stage.deliver(self._pick(self.stage.runs, which))

    @rule(which=ANY, how=ANSWERS)
    def a_process_dies_before_the_commit(self, which: int, how: str) -> None:
        """A decision is taken and never stored; later everything is decided again (§13)."""
        for run in self.stage.runs:
            for step in run.claimable()[:1]:
                run._decided((Claimed(step_run_id=step.id, worker="w"),), {}, ())
        if held := self.held():
            call = self._pick(held, which)
            item = AttemptEnded(
                step_run_id=call.step.id,
                attempt_id=call.step.attempt_id,
                outcome=self.outcome(call, how),
            )
            call.run._decided((item,), {}, ())
        self.stage.look()

    # ---- people ----

    @precondition(lambda self: bool(self.words and self.stage.calls))
    @rule(undo=st.booleans())
    def somebody_cancels(self, undo: bool) -> None:  # noqa: FBT001 - drawn
        """T4, or terminate without undo."""
        self.words -= 1
        self.stage.feed(
            self.stage.root, Cancelled(compensate=undo, actor="op", reason="changed my mind")
        )

    @precondition(lambda self: bool(self.words and self.stage.root.state.is_terminal))
    @rule()
    def somebody_wants_it_undone(self) -> None:
        """T5 on the whole run."""
        self.words -= 1
        self.stage.feed(self.stage.root, UndoRequested(actor="op", reason="undo it"))

    @precondition(lambda self: self.stage.root.state in ENDED_WITHOUT_UNDO)
    @rule()
    def somebody_retries_the_run(self) -> None:
        """From the failed steps, only if no entry was ever dispatched (invariant 27)."""
        if may_retry(self.stage):
            self.stage.feed(self.stage.root, RetryRequested(actor="op", reason="again"))

    @precondition(lambda self: bool(self.words and self.stage.calls))
    @rule()
    def somebody_pauses_or_resumes(self) -> None:
        """The flag beside the state."""
        self.words -= 1
        root = self.stage.root
        self.stage.feed(root, PauseSet(paused=not root.execution.paused, actor="op"))

    @precondition(lambda self: bool(self.stage.entries(E.AWAITING_APPROVAL)))
    @rule(which=ANY, verdict=st.sampled_from(["APPROVED", "APPROVED", "SKIP", "MANUAL"]))
    def an_approver_decides(self, which: int, verdict: str) -> None:
        """The votes on a request add up."""
        waiting = self.stage.entries(E.AWAITING_APPROVAL)
        run, entry = self._pick(waiting, which)
        self.verdict(run, entry, verdict)

    @precondition(lambda self: bool(self.approved()))
    @rule(which=ANY)
    def what_would_be_sent_changes(self, which: int) -> None:
        """An approval does not hold any more for what would be sent (§7, at dispatch)."""
        _, entry = self._pick(self.approved(), which)
        self.stage.world.stale_approvals.add(str(entry.approval_id))

    @precondition(lambda self: bool(self.stage.entries(*STUCK)))
    @rule(
        which=ANY,
        action=st.sampled_from(["RETRY", "RETRY", "SKIP", "RESOLVE", "TO_MANUAL", "HARMLESS"]),
    )
    def an_operator_acts(self, which: int, action: str) -> None:
        """A stuck undo is taken in hand."""
        run, entry = self._pick(self.stage.entries(*STUCK), which)
        self.stage.feed(
            run, EntryActed(entry_id=entry.id, action=action, actor="op", reason="because")
        )

    @precondition(lambda self: bool(questions(self.stage)))
    @rule(which=ANY)
    def somebody_says_whether_it_happened(self, which: int) -> None:
        """The answer to the question of §3, point 4; who says no has made sure of it."""
        self.settle(*self._pick(questions(self.stage), which))

    @precondition(lambda self: bool(plans_that_wait(self.stage)))
    @rule(which=ANY, yes=st.booleans())
    def somebody_looks_at_the_plan(self, which: int, yes: bool) -> None:  # noqa: FBT001 - drawn
        """`confirmPlan`: a person starts the plan, or drops it."""
        run, digest = self._pick(plans_that_wait(self.stage), which)
        word = PlanConfirmed if yes else PlanRejected
        self.stage.feed(run, word(hash=digest, actor="op", reason="looked at it"))

    def verdict(self, run: Run, entry: StepRun, verdict: str) -> None:
        """Decide on an entry's request."""
        assert entry.approval_id is not None
        self.stage.feed(
            run,
            VerdictReached(
                entry_id=entry.id, approval_id=entry.approval_id, verdict=verdict, actor="ann"
            ),
        )

    def settle(self, run: Run, key: str) -> None:
        """Say what is true, and see to it that it stays true."""
        forward = [call.key for call in self.stage.calls if call.step.id == key]
        applied = bool(forward and self.stage.service.applied[forward[0]])
        if not applied:
            self.stage.service.tombstones.update(forward)
        self.stage.feed(
            run,
            StepSettled(
                step_run_id=key,
                applied=applied,
                actor="op",
                reason="looked",
                output={"id": 1} if applied else None,
            ),
        )

    def claimable(self) -> list[tuple[Run, StepRun]]:
        """Return what a worker could take now."""
        return [(run, step) for run in self.stage.runs for step in run.claimable()]

    def approved(self) -> list[tuple[Run, StepRun]]:
        """Return entries that people agreed to and that were not sent yet."""
        ready = self.stage.entries(E.READY, E.DELAYED)
        return [(run, entry) for run, entry in ready if entry.approval_id is not None]

    def held(self) -> list[Call]:
        """Return the calls whose leases hold."""
        return [call for call in self.stage.calls if self.stage.is_current(call)]

    # ---- the end ----

    def teardown(self) -> None:
        """Let everything come to an end, then have all of it undone, and look at what is left."""
        if not hasattr(self, "stage"):
            return
        finish(self)
        if self.stage.root.state.is_terminal:
            self.stage.feed(self.stage.root, UndoRequested(actor="op", reason="undo it"))
            finish(self)

    def _pick(self, items, which: int):
        return items[which % len(items)]


def may_retry(stage: Stage) -> bool:
    """Whether nothing of the whole tree was ever planned for undo."""
    return not any(run.plans for run in stage.runs)


def plans_that_wait(stage: Stage) -> list[tuple[Run, str]]:
    """Return the plans that a person must start, by their hash."""
    return [
        (run, plan.command.hash)
        for run in stage.runs
        if run.state is ExecutionState.PLANNING
        for plan in run.plans
        if plan.state == "ACTIVE"
    ]


def questions(stage: Stage) -> list[tuple[Run, str]]:
    """Return the open questions, over all executions."""
    return [(run, key) for run in stage.runs for key in run.execution.frontier.get("questions", [])]


def finish(machine: SagaMachine, limit: int = 400) -> None:
    """Everybody does his duty until everything is terminal; then count what is left."""
    stage = machine.stage
    for _ in range(limit):
        if _one_duty(machine):
            continue
        if all(run.state.is_terminal for run in stage.runs):
            break
        stage.pass_time(121)
    else:
        states = [(run.execution.id, run.state, run.states(), run.ledger()) for run in stage.runs]
        raise AssertionError(f"never ends: {states}")
    nothing_left(stage)


def _one_duty(machine: SagaMachine) -> bool:
    """Do the first thing that anybody has to do."""
    return _of_machines(machine) or _of_people(machine)


def _of_machines(machine: SagaMachine) -> bool:
    stage = machine.stage
    for run in stage.runs:
        if run.notices:
            stage.deliver(run)
            return True
        if run.execution.paused:
            stage.feed(run, PauseSet(paused=False, actor="op"))
            return True
    if any(stage.claim(run, step) for run, step in machine.claimable()):
        return True
    for call in machine.held()[:1]:
        stage.answer(call, machine.outcome(call, "yes"))
        return True
    return False


def _of_people(machine: SagaMachine) -> bool:
    stage = machine.stage
    for run, entry in stage.entries(E.AWAITING_APPROVAL)[:1]:
        machine.verdict(run, entry, "APPROVED")
        return True
    for run, key in questions(stage)[:1]:
        machine.settle(run, key)
        return True
    stuck = ExecutionState.NEEDS_ATTENTION
    # Past a pivot only a person with a second one may ask for more undo (§11): not played here.
    asked = [
        (run, stage.models[run.execution.id].pivot() is None)
        for run in stage.runs
        if run.state is stuck
    ]
    words: list[tuple[Run, Input]] = [
        *(
            (run, EntryActed(entry_id=entry.id, action="RESOLVE", actor="op", reason="by hand"))
            for run, entry in stage.entries(*STUCK)
        ),
        *(
            (run, PlanConfirmed(hash=digest, actor="op", reason="go on"))
            for run, digest in plans_that_wait(stage)
        ),
        *((run, Cancelled(compensate=undo, actor="op", reason="asked")) for run, undo in asked),
    ]
    for run, word in words[:1]:
        stage.feed(run, word)
    return bool(words)


def nothing_left(stage: Stage) -> None:
    """Invariants 17 and 18: what is left in the world is what the ledger says is left."""
    for run in stage.runs:
        for step in run.runs.values():
            gone = step.entry_state in {E.COMPENSATED, E.VOID} and step.child_id is None
            key = f"f:{run.execution.id}:{step.position}:e{step.epoch}"
            if gone and step.position in stage.models[run.execution.id].positions:
                assert not stage.service.net(key), f"17: the effect of {step.position} still stands"
