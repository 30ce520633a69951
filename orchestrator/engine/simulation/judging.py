"""What a version's scenarios say about it in short: how many end clean, and where it is weak."""

from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.engine.states import ExecutionState

Row = Mapping[str, Any]

_CLEAN = frozenset(
    {
        ExecutionState.COMPENSATED,
        ExecutionState.COMPLETED,
        ExecutionState.FAILED,
        ExecutionState.TIMED_OUT,
        ExecutionState.TERMINATED,
    }
)


def weakness(scenario: Row) -> str:
    """Say why a scenario does not end clean by itself; nothing when it does.

    An approval is no weakness: somebody wanted it.
    """
    if scenario["triedForEver"]:
        names = ", ".join(dict.fromkeys(scenario["triedForEver"]))
        return f"{names} is tried again until it succeeds"
    asked = [row["question"] for row in scenario["questions"]]
    if asked:
        return f"a person is asked: {asked[0]}"
    if scenario["finalState"] == ExecutionState.NEEDS_ATTENTION:
        return "nothing can move without a person"
    left = list(dict.fromkeys(row["taskReferenceName"] for row in scenario["stays"]))
    if left:
        return f"{', '.join(left)} stays"
    if scenario["finalState"] not in {state.value for state in _CLEAN}:
        return f"the run ends {scenario['finalState']}"
    return ""


def weak_points(scenarios: Sequence[Row]) -> list[dict[str, Any]]:
    """Return the scenarios of one failing step that do not end clean, in short."""
    return [
        {
            "taskReferenceName": scenario["failureAt"],
            "iteration": scenario["iteration"],
            "workflowName": scenario["workflowName"],
            "within": scenario["within"],
            "outcome": scenario["outcome"],
            "finalState": scenario["finalState"],
            "reason": reason,
        }
        for scenario in scenarios
        if scenario["also"] is None and (reason := weakness(scenario))
    ]


def summary(scenarios: Sequence[Row]) -> dict[str, int]:
    """Return how many scenarios there are, and how many end clean."""
    clean = sum(not weakness(scenario) for scenario in scenarios)
    return {"scenarios": len(scenarios), "clean": clean}
