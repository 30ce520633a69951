"""TaskDefs: Conductor's defaults, coercions and constraints."""

from typing import Any

import pytest

from orchestrator.engine.definition.document import parse, parse_task_policy
from orchestrator.engine.definition.model import RetryLogic, TaskPolicy, TimeoutPolicy
from tests.unit.engine.definition.samples import a_noop, a_workflow


def test_defaults_are_conductors() -> None:
    policy, problems = parse_task_policy({"name": "x"})

    assert policy == TaskPolicy(name="x")
    assert problems == ()


def test_every_field_is_read() -> None:
    schema = {"type": "object"}
    document: dict[str, Any] = {
        "name": "x",
        "retryCount": "5",
        "retryLogic": "EXPONENTIAL_BACKOFF",
        "retryDelaySeconds": 2,
        "backoffScaleFactor": 3,
        "maxRetryDelaySeconds": 30,
        "backoffJitterMs": 100,
        "timeoutSeconds": 20.0,
        "totalTimeoutSeconds": 100,
        "responseTimeoutSeconds": 10,
        "pollTimeoutSeconds": 7,
        "timeoutPolicy": "RETRY",
        "inputTemplate": {"a": 1},
        "concurrentExecLimit": 4,
        "rateLimitPerFrequency": 6,
        "rateLimitFrequencyInSeconds": None,
        "inputSchema": {"name": "s", "type": "JSON", "data": schema},
        "outputSchema": {"name": "s", "type": "AVRO", "data": schema},
        "ownerEmail": "someone@example.com",
    }

    policy, problems = parse_task_policy(document)

    assert problems == ()
    assert policy == TaskPolicy(
        name="x",
        retry_count=5,
        retry_logic=RetryLogic.EXPONENTIAL_BACKOFF,
        retry_delay_seconds=2,
        backoff_scale_factor=3,
        max_retry_delay_seconds=30,
        backoff_jitter_ms=100,
        timeout_seconds=20,
        total_timeout_seconds=100,
        response_timeout_seconds=10,
        poll_timeout_seconds=7,
        timeout_policy=TimeoutPolicy.RETRY,
        input_template={"a": 1},
        concurrent_limit=4,
        rate_limit=6,
        rate_limit_seconds=1,
        input_schema=schema,
        output_schema=None,
    )


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({}, ""),
        ({"name": " "}, "/name"),
        ({"name": "a:b"}, "/name"),
        (
            {"name": "x", "timeoutSeconds": 5, "responseTimeoutSeconds": 10},
            "/responseTimeoutSeconds",
        ),
        ({"name": "x", "timeoutSeconds": 5}, ""),
        ({"name": "x", "responseTimeoutSeconds": 0}, "/responseTimeoutSeconds"),
        ({"name": "x", "timeoutSeconds": 4000, "totalTimeoutSeconds": 9}, "/totalTimeoutSeconds"),
        ({"name": "x", "retryCount": -1}, "/retryCount"),
        ({"name": "x", "retryCount": "many"}, "/retryCount"),
        ({"name": "x", "retryCount": True}, "/retryCount"),
        ({"name": "x", "retryLogic": "SOMETIMES"}, "/retryLogic"),
        ({"name": "x", "inputTemplate": []}, "/inputTemplate"),
        ([], ""),
        (None, ""),
    ],
    ids=str,
)
def test_what_is_refused(document: Any, path: str) -> None:
    _, problems = parse_task_policy(document, "/taskDefs/0")

    assert [(problem.code, problem.path) for problem in problems] == [
        ("CONDUCTOR", f"/taskDefs/0{path}")
    ]


def test_inline_definition_takes_the_name_of_its_task() -> None:
    task = a_noop("a") | {"type": "SIMPLE", "taskDefinition": {"timeoutSeconds": 5}}

    result = parse(a_workflow(task))

    assert result.problems == ()
    assert result.definition is not None
    policy = result.definition.tasks[0].task_policy
    assert policy == TaskPolicy(name="a", timeout_seconds=5, response_timeout_seconds=5)
