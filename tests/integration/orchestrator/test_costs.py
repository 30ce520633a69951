"""What a transition costs: the same for many executions as for one, and late in a long run."""

import json
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from orchestrator.engine.outcomes import Succeeded
from orchestrator.handlers.base import Work
from orchestrator.models import Execution
from orchestrator.services import attempts, executions
from orchestrator.services.advance import Keeping
from orchestrator.services.attempts import Result
from orchestrator.services.executions import StartRequest
from tests.factories.definitions import loop, reversible, saga
from tests.runtime import Runtime

KEEP = Keeping(queues=("default",), limit=1, worker="w1")


def _queries(call: Any) -> tuple[int, Any]:
    with CaptureQueriesContext(
        connection,
    ) as captured:
        result = call()
    return len(captured.captured_queries), result


def _record(works: list[Work]) -> list[Work]:
    results = [Result(work=work, outcome=Succeeded(output={"n": 1})) for work in works]
    return attempts.record_outcomes(results=results, keep=KEEP)


@pytest.mark.postgresql
def test_many_executions_go_together_at_the_price_of_one(runtime: Runtime) -> None:
    runtime.publish(saga("orders", reversible("a"), reversible("b"), reversible("c")))

    def journey(count: int) -> list[int]:
        requests = [StartRequest(workflow_name="orders", input={"order": 1})] * count
        executions.start_many(actor=None, requests=requests)
        claimed, works = _queries(
            lambda: attempts.claim_due(queue="default", limit=100, worker="w1")
        )
        assert len(works) == count
        recorded, works = _queries(lambda: _record(works))
        assert len(works) == count
        again, works = _queries(lambda: _record(works))
        ended, works = _queries(lambda: _record(works))
        assert works == []
        return [claimed, recorded, again, ended]

    journey(1)
    assert journey(30) == journey(1)


@pytest.mark.parametrize("shape", ["sequence", "loop"])
def test_the_last_steps_of_a_long_run_cost_what_the_first_cost(
    runtime: Runtime, shape: str
) -> None:
    steps = 300
    if shape == "sequence":
        tasks = [reversible(f"r{number}", name="a") for number in range(steps)]
        definition = saga("long", *tasks)
    else:
        definition = saga("long", loop("l", steps, reversible("r", name="a")))
    execution = runtime.start(definition)
    works = attempts.claim_due(queue="default", limit=1, worker="w1")
    counts, sizes, sent = [], [], []

    while works:
        with CaptureQueriesContext(connection) as captured:
            works = _record(works)
        counts.append(len(captured))
        sent.append(sum(len(query["sql"]) for query in captured))
        sizes.append(len(json.dumps(Execution.objects.get(pk=execution.pk).frontier)))

    assert len(counts) == steps
    assert runtime.read(execution).state == "COMPLETED"
    assert max(counts[-20:-1]) <= max(counts[5:25])
    assert max(sizes[-20:-1]) <= max(sizes[5:25]) * 1.2
    assert max(sent[-20:-1]) <= max(sent[5:25]) * 1.2
