"""The `saga` object of a definition or of a block (product.md §3, keys D and B)."""

import re
from collections.abc import Mapping

from orchestrator.engine.canonical import JSONValue
from orchestrator.engine.definition.fields import SagaFields
from orchestrator.engine.definition.model import SagaSettings, Script
from orchestrator.engine.definition.problems import pointer

BLOCK_KEYS = ("onFailure", "maxRetries", "retryDelaySeconds", "retryOn", "acceptPartial", "keep")
DEFINITION_KEYS = (
    *BLOCK_KEYS,
    "mode",
    "maxParallel",
    "confirmPlan",
    "quiesceTimeoutSeconds",
    "unknownSettleDelaySeconds",
    "compensationDeadlineSeconds",
    "triggers",
    "waive",
)
ON_FAILURE = ("BACKWARD", "FORWARD", "ASK", "NONE")
RETRY_ON = ("FAILED", "FAILED_TERMINAL", "TIMED_OUT", "UNKNOWN")
EVALUATORS = ("javascript", "graaljs", "value-param")
WARNING_CODE = re.compile(r"W(?:[1-9]|1[0-2])", re.ASCII)


def read_definition_settings(fields: SagaFields) -> SagaSettings:
    """Read the `saga` of a definition."""
    fields.only(DEFINITION_KEYS)
    return SagaSettings(
        on_failure=fields.one_of("onFailure", "BACKWARD", ON_FAILURE),
        max_retries=fields.optional_integer("maxRetries"),
        retry_delay_seconds=fields.integer("retryDelaySeconds", 1, least=0),
        retry_on=fields.some_of("retryOn", RETRY_ON) if is_given(fields, "retryOn") else RETRY_ON,
        accept_partial=fields.flag("acceptPartial", default=False),
        keep=fields.texts("keep"),
        serial=fields.one_of("mode", "PARALLEL", ("PARALLEL", "SERIAL")) == "SERIAL",
        max_parallel=fields.integer("maxParallel", 10, least=1),
        confirm_plan=read_confirm_plan(fields),
        quiesce_timeout_seconds=fields.integer("quiesceTimeoutSeconds", 60, least=0),
        unknown_settle_delay_seconds=fields.optional_integer("unknownSettleDelaySeconds"),
        compensation_deadline_seconds=fields.integer("compensationDeadlineSeconds", 86400, least=1),
        triggers=read_triggers(fields),
        waive=read_waivers(fields),
    )


def read_block_settings(fields: SagaFields) -> SagaSettings:
    """Read the `saga` of a block, which knows fewer keys."""
    fields.only(BLOCK_KEYS)
    return SagaSettings(
        on_failure=fields.one_of("onFailure", "BACKWARD", ON_FAILURE),
        max_retries=fields.optional_integer("maxRetries"),
        retry_delay_seconds=fields.integer("retryDelaySeconds", 1, least=0),
        retry_on=fields.some_of("retryOn", RETRY_ON) if is_given(fields, "retryOn") else RETRY_ON,
        accept_partial=fields.flag("acceptPartial", default=False),
        keep=fields.texts("keep"),
    )


def is_given(fields: SagaFields, key: str) -> bool:
    """Tell whether the author wrote the key."""
    return fields.given(key) is not None


def read_script(fields: SagaFields) -> Script:
    """Read a condition: both of its keys are required."""
    fields.only(("evaluatorType", "expression"))
    fields.required("evaluatorType")
    fields.required("expression")
    return Script(
        evaluator=fields.one_of("evaluatorType", "javascript", EVALUATORS),
        expression=fields.text("expression"),
    )


def read_confirm_plan(fields: SagaFields) -> str | Script:
    """Read when a person must start the plan."""
    if isinstance(fields.given("confirmPlan"), dict):
        inner = fields.inner("confirmPlan")
        return read_script(inner) if inner is not None else "NEVER"
    return fields.one_of("confirmPlan", "NEVER", ("NEVER", "ALWAYS"))


def read_triggers(fields: SagaFields) -> tuple[Mapping[str, JSONValue], ...]:
    """Read the events and moments that start an undo."""
    found: list[Mapping[str, JSONValue]] = []
    for trigger in fields.inner_items("triggers"):
        trigger.only(("event", "condition", "at", "steps"))
        has_event = trigger.given("event") is not None
        has_time = trigger.given("at") is not None
        if has_event is has_time:
            trigger.note(trigger.path, "A trigger needs either `event` or `at`.")
        if has_time and trigger.given("condition") is not None:
            trigger.wrong("condition", "`condition` belongs to `event`, not to `at`.")
        for key in ("event", "condition", "at"):
            trigger.text(key)
        trigger.texts("steps")
        found.append(trigger.source)
    return tuple(found)


def read_waivers(fields: SagaFields) -> tuple[Mapping[str, JSONValue], ...]:
    """Read the warnings that are switched off; each needs a reason."""
    found: list[Mapping[str, JSONValue]] = []
    for waiver in fields.inner_items("waive"):
        waiver.only(("code", "taskReferenceName", "reason"))
        code, reason = waiver.text("code"), waiver.text("reason")
        waiver.text("taskReferenceName")
        if not WARNING_CODE.fullmatch(code):
            waiver.wrong("code", "`code` must name a warning, W1 to W12; errors cannot be waived.")
        elif not reason.strip():
            waiver.wrong("reason", "A warning is switched off only with a `reason`.")
        else:
            found.append(waiver.source)
    return tuple(found)


def steps_named(settings: SagaSettings, path: str) -> list[tuple[str, str]]:
    """Return every step that the settings name, with the pointer of its name."""
    named: list[tuple[str, str]] = []
    for index, trigger in enumerate(settings.triggers):
        steps = trigger.get("steps")
        if isinstance(steps, list):
            named += [
                (pointer(path, "triggers", index, "steps", place), step)
                for place, step in enumerate(steps)
                if isinstance(step, str)
            ]
    return named
