"""A whole execution at once, as plans look at it: every step run, without payloads."""

from collections.abc import Mapping

from orchestrator.engine.commands import Needs
from orchestrator.engine.definition.graph import Node
from orchestrator.engine.snapshot import StepRun
from orchestrator.store import branches, load
from orchestrator.store.load import Loaded


def load_whole(loaded: Loaded) -> Mapping[str, StepRun]:
    """Load all step runs of an execution, as far as plans look at them."""
    key = loaded.view.id
    load.satisfy({key: loaded}, {key: Needs(whole=True)}, load.NO_RESOLVERS)
    return loaded.runs


def node(loaded: Loaded, run: StepRun) -> Node | None:
    """Return the step of a step run."""
    return branches.graph_of_run(loaded, run).nodes.get(run.reference)
