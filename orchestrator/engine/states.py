"""States of executions, step runs and ledger entries, and the moves each table allows.

The only list of states in code (saga-semantics §2). Rows store the names as they stand here; check
constraints of the database are made from the same enums.
"""

from collections.abc import Mapping
from enum import StrEnum

from orchestrator.engine.errors import IllegalTransition


class ExecutionState(StrEnum):
    """Where an execution is (saga-semantics §2.1); `paused` is a flag beside it."""

    CREATED = "CREATED"
    RUNNING = "RUNNING"
    STOPPING = "STOPPING"
    PLANNING = "PLANNING"
    COMPENSATING = "COMPENSATING"
    NEEDS_ATTENTION = "NEEDS_ATTENTION"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    TIMED_OUT = "TIMED_OUT"
    TERMINATED = "TERMINATED"
    COMPENSATED = "COMPENSATED"
    PARTIALLY_COMPENSATED = "PARTIALLY_COMPENSATED"

    @property
    def is_terminal(self) -> bool:
        """Tell whether nothing moves any more by itself."""
        return self in TERMINAL_EXECUTIONS


class ForwardResult(StrEnum):
    """The forward result of an epoch (`outcome`); never erased by undo."""

    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    TIMED_OUT = "TIMED_OUT"
    TERMINATED = "TERMINATED"


class ErrorClass(StrEnum):
    """What kind of failure ended the forward work (saga-semantics §2.1)."""

    FAILED = "FAILED"
    FAILED_TERMINAL = "FAILED_TERMINAL"
    TIMED_OUT = "TIMED_OUT"
    UNKNOWN = "UNKNOWN"


class StepState(StrEnum):
    """Where a step run is (saga-semantics §2.2)."""

    SCHEDULED = "SCHEDULED"
    DISPATCHED = "DISPATCHED"
    WAITING = "WAITING"
    RETRY_WAIT = "RETRY_WAIT"
    COMPLETED = "COMPLETED"
    COMPLETED_WITH_ERRORS = "COMPLETED_WITH_ERRORS"
    FAILED = "FAILED"
    UNKNOWN = "UNKNOWN"
    SKIPPED = "SKIPPED"
    CANCELLED = "CANCELLED"

    @property
    def is_settled(self) -> bool:
        """Tell whether the step run has its result; UNKNOWN is one too, until someone knows."""
        return self in SETTLED_STEPS

    @property
    def is_successful(self) -> bool:
        """Tell whether what comes after may start."""
        return self in SUCCESSFUL_STEPS


class EntryState(StrEnum):
    """Where a ledger entry is: the undo of one step run (saga-semantics §2.3)."""

    TENTATIVE = "TENTATIVE"
    ARMED = "ARMED"
    UNCERTAIN = "UNCERTAIN"
    VOID = "VOID"
    SEALED = "SEALED"
    PLANNED = "PLANNED"
    AWAITING_APPROVAL = "AWAITING_APPROVAL"
    DELAYED = "DELAYED"
    READY = "READY"
    RUNNING = "RUNNING"
    RETRY_WAIT = "RETRY_WAIT"
    COMPENSATION_FAILED = "COMPENSATION_FAILED"
    MANUAL = "MANUAL"
    COMPENSATED = "COMPENSATED"
    SKIPPED = "SKIPPED"
    RESOLVED_MANUALLY = "RESOLVED_MANUALLY"
    LATE_EFFECT = "LATE_EFFECT"

    @property
    def is_settled(self) -> bool:
        """Tell whether entries ordered after this one may go on."""
        return self in SETTLED_ENTRIES

    @property
    def is_open(self) -> bool:
        """Tell whether the undo is under way: it belongs to a plan and is not settled."""
        return self in OPEN_ENTRIES

    @property
    def is_undoable(self) -> bool:
        """Tell whether a plan may choose it."""
        return self in (EntryState.ARMED, EntryState.UNCERTAIN)


class AttemptState(StrEnum):
    """Where one try is; its outcome stands beside it."""

    SCHEDULED = "SCHEDULED"
    DISPATCHED = "DISPATCHED"
    WAITING = "WAITING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    FAILED_TERMINAL = "FAILED_TERMINAL"
    TIMED_OUT = "TIMED_OUT"
    UNKNOWN = "UNKNOWN"
    CANCELLED = "CANCELLED"


class Direction(StrEnum):
    """What a step run is for."""

    FORWARD = "FORWARD"
    COMPENSATION = "COMPENSATION"
    PROBE = "PROBE"
    CONFIRM = "CONFIRM"


TERMINAL_EXECUTIONS = frozenset(
    {
        ExecutionState.COMPLETED,
        ExecutionState.FAILED,
        ExecutionState.TIMED_OUT,
        ExecutionState.TERMINATED,
        ExecutionState.COMPENSATED,
        ExecutionState.PARTIALLY_COMPENSATED,
    }
)
SUCCESSFUL_STEPS = frozenset(
    {StepState.COMPLETED, StepState.COMPLETED_WITH_ERRORS, StepState.SKIPPED}
)
SETTLED_STEPS = SUCCESSFUL_STEPS | {StepState.FAILED, StepState.UNKNOWN, StepState.CANCELLED}
SETTLED_ENTRIES = frozenset(
    {
        EntryState.COMPENSATED,
        EntryState.RESOLVED_MANUALLY,
        EntryState.SKIPPED,
        EntryState.VOID,
        EntryState.SEALED,
    }
)
OPEN_ENTRIES = frozenset(
    {
        EntryState.PLANNED,
        EntryState.AWAITING_APPROVAL,
        EntryState.DELAYED,
        EntryState.READY,
        EntryState.RUNNING,
        EntryState.RETRY_WAIT,
        EntryState.COMPENSATION_FAILED,
        EntryState.MANUAL,
        EntryState.LATE_EFFECT,
    }
)
# What only a person can move on (saga-semantics §2.1, NEEDS_ATTENTION).
STUCK_ENTRIES = frozenset(
    {EntryState.COMPENSATION_FAILED, EntryState.MANUAL, EntryState.LATE_EFFECT}
)

_E = ExecutionState
_ENDED_WITHOUT_UNDO = frozenset({_E.FAILED, _E.TIMED_OUT, _E.TERMINATED})

EXECUTION_TRANSITIONS: Mapping[ExecutionState, frozenset[ExecutionState]] = {
    _E.CREATED: frozenset({_E.RUNNING, _E.TERMINATED}),
    _E.RUNNING: frozenset({_E.COMPLETED, _E.STOPPING, _E.NEEDS_ATTENTION, *_ENDED_WITHOUT_UNDO}),
    _E.STOPPING: frozenset(
        {_E.PLANNING, _E.NEEDS_ATTENTION, _E.RUNNING, _E.COMPLETED, *_ENDED_WITHOUT_UNDO}
    ),
    _E.PLANNING: frozenset(
        {_E.COMPENSATING, _E.COMPLETED, _E.PARTIALLY_COMPENSATED, *_ENDED_WITHOUT_UNDO}
    ),
    _E.COMPENSATING: frozenset(
        {_E.COMPENSATED, _E.PARTIALLY_COMPENSATED, _E.RUNNING, _E.NEEDS_ATTENTION}
    ),
    _E.NEEDS_ATTENTION: frozenset(
        {_E.COMPENSATING, _E.PLANNING, _E.STOPPING, _E.RUNNING, *TERMINAL_EXECUTIONS}
    ),
    _E.COMPLETED: frozenset({_E.PLANNING, _E.NEEDS_ATTENTION}),
    _E.FAILED: frozenset({_E.PLANNING, _E.RUNNING, _E.NEEDS_ATTENTION, _E.TERMINATED}),
    _E.TIMED_OUT: frozenset({_E.PLANNING, _E.RUNNING, _E.NEEDS_ATTENTION, _E.TERMINATED}),
    _E.TERMINATED: frozenset({_E.PLANNING, _E.RUNNING, _E.NEEDS_ATTENTION}),
    _E.COMPENSATED: frozenset({_E.NEEDS_ATTENTION}),
    _E.PARTIALLY_COMPENSATED: frozenset({_E.PLANNING, _E.NEEDS_ATTENTION}),
}

_S = StepState

STEP_TRANSITIONS: Mapping[StepState, frozenset[StepState]] = {
    _S.SCHEDULED: frozenset(
        {
            _S.DISPATCHED,
            _S.CANCELLED,
            _S.SKIPPED,
            _S.RETRY_WAIT,
            _S.FAILED,
            _S.WAITING,
            _S.COMPLETED,
            _S.COMPLETED_WITH_ERRORS,
        }
    ),
    _S.DISPATCHED: frozenset(
        {
            _S.WAITING,
            _S.COMPLETED,
            _S.COMPLETED_WITH_ERRORS,
            _S.RETRY_WAIT,
            _S.FAILED,
            _S.UNKNOWN,
            _S.CANCELLED,
        }
    ),
    _S.WAITING: frozenset(
        {
            _S.COMPLETED,
            _S.COMPLETED_WITH_ERRORS,
            _S.RETRY_WAIT,
            _S.FAILED,
            _S.UNKNOWN,
            _S.CANCELLED,
            _S.DISPATCHED,
        }
    ),
    _S.RETRY_WAIT: frozenset({_S.DISPATCHED, _S.WAITING, _S.FAILED, _S.UNKNOWN, _S.CANCELLED}),
    _S.COMPLETED: frozenset(),
    _S.COMPLETED_WITH_ERRORS: frozenset(),
    _S.FAILED: frozenset({_S.SCHEDULED}),
    _S.UNKNOWN: frozenset({_S.COMPLETED, _S.FAILED, _S.RETRY_WAIT, _S.SCHEDULED}),
    _S.SKIPPED: frozenset(),
    _S.CANCELLED: frozenset({_S.SCHEDULED}),
}

_L = EntryState

ENTRY_TRANSITIONS: Mapping[EntryState, frozenset[EntryState]] = {
    _L.TENTATIVE: frozenset({_L.ARMED, _L.UNCERTAIN, _L.VOID}),
    _L.ARMED: frozenset({_L.PLANNED, _L.SEALED}),
    _L.UNCERTAIN: frozenset({_L.ARMED, _L.VOID, _L.PLANNED}),
    _L.VOID: frozenset({_L.LATE_EFFECT, _L.TENTATIVE}),
    _L.SEALED: frozenset({_L.PLANNED}),
    _L.PLANNED: frozenset(
        {
            _L.AWAITING_APPROVAL,
            _L.DELAYED,
            _L.MANUAL,
            _L.READY,
            # A rejected plan gives its entries back as they were.
            _L.ARMED,
            _L.UNCERTAIN,
            _L.SEALED,
            _L.SKIPPED,
            _L.LATE_EFFECT,
        }
    ),
    _L.AWAITING_APPROVAL: frozenset({_L.READY, _L.DELAYED, _L.SKIPPED, _L.MANUAL}),
    _L.DELAYED: frozenset({_L.READY, _L.AWAITING_APPROVAL, _L.MANUAL}),
    _L.READY: frozenset({_L.RUNNING, _L.AWAITING_APPROVAL, _L.MANUAL, _L.COMPENSATION_FAILED}),
    _L.RUNNING: frozenset(
        {
            _L.COMPENSATED,
            _L.RETRY_WAIT,
            _L.COMPENSATION_FAILED,
            _L.AWAITING_APPROVAL,
            _L.LATE_EFFECT,
        }
    ),
    _L.RETRY_WAIT: frozenset({_L.RUNNING, _L.COMPENSATION_FAILED}),
    _L.COMPENSATION_FAILED: frozenset(
        {
            _L.READY,
            _L.AWAITING_APPROVAL,
            _L.SKIPPED,
            _L.RESOLVED_MANUALLY,
            _L.MANUAL,
            _L.COMPENSATED,
        }
    ),
    _L.MANUAL: frozenset({_L.RESOLVED_MANUALLY, _L.SKIPPED, _L.READY}),
    _L.COMPENSATED: frozenset({_L.LATE_EFFECT}),
    _L.SKIPPED: frozenset({_L.PLANNED}),
    _L.RESOLVED_MANUALLY: frozenset(),
    _L.LATE_EFFECT: frozenset({_L.PLANNED, _L.RESOLVED_MANUALLY, _L.COMPENSATED}),
}


def check_execution_move(source: ExecutionState, target: ExecutionState) -> None:
    """Raise `IllegalTransition` unless the table allows the move."""
    if target not in EXECUTION_TRANSITIONS[source]:
        raise IllegalTransition(source, target)


def check_step_move(source: StepState, target: StepState) -> None:
    """Raise `IllegalTransition` unless the table allows the move."""
    if target not in STEP_TRANSITIONS[source]:
        raise IllegalTransition(source, target)


def check_entry_move(source: EntryState, target: EntryState) -> None:
    """Raise `IllegalTransition` unless the table allows the move."""
    if target not in ENTRY_TRANSITIONS[source]:
        raise IllegalTransition(source, target)
