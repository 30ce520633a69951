"""The saga keys of a task and of its `compensation` (product.md §3, keys T and C)."""

import re
from collections.abc import Mapping
from typing import Protocol, TypedDict

from orchestrator.engine.canonical import JSONValue
from orchestrator.engine.definition.durations import (
    MalformedTime,
    parse_duration,
    parse_moment,
    parse_zone,
)
from orchestrator.engine.definition.fields import SagaFields
from orchestrator.engine.definition.model import (
    ALL_WAYS,
    Amount,
    Approval,
    Compensation,
    EffectClass,
    EscalationLevel,
    Moment,
    OnUnknown,
    SagaSettings,
    Script,
    Step,
    UndoPolicy,
    UndoRetry,
)
from orchestrator.engine.definition.problems import pointer, spoken
from orchestrator.engine.definition.saga_settings import read_block_settings, read_script

COMPENSATION_KEYS = (
    "tasks",
    "policy",
    "approvalIf",
    "approval",
    "retry",
    "onFailure",
    "safeIfNotApplied",
    "independent",
    "after",
    "notBefore",
    "notAfter",
    "onWindowClosed",
    "alternate",
    "cascade",
)
BLOCK_TYPES = ("DO_WHILE", "FORK_JOIN", "FORK_JOIN_DYNAMIC", "SWITCH")
CONTROL_FLOW = (*BLOCK_TYPES, "DECISION", "JOIN", "EXCLUSIVE_JOIN", "TERMINATE", "COMPENSATE")
OUTCOME_KEY = re.compile(r"[1-5](?:\d\d|xx)|timeout|connection", re.ASCII)
OUTCOMES = ("APPLIED", "NOT_APPLIED", "TERMINAL", "UNKNOWN")
DISTINCT_FROM = ("STARTER", "TRIGGERER", "PUBLISHER")


class SagaKeys(TypedDict):
    """The saga part of a `Step`, under the names of its fields."""

    effect: EffectClass | None
    compensation: Compensation | None
    compensate_once: bool
    probe: Step | None
    on_unknown: tuple[OnUnknown, ...]
    on_stop: str
    outcomes: Mapping[str, str]
    amount: Amount | None
    effect_id: JSONValue
    savepoint: bool
    window: JSONValue
    confirm: tuple[Step, ...]
    saga: SagaSettings | None


class AttachedReader(Protocol):
    """Reads the tasks inside an undo, a probe or a confirm."""

    def attached(self, fields: SagaFields, key: str, role: str) -> tuple[Step, ...]:
        """Read the task list under a key."""

    def attached_one(self, fields: SagaFields, key: str, role: str) -> Step | None:
        """Read the single task under a key."""


def read_saga_keys(fields: SagaFields, step_type: str, reader: AttachedReader) -> SagaKeys:
    """Read every saga key of a task."""
    once = fields.one_of("compensate", "EACH", ("EACH", "ONCE")) == "ONCE"
    check_fits(fields, step_type, once=once)
    return SagaKeys(
        effect=read_effect(fields),
        compensation=read_compensation(fields, step_type, reader),
        compensate_once=once,
        probe=reader.attached_one(fields, "probe", "probe"),
        on_unknown=read_ways(fields),
        on_stop=fields.one_of("onStop", "WAIT", ("WAIT", "CANCEL", "ABANDON")),
        outcomes=read_outcomes(fields, step_type),
        amount=read_amount(fields),
        effect_id=fields.text("effectId") or None,
        savepoint=fields.flag("savepoint", default=False),
        window=read_window(fields),
        confirm=read_confirm(fields, reader),
        saga=read_block(fields, step_type),
    )


def check_fits(fields: SagaFields, step_type: str, *, once: bool) -> None:
    """Note keys that stand on a type of task which cannot have them."""
    if fields.given("compensate") is not None and step_type != "DO_WHILE":
        fields.wrong("compensate", f"`compensate` belongs to DO_WHILE, not to {step_type[:60]}.")
    if fields.given("compensation") is None:
        if once and step_type == "DO_WHILE":
            message = 'With `"compensate": "ONCE"` the loop needs a `compensation` of its own.'
            fields.wrong("compensate", message)
        return
    if step_type == "DO_WHILE" and not once:
        fields.wrong(
            "compensation", 'A loop has a `compensation` only with `"compensate": "ONCE"`.'
        )
    elif step_type in CONTROL_FLOW and step_type != "DO_WHILE":
        fields.wrong("compensation", f"Control flow ({step_type}) has no `compensation`.")


def read_effect(fields: SagaFields) -> EffectClass | None:
    """Read the effect class."""
    name = fields.one_of("effect", "", [member.value for member in EffectClass])
    return EffectClass(name) if name else None


def read_ways(fields: SagaFields) -> tuple[OnUnknown, ...]:
    """Read how an unknown outcome is settled."""
    if fields.given("onUnknown") is None:
        return ALL_WAYS
    names = fields.some_of("onUnknown", [member.value for member in OnUnknown])
    return tuple(OnUnknown(name) for name in names)


def read_outcomes(fields: SagaFields, step_type: str) -> Mapping[str, str]:
    """Read the author's own reading of HTTP answers."""
    inner = fields.inner("outcomes")
    if inner is None:
        return {}
    if step_type != "HTTP":
        fields.wrong("outcomes", f"`outcomes` belongs to HTTP, not to {step_type[:60]}.")
    found: dict[str, str] = {}
    for key in inner.source:
        if not OUTCOME_KEY.fullmatch(key):
            inner.wrong(
                key, f'{spoken(key)} is no outcome; use "409", "5xx", "timeout", "connection".'
            )
            continue
        meaning = inner.one_of(key, "", OUTCOMES)
        if meaning:
            found[key] = meaning
    return found


def read_amount(fields: SagaFields) -> Amount | None:
    """Read the money at stake."""
    inner = fields.inner("amount")
    if inner is None:
        return None
    inner.only(("value", "currency"))
    has_value, has_currency = inner.required("value"), inner.required("currency")
    if has_value and not is_number_or_template(inner.given("value")):
        inner.expected("value", "a number or an expression")
    if has_currency and not isinstance(inner.given("currency"), str):
        inner.expected("currency", "a text such as EUR, or an expression")
    return Amount(value=inner.given("value"), currency=inner.given("currency"))


def is_number_or_template(value: JSONValue) -> bool:
    """Tell whether a value can be an amount."""
    if isinstance(value, str):
        return "${" in value or bool(re.fullmatch(r"-?\d{1,30}(\.\d{1,30})?", value, re.ASCII))
    return isinstance(value, int | float) and not isinstance(value, bool)


def read_window(fields: SagaFields) -> JSONValue:
    """Read how long the step can be undone: a duration, or an expression giving a moment."""
    window = fields.text("window")
    check_duration(fields, "window")
    return window or None


def check_duration(fields: SagaFields, key: str) -> None:
    """Note a text that is neither an ISO-8601 duration nor an expression."""
    text = fields.given(key)
    if not isinstance(text, str) or "${" in text:
        return
    try:
        parse_duration(text)
    except MalformedTime as error:
        fields.wrong(key, f"`{key}`: {error}")


def read_confirm(fields: SagaFields, reader: AttachedReader) -> tuple[Step, ...]:
    """Read what runs once when the window closes."""
    inner = fields.inner("confirm")
    if inner is None:
        return ()
    inner.only(("tasks",))
    return reader.attached(inner, "tasks", "confirm")


def read_block(fields: SagaFields, step_type: str) -> SagaSettings | None:
    """Read the settings of an explicit block."""
    inner = fields.inner("saga")
    if inner is None:
        return None
    if step_type not in BLOCK_TYPES:
        allowed = ", ".join(BLOCK_TYPES)
        fields.wrong("saga", f"`saga` belongs to {allowed}, not to {step_type[:60]}.")
    return read_block_settings(inner)


def read_compensation(
    fields: SagaFields, step_type: str, reader: AttachedReader
) -> Compensation | None:
    """Read the undo of a step."""
    inner = fields.inner("compensation")
    if inner is None:
        return None
    inner.only(COMPENSATION_KEYS)
    cascade = inner.flag("cascade", default=False)
    if cascade and step_type != "SUB_WORKFLOW":
        inner.wrong("cascade", f"`cascade` belongs to SUB_WORKFLOW, not to {step_type[:60]}.")
    policy = UndoPolicy(inner.one_of("policy", "AUTOMATIC", [each.value for each in UndoPolicy]))
    is_safe = inner.given("safeIfNotApplied") is not None
    return Compensation(
        tasks=reader.attached(inner, "tasks", "undo"),
        policy=policy,
        approval_if=read_approval_if(inner, policy),
        approval=read_approval(inner),
        retry=read_retry(inner),
        blocks_on_failure=inner.one_of("onFailure", "BLOCK", ("BLOCK", "CONTINUE")) == "BLOCK",
        safe_if_not_applied=inner.flag("safeIfNotApplied", default=False) if is_safe else None,
        independent=inner.flag("independent", default=False),
        after=inner.texts("after"),
        not_before=read_moment(inner, "notBefore"),
        not_after=read_moment(inner, "notAfter"),
        alternate=read_alternate(inner, reader),
        on_window_closed=read_on_window_closed(inner),
        cascade=cascade,
    )


def read_approval_if(fields: SagaFields, policy: UndoPolicy) -> Script | None:
    """Read the condition under which an undo needs approval."""
    inner = fields.inner("approvalIf")
    if inner is not None:
        return read_script(inner)
    if policy is UndoPolicy.APPROVAL_IF and fields.given("approvalIf") is None:
        fields.wrong("policy", "The policy APPROVAL_IF needs `approvalIf`.")
    return None


def read_approval(fields: SagaFields) -> Approval:
    """Read who must agree."""
    inner = fields.inner("approval")
    if inner is None:
        return Approval()
    inner.only(
        (
            "groups",
            "quorum",
            "distinctFrom",
            "deadlineSeconds",
            "escalation",
            "onExhausted",
            "amendable",
            "instructions",
        )
    )
    is_distinct = inner.given("distinctFrom") is not None
    return Approval(
        groups=inner.texts("groups"),
        quorum=inner.integer("quorum", 1, least=1),
        distinct_from=inner.some_of("distinctFrom", DISTINCT_FROM)
        if is_distinct
        else DISTINCT_FROM,
        deadline_seconds=inner.integer("deadlineSeconds", 86400, least=1),
        escalation=tuple(read_level(level) for level in inner.inner_items("escalation")),
        on_exhausted=inner.one_of("onExhausted", "ATTENTION", ("ATTENTION", "MANUAL")),
        amendable=inner.texts("amendable"),
        instructions=inner.text("instructions"),
    )


def read_level(fields: SagaFields) -> EscalationLevel:
    """Read one level of escalation."""
    fields.only(("groups", "deadlineSeconds"))
    fields.required("groups")
    return EscalationLevel(
        groups=fields.texts("groups"),
        deadline_seconds=fields.integer("deadlineSeconds", 86400, least=1),
    )


def read_retry(fields: SagaFields) -> UndoRetry:
    """Read how often and how long the whole undo is tried."""
    inner = fields.inner("retry")
    if inner is None:
        return UndoRetry()
    inner.only(
        (
            "maximumAttempts",
            "initialIntervalSeconds",
            "backoffCoefficient",
            "maximumIntervalSeconds",
            "attemptTimeoutSeconds",
            "totalTimeoutSeconds",
        )
    )
    return UndoRetry(
        maximum_attempts=inner.integer("maximumAttempts", 10, least=1),
        initial_interval_seconds=inner.number("initialIntervalSeconds", 2),
        backoff_coefficient=inner.number("backoffCoefficient", 2, least=1),
        maximum_interval_seconds=inner.number("maximumIntervalSeconds", 900),
        attempt_timeout_seconds=inner.number("attemptTimeoutSeconds", 60, least=1),
        total_timeout_seconds=inner.number("totalTimeoutSeconds", 86400, least=1),
    )


def read_moment(fields: SagaFields, key: str) -> Moment | None:
    """Read a business time; only `notBefore` has a lead."""
    inner = fields.inner(key)
    if inner is None:
        return None
    inner.only(("at", "lead", "zone") if key == "notBefore" else ("at", "zone"))
    at, lead, zone = inner.text("at"), inner.text("lead"), inner.text("zone", "UTC")
    if inner.required("at") and "${" not in at:
        check_time(inner, "at", at)
    check_duration(inner, "lead")
    if "${" not in zone:
        check_time(inner, "zone", zone)
    return Moment(at=at, lead=lead or None, zone=zone)


def check_time(fields: SagaFields, key: str, text: str) -> None:
    """Note a text that is no moment, or no zone."""
    try:
        if key == "zone":
            parse_zone(text)
        elif isinstance(fields.given(key), str):
            parse_moment(text)
    except MalformedTime as error:
        fields.wrong(key, f"`{key}`: {error}")


def read_on_window_closed(fields: SagaFields) -> str:
    """Read what follows when the undo comes too late."""
    names = ("MANUAL", "ALTERNATE", "SKIP_WITH_APPROVAL")
    found = fields.one_of("onWindowClosed", "MANUAL", names)
    if found == "ALTERNATE" and fields.given("alternate") is None:
        fields.wrong("onWindowClosed", "ALTERNATE needs the tasks of the `alternate` undo.")
    return found


def read_alternate(fields: SagaFields, reader: AttachedReader) -> tuple[Step, ...]:
    """Read the other undo, for when it is too late for the first."""
    if fields.given("alternate") is None:
        return ()
    return reader.attached(fields, "alternate", "undo")


def after_pointer(step: Step, index: int) -> str:
    """Return where a name in `after` stands."""
    return pointer(saga_pointer(step, "compensation"), "after", index)


def saga_pointer(step: Step, key: str) -> str:
    """Return where a saga key of a step stands, in the task or in the carrier."""
    if key in step.carried:
        return step.carried[key]
    return pointer(step.path, key) if key in step.document else step.path
