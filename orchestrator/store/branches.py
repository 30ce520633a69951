"""The branches of dynamic forks: given as data, compiled once, and kept per process."""

from typing import TYPE_CHECKING

from orchestrator.engine.definition.branches import branches_of
from orchestrator.engine.definition.graph import Graph
from orchestrator.engine.snapshot import StepRun
from orchestrator.store import rows, statements, wire

if TYPE_CHECKING:
    from orchestrator.store.load import Loaded


def graph_of_run(loaded: "Loaded", run: StepRun) -> Graph:
    """Return the graph in which a step run's step stands, loading it where it is missing."""
    if run.defined_by is None:
        return loaded.graph
    if run.defined_by not in loaded.dynamic:
        load_dynamic(loaded, run.defined_by)
    return loaded.dynamic[run.defined_by]


_BRANCHES: dict[str, Graph] = {}
_MOST_BRANCHES = 64


def load_dynamic(loaded: "Loaded", fork_id: str) -> None:
    """Compile the branches of a dynamic fork; kept per process, since they never change."""
    graph = _BRANCHES.get(fork_id)
    if graph is None:
        fork = loaded.runs.get(fork_id)
        if fork is None or fork.is_light:
            [found] = wire.ask((rows.select_runs("s.id = %s"), statements.uuids([fork_id])))
            loaded.runs |= {run.id: run for _, run in rows.runs_from(found)}
            fork = loaded.runs[fork_id]
        if fork.defined_by is not None and fork.defined_by not in loaded.dynamic:
            load_dynamic(loaded, fork.defined_by)
        outer = loaded.graph if fork.defined_by is None else loaded.dynamic[fork.defined_by]
        graph = branches_of(outer, fork.reference, fork.dynamic or [])
        if len(_BRANCHES) >= _MOST_BRANCHES:
            _BRANCHES.clear()
        _BRANCHES[fork_id] = graph
    loaded.dynamic[fork_id] = graph
