"""A reference model of order: which step runs come before which, from the document's shape alone.

It shares nothing with the engine: no stored edges, no graph. A step run's place is spelled from the
root: index in a sequence, round of a loop, branch of a fork. Two places compare where they part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

Part = tuple[str, int]
Place = tuple[Part, ...]
"""`("seq", index)`, `("round", 0)` (filled in per step run) or `("branch", index)`."""


def places(tasks: list[dict[str, Any]], prefix: Place = ()) -> dict[str, Place]:
    """Return the place of every task by reference; loops leave their round open."""
    found: dict[str, Place] = {}
    for index, task in enumerate(tasks):
        here: Place = (*prefix, ("seq", index))
        found[task["taskReferenceName"]] = here
        for number, branch in enumerate(task.get("forkTasks", ())):
            found |= places(branch, (*here, ("branch", number)))
        for case in (*task.get("decisionCases", {}).values(), task.get("defaultCase", [])):
            found |= places(case, here)
        if "loopOver" in task:
            found |= places(task["loopOver"], (*here, ("round", 0)))
        if task.get("type") == "FORK_JOIN_DYNAMIC":
            for number, item in enumerate(task["inputParameters"]["tasks"]):
                found |= places([item], (*here, ("branch", number)))
    return found


def in_rounds(place: Place, position: str) -> Place:
    """Fill the rounds of a step run's position into its place."""
    rounds = iter(position.rpartition("@")[2].split(".") if "@" in position else ())
    return tuple((kind, int(next(rounds))) if kind == "round" else (kind, n) for kind, n in place)


def comes_before(first: Place, second: Place) -> bool:
    """Tell whether the first place is over before the second begins."""
    for (kind, own), (_, other) in zip(first, second, strict=False):
        if own != other:
            return kind != "branch" and own < other
    return False


def all_before(found: Mapping[str, Place], position: str, others: list[str]) -> list[str]:
    """Return the positions among `others` that the step run at `position` comes before."""
    own = in_rounds(found[position.partition("@")[0]], position)
    return [
        other
        for other in others
        if comes_before(own, in_rounds(found[other.partition("@")[0]], other))
    ]
