"""What `decide` may answer: changes to store and messages to send, as data; performed by the store.

A decision that lacks something answers with `Needs` alone (load it and decide again, in the same
transaction), one that lacks the result of a script with `Question`s beside its commands (store
what is decided; have them evaluated with no transaction open; decide again).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from orchestrator.engine.canonical import JSONValue
from orchestrator.engine.events import Event
from orchestrator.engine.snapshot import ExecutionView, StepRun
from orchestrator.engine.states import AttemptState


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A script whose result is needed; `id` is the digest of script and data."""

    id: str
    evaluator: str
    """`javascript`, `lambda` (a function body) or `jq`."""
    expression: str
    data: JSONValue
    patient: bool = False
    """True for script steps (4 s); conditions and policies have 300 ms (reliability.md §13.2)."""


@dataclass(slots=True, kw_only=True)
class Needs:
    """What a decision lacks; the store loads it and asks again."""

    runs: set[str] = field(default_factory=set)
    references: set[str] = field(default_factory=set)
    before: set[tuple[str, int]] = field(default_factory=set)
    in_motion: bool = False
    whole: bool = False
    rounds: set[tuple[str, tuple[str, ...], str]] = field(default_factory=set)
    """(loop position, references of its body, suffix of their positions)."""
    attached: set[str] = field(default_factory=set)
    dynamic: set[str] = field(default_factory=set)
    children: set[tuple[str, int | None]] = field(default_factory=set)
    inline_children: dict[str, JSONValue] = field(default_factory=dict)
    policies: set[str] = field(default_factory=set)
    approvals: dict[str, str] = field(default_factory=dict)
    """Approval id → hash of what will be sent."""
    polled: set[str] = field(default_factory=set)
    """Task names of which the domains polled lately must be known."""
    owners: set[str] = field(default_factory=set)
    """Effect ids of which it must be known whether they are another run's."""
    plan: bool = False
    plan_entries: bool = False

    def __bool__(self) -> bool:
        return bool(
            self.runs
            or self.references
            or self.before
            or self.in_motion
            or self.whole
            or self.rounds
            or self.attached
            or self.dynamic
            or self.children
            or self.inline_children
            or self.policies
            or self.approvals
            or self.polled
            or self.owners
            or self.plan
            or self.plan_entries
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StartAttempt:
    """A step run gets its next attempt; the row is the task that Conductor clients see."""

    attempt_id: str
    step_run_id: str
    number: int
    state: AttemptState
    callback_after: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeAttempt:
    """An attempt is taken, handed back or ended."""

    attempt_id: str
    changes: Mapping[str, Any]
    """Columns of the attempt row; `poll_count` counts up by this much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordLate:
    """A result came that no longer counts; it is kept and changes nothing else."""

    attempt_id: str
    step_run_id: str
    result: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class SetTimer:
    """One live timer per purpose and subject; setting it again moves it."""

    purpose: str
    due_at: datetime
    subject: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClearTimer:
    """Forget a timer, if it is set."""

    purpose: str
    subject: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartChild:
    """Start a sub-workflow as an execution of its own."""

    id: str
    version_id: int
    workflow_name: str
    number: int
    is_saga: bool
    step_run_id: str
    input: dict[str, Any]
    domains: Mapping[str, str]
    priority: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SendNotice:
    """Tell another execution something; it takes it in its own next transition."""

    execution_id: str
    kind: str
    """`CHILD`, `STOP`, `UNDO` or `RETRY`."""
    data: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class StorePlan:
    """A plan becomes the active one of its execution."""

    id: str
    number: int
    hash: str
    trigger: str
    triggered_by: str
    reason: str
    entries: tuple[dict[str, Any], ...]
    edges: tuple[tuple[str, str], ...]
    cannot_be_undone: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EndPlan:
    """The active plan is settled or rejected."""

    id: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenApproval:
    """An entry waits for people: the gate opens a request (saga-semantics §7)."""

    id: str
    entry_id: str
    reference: str
    round: int
    undo_input: dict[str, Any]
    """What will be sent, canonical: request body of an HTTP undo, else the task input."""
    original_input: dict[str, Any] | None
    """What the definition maps, where an operator amended it."""
    input_hash: str
    endpoint: str
    amount: dict[str, Any] | None
    approval: dict[str, Any]
    """The rule: groups, quorum, distinctFrom, deadlineSeconds, escalation, amendable, …"""
    definition_hash: str
    plan_hash: str
    triggered_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseApproval:
    """A request that is no longer needed (the entry left the plan, or became stale)."""

    id: str
    state: str


Command = (
    StartAttempt
    | ChangeAttempt
    | RecordLate
    | SetTimer
    | ClearTimer
    | StartChild
    | SendNotice
    | StorePlan
    | EndPlan
    | OpenApproval
    | CloseApproval
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The answer of `decide`."""

    execution: ExecutionView
    """The row as it should be."""
    changed: frozenset[str] = frozenset()
    """Columns of the execution that differ."""
    created: tuple[StepRun, ...] = ()
    updated: tuple[tuple[StepRun, frozenset[str]], ...] = ()
    """Step runs with the names of the columns that differ."""
    commands: tuple[Command, ...] = ()
    events: tuple[Event, ...] = ()
    questions: tuple[Question, ...] = ()
    needs: Needs | None = None
    fresh: tuple[StepRun, ...] = ()
    """Step runs that became claimable and were not handed out: somebody should be woken."""
    claimed: tuple[StepRun, ...] = ()
    """Step runs that this decision handed to the worker that asked."""
    refused: tuple[str, ...] = ()
    """Step runs whose claim or result was not accepted."""

    @property
    def is_empty(self) -> bool:
        """Tell whether there is nothing to store."""
        return not (self.changed or self.created or self.updated or self.commands or self.events)
