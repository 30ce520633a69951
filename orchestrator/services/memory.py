"""What a worker remembers of the executions it carries, between the claim of a step and its end.

With it an outcome is decided without reading anything: the transition checks, in the message that
writes, that the execution's revision is still the one remembered (`store.apply.expected`). Every
transition raises the revision, so whatever somebody else decided meanwhile is noticed, and then
the execution is locked and read as ever. Losing a memory costs a read and nothing else.
"""

import os
import threading
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping

from orchestrator.engine.commands import Decision, EndPlan, StorePlan
from orchestrator.engine.snapshot import PlanView, StepRun
from orchestrator.engine.states import EntryState
from orchestrator.store.load import Loaded

MOST = 256
"""Executions; a worker holds far fewer at once."""
MOST_RUNS = 40
"""Step runs of an execution; of a longer one only those that are held are remembered."""

_known: OrderedDict[str, Loaded] = OrderedDict()
_guard = threading.Lock()


def forget_all() -> None:
    """Forget everything: a child has its own work, and a test its own rows."""
    with _guard:
        _known.clear()


os.register_at_fork(after_in_child=_known.clear)


def keep(claimed: Iterable[tuple[Loaded, StepRun]]) -> None:
    """Remember executions whose steps this process has just taken.

    Only those in which nothing else is in flight: where others report too, what is remembered would
    be out of date before it is used.
    """
    by_key: dict[str, tuple[Loaded, list[str]]] = {}
    for loaded, run in claimed:
        by_key.setdefault(loaded.view.id, (loaded, []))[1].append(run.id)
    with _guard:
        for key, (loaded, held) in by_key.items():
            if _in_flight(loaded) <= len(held):
                _known[key] = _fresh(loaded, held)
                _known.move_to_end(key)
        while len(_known) > MOST:
            _known.popitem(last=False)


def recall(keys: Collection[str]) -> dict[str, Loaded] | None:
    """Return these executions and forget them; None unless all are remembered."""
    with _guard:
        found = {key: _known.pop(key, None) for key in keys}
    known = {key: loaded for key, loaded in found.items() if loaded is not None}
    return known if known and len(known) == len(found) else None


def _in_flight(loaded: Loaded) -> int:
    """Count the forward steps that are not settled, and the undos that are under way."""
    frontier = loaded.view.frontier
    undos = frontier.get("ledger", {}).get(EntryState.RUNNING.value, 0)
    return int(frontier.get("active", 0)) + int(undos)


def _fresh(loaded: Loaded, held: Collection[str]) -> Loaded:
    """Return what still holds after the transition in which the execution was loaded."""
    whole = loaded.complete and len(loaded.runs) <= MOST_RUNS
    runs = loaded.runs if whole else {key: loaded.runs[key] for key in held}
    return Loaded(
        view=loaded.view,
        version_id=loaded.version_id,
        task_policies=loaded.task_policies,
        graph=loaded.graph,
        runs=runs,
        in_motion=whole,
        whole=whole,
        complete=whole,
        dynamic=loaded.dynamic,
        policies=loaded.policies,
        plan=loaded.plan,
    )


def follow(found: Mapping[str, Loaded], made: Mapping[str, Decision]) -> None:
    """Keep the plan of each execution what it is after these decisions."""
    for key, decision in made.items():
        for command in decision.commands:
            if isinstance(command, StorePlan):
                found[key].plan = PlanView(
                    id=command.id,
                    hash=command.hash,
                    trigger=command.trigger,
                    reason=command.reason,
                    triggered_by=command.triggered_by,
                )
            elif isinstance(command, EndPlan):
                found[key].plan = None
