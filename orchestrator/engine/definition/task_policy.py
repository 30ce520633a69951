"""TaskDefs: how a task is retried, timed out and rationed, with Conductor's own rules."""

from collections.abc import Mapping
from dataclasses import replace

from orchestrator.engine.canonical import JSONValue
from orchestrator.engine.definition.fields import Fields
from orchestrator.engine.definition.model import Problem, RetryLogic, TaskPolicy, TimeoutPolicy
from orchestrator.engine.definition.problems import Problems, spoken


def parse_task_policy(
    document: JSONValue, path: str = ""
) -> tuple[TaskPolicy | None, tuple[Problem, ...]]:
    """Parse a registered TaskDef; None when it is not even an object."""
    problems = Problems()
    if not isinstance(document, dict):
        problems.conductor(path, f"A task definition must be an object, not {spoken(document)}.")
        return None, tuple(problems.found)
    fields = Fields(document, path, problems)
    policy = read_policy(fields, fields.integer("responseTimeoutSeconds", 3600, least=1))
    check_name(fields, policy.name)
    check_times(fields, policy)
    return policy, tuple(problems.found)


def parse_inline_policy(fields: Fields, name: str) -> TaskPolicy | None:
    """Parse the `taskDefinition` of a task; its name is the task's when it has none."""
    source = fields.mapping("taskDefinition")
    if not source:
        return None
    place = fields.at("taskDefinition")
    inner = Fields(source, place, fields.problems, fields.reference)
    # A response timeout that nobody wrote cannot contradict the timeout that somebody wrote.
    longest = max(inner.coerced("timeoutSeconds", 0) or 0, 0) or 3600
    policy = read_policy(
        inner, inner.integer("responseTimeoutSeconds", min(3600, longest), least=0)
    )
    check_times(inner, policy)
    return policy if policy.name else replace(policy, name=name)


def read_policy(fields: Fields, response_timeout: int) -> TaskPolicy:
    """Read every field that the engine knows."""
    return TaskPolicy(
        name=fields.text("name"),
        retry_count=fields.integer("retryCount", 3, least=0),
        retry_logic=fields.choice("retryLogic", RetryLogic.FIXED),
        retry_delay_seconds=fields.integer("retryDelaySeconds", 60, least=0),
        backoff_scale_factor=fields.integer("backoffScaleFactor", 1, least=1),
        max_retry_delay_seconds=fields.integer("maxRetryDelaySeconds", 0, least=0),
        backoff_jitter_ms=fields.integer("backoffJitterMs", 0, least=0),
        timeout_seconds=fields.integer("timeoutSeconds", 0, least=0),
        total_timeout_seconds=fields.integer("totalTimeoutSeconds", 0, least=0),
        response_timeout_seconds=response_timeout,
        poll_timeout_seconds=fields.integer("pollTimeoutSeconds", 0, least=0),
        timeout_policy=fields.choice("timeoutPolicy", TimeoutPolicy.TIME_OUT_WF),
        input_template=fields.mapping("inputTemplate"),
        concurrent_limit=fields.integer("concurrentExecLimit", 0, least=0),
        rate_limit=fields.integer("rateLimitPerFrequency", 0, least=0),
        rate_limit_seconds=fields.integer("rateLimitFrequencyInSeconds", 1, least=0) or 1,
        input_schema=schema_data(fields, "inputSchema"),
        output_schema=schema_data(fields, "outputSchema"),
    )


def schema_data(fields: Fields, key: str) -> Mapping[str, JSONValue] | None:
    """Return the JSON Schema inside a SchemaDef; null for other types and for references."""
    schema = fields.mapping(key)
    if schema.get("type", "JSON") != "JSON":
        return None
    data = schema.get("data")
    return data if isinstance(data, dict) else None


def check_name(fields: Fields, name: str) -> None:
    """Refuse a name that Conductor's queues could not carry."""
    if not name.strip():
        fields.wrong("name", "A task definition needs a name.")
    elif ":" in name:
        fields.wrong("name", f'The name "{name[:60]}" must not contain ":".')


def check_times(fields: Fields, policy: TaskPolicy) -> None:
    """Refuse a shorter time that is longer than the one around it."""
    timeout, total = policy.timeout_seconds, policy.total_timeout_seconds
    if 0 < timeout < policy.response_timeout_seconds:
        fields.wrong(
            "responseTimeoutSeconds",
            f"`responseTimeoutSeconds` ({policy.response_timeout_seconds}) must not be larger than "
            f"`timeoutSeconds` ({timeout}).",
        )
    if 0 < total < timeout:
        fields.wrong(
            "totalTimeoutSeconds",
            f"`totalTimeoutSeconds` ({total}) must not be less than `timeoutSeconds` ({timeout}).",
        )
