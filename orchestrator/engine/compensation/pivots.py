"""Which completed pivot bounds an undo, and what came after it (saga-semantics §11)."""

from collections.abc import Callable, Mapping

from orchestrator.engine import order
from orchestrator.engine.compensation import plan
from orchestrator.engine.definition.graph import Node
from orchestrator.engine.definition.model import EffectClass
from orchestrator.engine.snapshot import StepRun
from orchestrator.engine.states import Direction, StepState

NodeOf = Callable[[StepRun], Node | None]


def is_pivot(node: Node | None) -> bool:
    """Tell whether the step decides: once it has happened, the way is forward."""
    return node is not None and node.effect is EffectClass.PIVOT


def last_pivot(runs: Mapping[str, StepRun], node_of: NodeOf) -> StepRun | None:
    """Return the pivot that counts: the last completed one; None if none has completed.

    Args:
        runs: The step runs of the scope, by id; the whole run's, if that is the scope.
        node_of: Gives the step of a step run.
    """
    completed = [
        run
        for run in runs.values()
        if run.direction is Direction.FORWARD
        and run.state is StepState.COMPLETED
        and is_pivot(node_of(run))
    ]
    return max(completed, key=lambda run: run.settle_seq or 0, default=None)


def allowed(runs: Mapping[str, StepRun], node_of: NodeOf) -> frozenset[str] | None:
    """Return the step runs that may be undone without an override; None = all of them."""
    pivot = last_pivot(runs, node_of)
    return None if pivot is None else beyond(plan.forward_runs(runs), pivot)


def beyond(runs: Mapping[str, StepRun], pivot: StepRun) -> frozenset[str]:
    """Return the ids of all step runs p with pivot -> p; what runs beside it is not among them.

    Args:
        runs: All forward step runs of the execution, whatever the scope of the pivot.
        pivot: What `last_pivot` has found.
    """
    return order.successors(runs, (pivot.id,))
