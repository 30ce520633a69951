"""A definition as frozen values: what `document.parse` makes of a document.

Names follow product.md §3 and conductor/definitions.md §1 to §3; lengths of time are seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from orchestrator.engine.canonical import JSONValue

EMPTY: Mapping[str, JSONValue] = {}


class Kind(StrEnum):
    """Which rules a definition runs by (product.md §3, *Three kinds of definition*)."""

    PLAIN = "PLAIN"
    IMPLICIT = "IMPLICIT"
    """Saga keys on tasks, no `saga` object: saga rules with defaults, lenient checks."""
    SAGA = "SAGA"


class EffectClass(StrEnum):
    """What a step does to the world (saga-semantics §1)."""

    NONE = "NONE"
    REVERSIBLE = "REVERSIBLE"
    PIVOT = "PIVOT"
    RETRIABLE = "RETRIABLE"
    IRREVERSIBLE = "IRREVERSIBLE"


class UndoPolicy(StrEnum):
    """Who lets an undo start (saga-semantics §6)."""

    AUTOMATIC = "AUTOMATIC"
    APPROVAL = "APPROVAL"
    APPROVAL_IF = "APPROVAL_IF"
    MANUAL = "MANUAL"


class OnUnknown(StrEnum):
    """One way to settle an unknown outcome (saga-semantics §3)."""

    PROBE = "PROBE"
    RETRY = "RETRY"
    COMPENSATE = "COMPENSATE"
    ASK = "ASK"


ALL_WAYS = (OnUnknown.PROBE, OnUnknown.RETRY, OnUnknown.COMPENSATE, OnUnknown.ASK)


class RetryLogic(StrEnum):
    """How the delay between attempts grows (conductor/definitions.md §7.1)."""

    FIXED = "FIXED"
    LINEAR_BACKOFF = "LINEAR_BACKOFF"
    EXPONENTIAL_BACKOFF = "EXPONENTIAL_BACKOFF"


class TimeoutPolicy(StrEnum):
    """What follows a timeout (conductor/definitions.md §7.2)."""

    RETRY = "RETRY"
    TIME_OUT_WF = "TIME_OUT_WF"
    ALERT_ONLY = "ALERT_ONLY"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPolicy:
    """A Conductor TaskDef, as far as the engine needs it; defaults are Conductor's."""

    name: str
    retry_count: int = 3
    """Number of *re*-tries."""
    retry_logic: RetryLogic = RetryLogic.FIXED
    retry_delay_seconds: int = 60
    backoff_scale_factor: int = 1
    max_retry_delay_seconds: int = 0
    """0 = no cap; applied before jitter."""
    backoff_jitter_ms: int = 0
    timeout_seconds: int = 0
    """One attempt, from its start; 0 = off."""
    total_timeout_seconds: int = 0
    response_timeout_seconds: int = 3600
    poll_timeout_seconds: int = 0
    timeout_policy: TimeoutPolicy = TimeoutPolicy.TIME_OUT_WF
    input_template: Mapping[str, JSONValue] = field(default_factory=dict)
    concurrent_limit: int = 0
    rate_limit: int = 0
    rate_limit_seconds: int = 1
    input_schema: Mapping[str, JSONValue] | None = None
    output_schema: Mapping[str, JSONValue] | None = None


BUILT_IN_POLICY = TaskPolicy(name="", retry_count=0, response_timeout_seconds=0)
"""What an unregistered task of a built-in type gets: it never retries by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A condition: `evaluatorType` (javascript, graaljs, value-param) and its expression."""

    evaluator: str
    expression: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """Money at stake: two templates."""

    value: JSONValue
    currency: JSONValue


@dataclass(frozen=True, slots=True, kw_only=True)
class EscalationLevel:
    """The next people to ask, and for how long."""

    groups: tuple[str, ...]
    deadline_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """Who must agree to an undo (saga-semantics §7)."""

    groups: tuple[str, ...] = ()
    quorum: int = 1
    distinct_from: tuple[str, ...] = ("STARTER", "TRIGGERER", "PUBLISHER")
    deadline_seconds: int = 86400
    escalation: tuple[EscalationLevel, ...] = ()
    on_exhausted: str = "ATTENTION"
    amendable: tuple[str, ...] = ()
    instructions: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoRetry:
    """The own retry policy of a whole undo (saga-semantics §9); full jitter."""

    maximum_attempts: int = 10
    initial_interval_seconds: float = 2
    backoff_coefficient: float = 2
    maximum_interval_seconds: float = 900
    attempt_timeout_seconds: float = 60
    total_timeout_seconds: float = 86400


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A business time: `at` is a template of ISO-8601 or wall time in `zone`, `lead` before it."""

    at: JSONValue
    lead: str | None = None
    zone: str = "UTC"


@dataclass(frozen=True, slots=True, kw_only=True)
class Compensation:
    """The undo of one step (product.md §3, keys C)."""

    tasks: tuple["Step", ...]
    policy: UndoPolicy = UndoPolicy.AUTOMATIC
    approval_if: Script | None = None
    approval: Approval = field(default_factory=Approval)
    retry: UndoRetry = field(default_factory=UndoRetry)
    blocks_on_failure: bool = True
    """`onFailure: BLOCK`; False is CONTINUE."""
    safe_if_not_applied: bool | None = None
    """None = not said, which counts as False and is problem E2."""
    independent: bool = False
    after: tuple[str, ...] = ()
    not_before: Moment | None = None
    not_after: Moment | None = None
    on_window_closed: str = "MANUAL"
    alternate: tuple["Step", ...] = ()
    cascade: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SubWorkflow:
    """`subWorkflowParam`; `version` and `definition` may be templates."""

    name: str
    version: JSONValue = None
    definition: JSONValue = None
    task_to_domain: Mapping[str, str] = field(default_factory=dict)
    priority: JSONValue = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SagaSettings:
    """`saga` of a definition or block (product.md §3, keys D and B)."""

    on_failure: str = "BACKWARD"
    """BACKWARD, FORWARD, ASK or NONE."""
    max_retries: int | None = None
    retry_delay_seconds: int = 1
    retry_on: tuple[str, ...] = ("FAILED", "FAILED_TERMINAL", "TIMED_OUT", "UNKNOWN")
    accept_partial: bool = False
    keep: tuple[str, ...] = ()
    serial: bool = False
    max_parallel: int = 10
    confirm_plan: str | Script = "NEVER"
    quiesce_timeout_seconds: int = 60
    unknown_settle_delay_seconds: int | None = None
    """None = the larger of 30 and the step's attempt timeout."""
    compensation_deadline_seconds: int = 86400
    triggers: tuple[Mapping[str, JSONValue], ...] = ()
    waive: tuple[Mapping[str, JSONValue], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One Conductor WorkflowTask with its saga keys; unused fields keep their defaults."""

    reference: str
    name: str
    type: str
    path: str
    """JSON pointer of the task in the document, e.g. `/tasks/0/loopOver/1`."""
    inputs: Mapping[str, JSONValue] = field(default_factory=dict)
    optional: bool = False
    permissive: bool = False
    start_delay: int = 0
    retry_count: int | None = None
    task_policy: TaskPolicy | None = None
    """The inline `taskDefinition`."""
    async_complete: bool = False

    evaluator: str = ""
    expression: str = ""
    """Of SWITCH and INLINE; `caseExpression` of DECISION; `scriptExpression` of LAMBDA."""
    case_value_param: str = ""
    cases: Mapping[str, tuple["Step", ...]] = field(default_factory=dict)
    default_case: tuple["Step", ...] = ()
    branches: tuple[tuple["Step", ...], ...] = ()
    join_on: tuple[str, ...] = ()
    default_exclusive_join: tuple[str, ...] = ()
    dynamic_name_param: str = ""
    dynamic_tasks_param: str = ""
    dynamic_inputs_param: str = ""
    dynamic_join_tasks_param: str = ""
    body: tuple["Step", ...] = ()
    loop_condition: str = ""
    items: JSONValue = None
    sub_workflow: SubWorkflow | None = None
    sink: str = ""

    effect: EffectClass | None = None
    """As written; `effect_class` of the graph node fills the default of product.md §3."""
    compensation: Compensation | None = None
    compensate_once: bool = False
    probe: "Step | None" = None
    on_unknown: tuple[OnUnknown, ...] = ALL_WAYS
    on_stop: str = "WAIT"
    outcomes: Mapping[str, str] = field(default_factory=dict)
    amount: Amount | None = None
    effect_id: JSONValue = None
    savepoint: bool = False
    window: JSONValue = None
    confirm: tuple["Step", ...] = ()
    saga: SagaSettings | None = None

    document: Mapping[str, JSONValue] = field(default_factory=dict)
    """The task as written, unknown keys included, saga keys of the carrier merged in."""
    carried: Mapping[str, str] = field(default_factory=dict)
    """Pointers of the saga keys that stand in the carrier and not in the task."""

    @property
    def keyed(self) -> frozenset[str]:
        """References of undo and confirm steps whose key carries the reference (§12).

        Those that share their undo or hook with others, and those of the other undo: what the
        first one was answered must not be taken for an answer to it.
        """
        undo = self.compensation
        sequences = [self.confirm if len(self.confirm) > 1 else ()]
        if undo is not None:
            sequences += [undo.tasks if len(undo.tasks) > 1 else (), undo.alternate]
        return frozenset(task.reference for sequence in sequences for task in sequence)


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """A parsed definition document."""

    name: str
    version: int
    kind: Kind
    tasks: tuple[Step, ...]
    saga: SagaSettings = field(default_factory=SagaSettings)
    input_template: Mapping[str, JSONValue] = field(default_factory=dict)
    output_parameters: Mapping[str, JSONValue] = field(default_factory=dict)
    variables: Mapping[str, JSONValue] = field(default_factory=dict)
    timeout_policy: TimeoutPolicy = TimeoutPolicy.ALERT_ONLY
    timeout_seconds: int = 0
    failure_workflow: str = ""
    failure_workflow_version: int | None = None
    restartable: bool = True
    input_schema: Mapping[str, JSONValue] | None = None
    output_schema: Mapping[str, JSONValue] | None = None
    saga_path: str = ""
    """JSON pointer of the `saga` object; empty without one."""
    document: Mapping[str, JSONValue] = field(default_factory=dict)
    """The document as stored and given back."""

    @property
    def is_plain(self) -> bool:
        """Tell whether the definition runs exactly as Conductor would."""
        return self.kind is Kind.PLAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong with a definition."""

    code: str
    """`FORMAT`, `CONDUCTOR`, `E1`…`E11` or `W1`…`W12` (saga-semantics §14)."""
    severity: str
    """`error` or `warning`."""
    path: str
    """JSON pointer into the document."""
    message: str
    task_reference: str = ""
    waived: str = ""
    """The stored reason, when a W is switched off."""
