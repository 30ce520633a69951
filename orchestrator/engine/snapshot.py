"""What `decide` may see: one execution at one moment, and what has happened to it.

`StepRun` and `ExecutionView` have the columns of their rows (`orchestrator.models.execution`), ids
as strings. A snapshot holds only what the decision needs: rows that inputs name, outputs that
mappings read. What is missing is asked for with `Needs`, loaded, and decided again from the start,
so that the cost of a step does not grow with the run (architecture.md §4).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from orchestrator.engine.canonical import JSONValue
from orchestrator.engine.definition.graph import Graph
from orchestrator.engine.definition.model import TaskPolicy
from orchestrator.engine.occurrences import Triggered
from orchestrator.engine.outcomes import Outcome
from orchestrator.engine.states import (
    Direction,
    EntryState,
    ExecutionState,
    ForwardResult,
    StepState,
)

JSONObject = dict[str, Any]


@dataclass(slots=True, kw_only=True)
class StepRun:
    """One activation of a step; changed only through `Work.change`, on a copy."""

    id: str
    reference: str
    position: str
    iteration: int = 0
    epoch: int = 1
    cut_epoch: int | None = None
    """The epoch that began without it: it came after the savepoint gone back to (§11)."""
    direction: Direction = Direction.FORWARD
    type: str
    name: str
    seq: int
    settle_seq: int | None = None
    state: StepState = StepState.SCHEDULED
    caused_by: tuple[str, ...] = ()

    entry_state: EntryState | None = None
    policy: str | None = None
    round: int = 0
    approval_id: str | None = None
    entry_due_at: datetime | None = None
    undo_attempts: int = 0
    undo_waits: int = 0
    undo_next: tuple[str, ...] | None = None
    entry_reason: str = ""
    amount: JSONObject | None = None
    undo_input: JSONObject | None = None
    undo_began_at: datetime | None = None
    effect_id: str = ""

    compensates: str | None = None
    attempt: int = 1
    attempt_id: str
    lost: int = 0
    doubt: bool = False
    partial: bool = False
    queue: str = ""
    domain: str = ""
    priority: int = 0
    due_at: datetime | None = None
    wake_at: datetime | None = None
    rings: int = 0
    input: JSONObject = field(default_factory=dict)
    output: JSONObject | None = None
    reason: str = ""
    error_class: str = ""
    variables: JSONObject | None = None
    child_id: str | None = None
    defined_by: str | None = None
    dynamic: list[Any] | None = None
    scheduled_at: datetime
    first_scheduled_at: datetime
    started_at: datetime | None = None
    updated_at: datetime
    ended_at: datetime | None = None
    is_light: bool = False
    """Loaded without input and output, for the order of undo alone; no column."""


@dataclass(slots=True, kw_only=True)
class ExecutionView:
    """The execution row; changed only through `Work.set`, on a copy."""

    id: str
    root_id: str
    parent_id: str | None = None
    parent_step_id: str | None = None
    workflow_name: str
    version_number: int
    is_saga: bool
    state: ExecutionState = ExecutionState.CREATED
    outcome: ForwardResult | None = None
    failure: JSONObject | None = None
    paused: bool = False
    epoch: int = 1
    fence: int = 0
    revision: int = 0
    head: int = 0
    correlation_id: str = ""
    priority: int = 0
    input: JSONObject = field(default_factory=dict)
    output: JSONObject | None = None
    variables: JSONObject = field(default_factory=dict)
    frontier: JSONObject = field(default_factory=dict)
    lock: Mapping[str, Any] = field(default_factory=dict)
    domains: Mapping[str, str] = field(default_factory=dict)
    started_by: str = ""
    created_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    wake_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildVersion:
    """What a sub-workflow's name and version resolve to."""

    version_id: int
    workflow_name: str
    number: int
    is_saga: bool
    has_undo: bool
    has_outside_steps: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a script came to: a value, or an error of class `error`, `timeout` or `refused`."""

    value: JSONValue = None
    error: str = ""
    error_class: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanView:
    """The active plan, as far as going on with it needs."""

    id: str
    hash: str
    trigger: str
    reason: str
    triggered_by: str
    entries: tuple[str, ...] | None = None
    """Ids of its entries, as far as asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything `decide` may see, at one moment of the database's clock."""

    now: datetime
    execution: ExecutionView
    runs: Mapping[str, StepRun] = field(default_factory=dict)
    """Step runs by id, as far as loaded."""
    latest: Mapping[str, StepRun | None] = field(default_factory=dict)
    """Newest forward step run by reference; None = looked for, there is none."""
    latest_before: Mapping[tuple[str, int], StepRun | None] = field(default_factory=dict)
    """Newest forward step run of a reference scheduled before a sequence number."""
    in_motion: bool = False
    """All unsettled step runs are among `runs`."""
    whole: bool = False
    """All step runs are among `runs` (without inputs and outputs of those not named)."""
    rounds: Mapping[str, bool] = field(default_factory=dict)
    """Loop positions whose body step runs are all among `runs`."""
    attached: frozenset[str] = frozenset()
    """Entries whose undo, probe and confirm step runs are among `runs`."""
    dynamic: Mapping[str, Graph] = field(default_factory=dict)
    """Compiled branches of dynamic forks, by the fork's step run id."""
    children: Mapping[tuple[str, int | None], ChildVersion | None] = field(default_factory=dict)
    inline_children: Mapping[str, ChildVersion | str] = field(default_factory=dict)
    """By digest of an inline definition: its version, or why it cannot be used."""
    answers: Mapping[str, Answer] = field(default_factory=dict)
    policies: Mapping[str, TaskPolicy] = field(default_factory=dict)
    """Registered TaskDefs by task name, as they stood at the start."""
    queues: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """(type, task name) → Celery queue of its handler."""
    approvals: Mapping[str, bool] = field(default_factory=dict)
    """Approval id → the approval still holds for what will be sent."""
    polled: Mapping[str, Collection[str]] = field(default_factory=dict)
    """Task name → domains that a worker has asked for lately."""
    owners: Mapping[str, str | None] = field(default_factory=dict)
    """Effect id → execution of another run that did it and is not being undone."""
    plan: PlanView | None = None


# ---- what has happened -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptEnded:
    """A worker, a signal or a person reports what an attempt came to."""

    step_run_id: str
    attempt_id: str
    outcome: Outcome
    worker: str = ""
    cancelled: bool = False
    """The worker says that it did nothing (CANCELED)."""
    signal: bool = False
    """Ends a wait whatever its timer says; attempts of outside steps are not accepted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A worker wants to take an attempt."""

    step_run_id: str
    worker: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Extended:
    """A worker says that it is still at work: the lease is renewed."""

    step_run_id: str
    attempt_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDue:
    """A lease, timeout or wait of a step run has run out."""

    step_run_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TimerDue:
    """A timer of the execution has fired."""

    purpose: str
    subject: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildReported:
    """A child execution has ended, forward or back."""

    step_run_id: str
    child_id: str
    state: ExecutionState
    outcome: ForwardResult | None
    output: JSONObject | None
    reason: str
    live: int
    """Entries that are neither VOID nor COMPENSATED."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParentSpoke:
    """The parent stops this child (undo or not), or wants it undone (T6)."""

    undo: bool
    stop: bool
    reason: str
    override: bool = False
    """Two persons have agreed to the parent's undo past a pivot; it holds for this run too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelled:
    """A person or the API cancels the run, with or without undo (T4)."""

    compensate: bool
    actor: str
    reason: str
    override: bool = False
    """Two persons have agreed to go past a pivot (§11)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoRequested:
    """A person or the API wants an ended run undone, whole or chosen entries (T5)."""

    actor: str
    reason: str
    entries: frozenset[str] | None = None
    trigger: str = "REQUEST"
    override: bool = False
    """Two persons have agreed to go past a pivot, a seal or the order (§5, §10.4, §11)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanConfirmed:
    """A person starts the plan that waits for one (`confirmPlan`)."""

    hash: str
    actor: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRejected:
    """A person drops the plan that waits for one."""

    hash: str
    actor: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseSet:
    """A person pauses or resumes the run."""

    paused: bool
    actor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryRequested:
    """A person wants the run to go on from its failed steps; of a child, its parent does."""

    actor: str
    reason: str
    resume_children: bool = False
    """Failed children go on as the runs they are; otherwise fresh ones are started."""
    by_parent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryActed:
    """An operator settles a stuck entry: RETRY, AMEND, SKIP, RESOLVE, TO_MANUAL or HARMLESS."""

    entry_id: str
    action: str
    actor: str
    reason: str
    note: str = ""
    input: JSONObject | None = None
    """AMEND: what is sent in the place of what the definition maps."""
    not_applied: bool = False
    """AMEND: the operator attests that nothing of the round before was applied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictReached:
    """The votes on an approval add up: APPROVED, SKIP or MANUAL."""

    entry_id: str
    approval_id: str
    verdict: str
    actor: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSettled:
    """A person answers "did this happen?" for a step of unknown outcome."""

    step_run_id: str
    applied: bool
    actor: str
    reason: str
    output: JSONObject | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VariablesSet:
    """Run variables are changed from outside."""

    values: JSONObject
    actor: str


Input = (
    AttemptEnded
    | Claimed
    | Extended
    | StepDue
    | TimerDue
    | ChildReported
    | ParentSpoke
    | Cancelled
    | UndoRequested
    | Triggered
    | PlanConfirmed
    | PlanRejected
    | PauseSet
    | RetryRequested
    | EntryActed
    | VerdictReached
    | StepSettled
    | VariablesSet
)
