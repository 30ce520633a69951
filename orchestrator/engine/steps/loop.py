"""DO_WHILE: rounds over a body, counted from 1 (definitions.md §5.8)."""

import re
from typing import Any

from orchestrator.engine import roots
from orchestrator.engine.definition.graph import Node
from orchestrator.engine.snapshot import StepRun
from orchestrator.engine.states import ErrorClass, StepState
from orchestrator.engine.steps import base
from orchestrator.engine.work import Work


def begin(work: Work, node: Node, run: StepRun, inputs: dict[str, Any]) -> bool:
    """Open the loop; True when its first round is to be entered."""
    items = inputs.pop("items", None) if node.step.items is not None else None
    if node.step.items is not None:
        if not isinstance(items, list):
            run = base.begin_in_engine(work, run, inputs, StepState.SCHEDULED)
            reason = f"{node.reference}: items is not a list"
            base.fail(work, node, run, reason, error_class=ErrorClass.FAILED_TERMINAL)
            return False
        run.dynamic = items
        if not items:
            run = base.begin_in_engine(work, run, inputs, StepState.SCHEDULED)
            base.complete(work, run, {"iteration": 0})
            return False
        inputs = {**inputs, "loopIndex": 0, "loopItem": items[0]}
    run = base.begin_in_engine(work, run, inputs, StepState.WAITING)
    work.frontier.setdefault("loops", {})[run.position] = {"run": run.id, "round": 1, "last": []}
    return True


def open_loop(work: Work, position: str) -> dict[str, Any] | None:
    """Return the frontier's record of a loop that goes on."""
    found = work.frontier.get("loops", {}).get(position)
    return found if isinstance(found, dict) else None


def goes_on(work: Work, node: Node, position: str) -> bool | None:
    """Decide whether another round follows; None while data or the condition's answer is missing.

    A broken condition fails the loop for good and answers False.
    """
    loop = work.frontier["loops"][position]
    run = work.run(loop["run"])
    if run is None:
        return None
    if run.dynamic is not None and loop["round"] >= len(run.dynamic):
        return False
    condition = node.step.loop_condition
    if not condition:
        return run.dynamic is not None
    data = _condition_data(work, node, run, loop["round"])
    if data is None:
        return None
    answer = work.ask("javascript", condition, data)
    if answer is None:
        asks = work.frontier.setdefault("asks", [])
        if run.id not in asks:
            asks.append(run.id)
        return None
    if answer.error:
        loop["broken"] = answer.error
        return False
    value = answer.value
    if isinstance(value, bool):
        return value
    return isinstance(value, int | float) and value > 0


def next_round(work: Work, position: str) -> int:
    """Count the next round and give it its item."""
    loop = work.frontier["loops"][position]
    loop["round"] += 1
    loop.pop("over", None)
    run = work.runs[loop["run"]]
    if run.dynamic is not None:
        item = {"loopIndex": loop["round"] - 1, "loopItem": run.dynamic[loop["round"] - 1]}
        work.change(run, input={**run.input, **item})
    return int(loop["round"])


def finish(work: Work, node: Node, position: str) -> bool:
    """Settle a loop whose last round is over; False if its rounds must be loaded first."""
    loop = work.frontier["loops"][position]
    run = work.runs[loop["run"]]
    keep = run.input.get("keepLastN")
    last = int(loop["round"])
    first = max(1, last - keep + 1) if isinstance(keep, int) and keep > 0 else 1
    rounds = _rounds(work, node, position, first, last)
    if rounds is None:
        return False
    if "broken" not in loop:
        if node.step.compensate_once and not _replace_entries(work, node, position):
            return False
        base.complete(work, run, rounds)
    else:
        terminal = ErrorClass.FAILED_TERMINAL
        run = base.fail(work, node, run, loop["broken"], error_class=terminal, output=rounds)
    if run.state is not StepState.FAILED or node.step.permissive:
        # A loop that fails the run keeps its record: an operator's retry asks its condition again.
        work.frontier["loops"].pop(position)
    return True


def _replace_entries(work: Work, node: Node, position: str) -> bool:
    """Let the loop's own undo stand for those of its rounds (`compensate: ONCE`, §3).

    False if they must be loaded first.
    """
    inside = roots.all_of_rounds(work, node, position)
    for run, _ in inside or ():
        if run.entry_state is not None:
            work.tell("entry.replaced", work.change(run, entry_state=None))
    return inside is not None


def _rounds(work: Work, node: Node, position: str, first: int, last: int) -> dict[str, Any] | None:
    """Return the loop's output: outputs of its steps by round, and the number of rounds."""
    key = (position, roots.body_references(node), f"{first}-{last}")
    if position not in work.snapshot.rounds:
        work.needs.rounds.add(key)
        return None
    output: dict[str, Any] = {str(number): {} for number in range(first, last + 1)}
    for run, number in roots.rounds_of(work, node, position):
        if str(number) in output:
            output[str(number)][run.reference] = run.output or {}
    return {**output, "iteration": last}


def _condition_data(work: Work, node: Node, run: StepRun, round_: int) -> dict[str, Any] | None:
    """Return what the condition sees as `$`: the loop's input, its steps' outputs, its own output.

    Only steps whose names the script contains are loaded, so that a round costs the same however
    many came before it.
    """
    condition = node.step.loop_condition
    data: dict[str, Any] = {key: value for key, value in run.input.items() if key != "keepLastN"}
    for reference in roots.body_references(node):
        if reference not in condition:
            continue
        if reference not in work.latest:
            work.needs.references.add(reference)
            continue
        latest = work.latest[reference]
        data[reference] = (latest.output or {}) if latest else {}
    if work.needs.references:
        return None
    own: dict[str, Any] = {"iteration": round_}
    if _reads_rounds(node.reference, condition):
        rounds = _rounds(work, node, run.position, 1, round_)
        if rounds is None:
            return None
        own = rounds
    data[node.reference] = own
    return data


def _reads_rounds(reference: str, condition: str) -> bool:
    """Tell whether a condition looks at the loop's own output beyond its `iteration`."""
    uses = re.findall(
        re.escape(reference) + r"""(?:\]|['"]\])?\s*(\[\s*['"]?\w+|\.\w+)?""", condition
    )
    return any(use and "iteration" not in use for use in uses)
