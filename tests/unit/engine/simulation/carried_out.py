"""Carrying a simulation out without a database: versions and answers come from dictionaries."""

from collections.abc import Mapping
from typing import Any

from orchestrator.engine.commands import Question
from orchestrator.engine.definition.model import TaskPolicy
from orchestrator.engine.simulation.knowledge import Given, Play, Result, Version, Wanted
from orchestrator.engine.simulation.setup import Limits, Scene
from orchestrator.engine.simulation.simulate import simulate
from orchestrator.engine.snapshot import Answer, ChildVersion
from tests.unit.engine.driver import Evaluate, graph_of

Json = dict[str, Any]
ROUNDS = 3


def loop_of(rounds: int) -> Evaluate:
    """Return answers by which every loop goes round so often."""

    def evaluate(question: Question) -> Answer:
        data: Any = question.data
        rounds_now = [
            value["iteration"]
            for value in data.values()
            if isinstance(value, dict) and "iteration" in value
        ]
        return Answer(value=bool(rounds_now) and max(rounds_now) < rounds)

    return evaluate


def version_of(definition: Json, version_id: int = 1) -> Version:
    """Return a definition as a stored version."""
    graph = graph_of(definition)
    child = ChildVersion(
        version_id=version_id,
        workflow_name=definition["name"],
        number=1,
        is_saga=graph.is_saga,
        has_undo=any(node.has_undo for node in graph.nodes.values()),
    )
    return Version(graph=graph, child=child)


def simulated(
    definition: Json,
    *children: Json,
    mocks: Mapping[str, Any] | None = None,
    evaluate: Evaluate = loop_of(ROUNDS),  # noqa: B008 - it has no state
    limits: Limits | None = None,
    given: Json | None = None,
    persist: bool = True,
) -> Json:
    """Simulate a definition to its end."""
    stored = {
        child["name"]: version_of(child, number) for number, child in enumerate(children, start=2)
    }
    scene = Scene(input=given or {}, mocks=mocks or {}, failures_persist=persist)
    play = simulate(version_of(definition), scene, queues={}, limits=limits or Limits())
    return carried_out(play, stored, evaluate)


def carried_out(play: Play[Result], stored: Mapping[str, Version], evaluate: Evaluate) -> Result:
    """Give a play what it asks for until it ends."""
    try:
        wanted = next(play)
        while True:
            wanted = play.send(_given(wanted, stored, evaluate))
    except StopIteration as end:
        result: Result = end.value
        return result


def _given(wanted: Wanted, stored: Mapping[str, Version], evaluate: Evaluate) -> Given:
    return Given(
        answers={question.id: evaluate(question) for question in wanted.questions},
        children={key: stored.get(key[0]) for key in wanted.children},
        inline={
            digest: version_of(raw, 1000 + number)  # type: ignore[arg-type]  # tests give objects
            for number, (digest, raw) in enumerate(wanted.inline.items())
        },
        policies={name: TaskPolicy(name=name) for name in wanted.policies},
    )


def scenario(answer: Json, failure_at: str, outcome: str = "FAILED", **more: Any) -> Json:
    """Return the one scenario in which a step goes wrong alone."""
    iteration = more.get("iteration")
    found = [
        row
        for row in answer["scenarios"]
        if row["failureAt"] == failure_at
        and row["outcome"] == outcome
        and row["also"] is None
        and (iteration is None or row["iteration"] == iteration)
    ]
    assert len(found) == 1, [
        (row["failureAt"], row["outcome"], row["iteration"]) for row in answer["scenarios"]
    ]
    row: Json = found[0]
    return row


def pair(answer: Json, failure_at: str, outcome: str, other: str, others: str) -> Json:
    """Return the scenario in which two steps go wrong."""
    (found,) = [
        dict(row)
        for row in answer["scenarios"]
        if row["also"] is not None
        and (row["failureAt"], row["outcome"]) == (failure_at, outcome)
        and (row["also"]["taskReferenceName"], row["also"]["outcome"]) == (other, others)
    ]
    return found


def references(row: Json) -> list[str]:
    """Return the references of a scenario's plan, in order of undo."""
    return [entry["taskReferenceName"] for entry in row["entries"]]
