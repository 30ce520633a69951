"""Rows into what `decide` may see: executions, step runs and what a decision asked for."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from orchestrator.engine.canonical import JSONValue
from orchestrator.engine.commands import Needs
from orchestrator.engine.definition.branches import branches_of
from orchestrator.engine.definition.graph import Graph
from orchestrator.engine.definition.model import TaskPolicy
from orchestrator.engine.snapshot import (
    Answer,
    ChildVersion,
    ExecutionView,
    PlanView,
    Snapshot,
    StepRun,
)
from orchestrator.engine.states import (
    Direction,
    EntryState,
    ExecutionState,
    ForwardResult,
    StepState,
)
from orchestrator.models import (
    Execution,
)
from orchestrator.models import (
    StepRun as StepRow,
)
from orchestrator.store import definitions, effects, newest, plans, polls, statements
from orchestrator.store.newest import Newest
from orchestrator.store.statements import any_of, bound, table_of

STEP_COLUMNS = tuple(name for name in StepRun.__slots__ if name != "is_light")
LIGHT_COLUMNS = tuple(
    name for name in STEP_COLUMNS if name not in {"input", "output", "variables", "dynamic"}
)
EXECUTION_COLUMNS = tuple(ExecutionView.__slots__)
_EXTRA_COLUMNS = ("version_id", "task_policies")
MOST_OF_SHORT = 12
"""Step runs of an execution up to which all of them are loaded together."""
_SETTLED = tuple(state.value for state in StepState if state.is_settled)


@dataclass(slots=True, kw_only=True)
class Loaded:
    """An execution that is locked, with all that decisions on it have asked for so far."""

    view: ExecutionView
    version_id: int
    task_policies: dict[str, Any]
    graph: Graph
    runs: dict[str, StepRun] = field(default_factory=dict)
    latest: dict[str, StepRun | None] = field(default_factory=dict)
    before: dict[tuple[str, int], StepRun | None] = field(default_factory=dict)
    in_motion: bool = False
    whole: bool = False
    complete: bool = False
    """All step runs are there with all their columns."""
    rounds: dict[str, bool] = field(default_factory=dict)
    attached: set[str] = field(default_factory=set)
    dynamic: dict[str, Graph] = field(default_factory=dict)
    children: dict[tuple[str, int | None], ChildVersion | None] = field(default_factory=dict)
    inline_children: dict[str, ChildVersion | str] = field(default_factory=dict)
    policies: dict[str, TaskPolicy] = field(default_factory=dict)
    approvals: dict[str, bool] = field(default_factory=dict)
    polled: dict[str, frozenset[str]] = field(default_factory=dict)
    owners: dict[str, str | None] = field(default_factory=dict)
    plan: PlanView | None = None

    def snapshot(self, *, now: Any, answers: Mapping[str, Answer], queues: Any) -> Snapshot:
        """Return what a decision may see now."""
        return Snapshot(
            now=now,
            execution=self.view,
            runs=self.runs,
            latest=self.latest,
            latest_before=self.before,
            in_motion=self.in_motion,
            whole=self.whole,
            rounds=self.rounds,
            attached=frozenset(self.attached),
            dynamic=self.dynamic,
            children=self.children,
            inline_children=self.inline_children,
            answers=answers,
            policies=self.policies,
            queues=queues,
            approvals=self.approvals,
            polled=self.polled,
            owners=self.owners,
            plan=self.plan,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolvers:
    """What the store must ask others for, inside the transaction."""

    child: Callable[[str, int | None], ChildVersion | None]
    inline_child: Callable[[ExecutionView, JSONValue], ChildVersion | str]
    approval_holds: Callable[[str, str], bool]


NO_RESOLVERS = Resolvers(
    child=lambda _name, _number: None,
    inline_child=lambda _parent, _document: "",
    approval_holds=lambda _approval, _hash: False,
)
"""For those who only read what is stored."""


# ---- executions and step runs ----------------------------------------------------------------


def lock_executions(ids: Collection[str]) -> dict[str, Loaded]:
    """Lock executions in one order and return them; those that do not exist are left out."""
    return _executions(ids, lock=True)


def read_executions(ids: Collection[str]) -> dict[str, Loaded]:
    """Return executions without locking them, for previews."""
    return _executions(ids, lock=False)


def _executions(ids: Collection[str], *, lock: bool) -> dict[str, Loaded]:
    if not ids:
        return {}
    table = table_of(Execution)
    columns = (*EXECUTION_COLUMNS, *_EXTRA_COLUMNS)
    # No other transaction takes two executions in another order (reliability.md §5.3).
    ending = " ORDER BY id"
    if lock and connection.vendor == "postgresql":
        ending += " FOR NO KEY UPDATE"
    found: dict[str, Loaded] = {}
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {table.select(columns)} FROM {table.name} "  # noqa: S608
            f"WHERE {any_of('id', len(ids))}{ending}",
            bound(ids),
        )
        readers = table.readers(columns)
        for row in cursor.fetchall():
            values = dict(zip(columns, _read(row, readers), strict=True))
            extra = {name: values.pop(name) for name in _EXTRA_COLUMNS}
            values["state"] = ExecutionState(values["state"])
            if values["outcome"] is not None:
                values["outcome"] = ForwardResult(values["outcome"])
            for name in ("paused", "is_saga"):
                values[name] = bool(values[name])
            view = ExecutionView(**values)
            found[view.id] = Loaded(
                view=view,
                version_id=extra["version_id"],
                task_policies=extra["task_policies"],
                graph=definitions.graph_of_version(extra["version_id"]),
                policies=definitions.policies_of(extra["task_policies"])
                if extra["task_policies"]
                else {},
            )
    return found


def _read(row: Sequence[Any], readers: tuple[tuple[int, Callable[[Any], Any]], ...]) -> list[Any]:
    values = list(row)
    for index, reader in readers:
        values[index] = reader(values[index])
    return values


def step_runs(
    condition: str, parameters: Sequence[Any], *, light: bool = False
) -> list[tuple[str, StepRun]]:
    """Return (execution id, step run) of the rows that a condition selects."""
    table = table_of(StepRow)
    columns = ("execution_id", *(LIGHT_COLUMNS if light else STEP_COLUMNS))
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {table.select(columns, 's.')} FROM {table.name} s WHERE {condition}",  # noqa: S608
            list(parameters),
        )
        rows = cursor.fetchall()
    readers = table.readers(columns)
    return [_step_run(columns, _read(row, readers), light=light) for row in rows]


def _step_run(columns: Sequence[str], row: list[Any], *, light: bool) -> tuple[str, StepRun]:
    values = dict(zip(columns[1:], row[1:], strict=True))
    values["state"] = StepState(values["state"])
    values["direction"] = Direction(values["direction"])
    if values["entry_state"] is not None:
        values["entry_state"] = EntryState(values["entry_state"])
    values["caused_by"] = tuple(values["caused_by"])
    if values["undo_next"] is not None:
        values["undo_next"] = tuple(values["undo_next"])
    for name in ("doubt", "partial"):
        values[name] = bool(values[name])
    return row[0], StepRun(**values, is_light=light)


# ---- what a decision asks for ----------------------------------------------------------------


def satisfy(found: Mapping[str, Loaded], wanted: Mapping[str, Needs], resolvers: Resolvers) -> None:
    """Load what decisions have asked for, for many executions with few statements."""
    _load_short(found, wanted)
    _load_runs(found, {key: needs.runs for key, needs in wanted.items() if needs.runs})
    _load_latest(found, {key: needs.references for key, needs in wanted.items()})
    _load_attached(found, {key: needs.attached for key, needs in wanted.items()})
    for key, needs in wanted.items():
        _load_rest(found[key], key, needs, resolvers)


def _load_short(found: Mapping[str, Loaded], wanted: Mapping[str, Needs]) -> None:
    """Load all step runs of executions that have few: cheaper than to ask for them one by one."""
    short = [
        key
        for key in wanted
        if not found[key].complete and found[key].view.frontier.get("seq", 0) <= MOST_OF_SHORT
    ]
    if not short:
        return
    rows = step_runs(any_of("s.execution_id", len(short)), bound(short))
    _keep(found, rows)
    for key in short:
        loaded = found[key]
        loaded.complete = loaded.whole = loaded.in_motion = True


def _load_runs(found: Mapping[str, Loaded], wanted: Mapping[str, set[str]]) -> None:
    ids = {run for key, runs in wanted.items() if not found[key].complete for run in runs}
    if ids:
        _keep(found, step_runs(any_of("s.id", len(ids)), bound(ids)))


def _load_attached(found: Mapping[str, Loaded], wanted: Mapping[str, set[str]]) -> None:
    for key, entries in wanted.items():
        if found[key].complete:
            found[key].attached |= entries
    wanted = {key: entries - found[key].attached for key, entries in wanted.items()}
    ids = {entry for entries in wanted.values() for entry in entries}
    if not ids:
        return
    executions = [key for key, entries in wanted.items() if entries]
    condition = (
        f"{any_of('s.execution_id', len(executions))} AND {any_of('s.compensates', len(ids))}"
    )
    _keep(found, step_runs(condition, [*bound(executions), *bound(ids)]))
    for key, entries in wanted.items():
        found[key].attached |= entries


def _keep(found: Mapping[str, Loaded], rows: Iterable[tuple[str, StepRun]]) -> None:
    for execution_id, run in rows:
        if execution_id in found:
            found[execution_id].runs[run.id] = run


def _load_latest(found: Mapping[str, Loaded], wanted: Mapping[str, set[str]]) -> None:
    """Load the newest forward step run of each reference: one index look-up per reference."""
    pairs = [(key, name) for key, names in wanted.items() for name in names]
    if not pairs:
        return
    for key, name in pairs:
        loaded = found[key]
        one = Newest(execution_id=key, reference=name)
        rows = newest.among(loaded.runs.values(), one) if loaded.complete else []
        loaded.latest[name] = rows[0][1] if rows else None
    pairs = [(key, name) for key, name in pairs if not found[key].complete]
    if not pairs:
        return
    wanted_rows = [Newest(execution_id=key, reference=name) for key, name in pairs]
    for execution_id, run in _newest(wanted_rows):
        found[execution_id].latest[run.reference] = run


def _newest(wanted: Sequence[Newest]) -> list[tuple[str, StepRun]]:
    return [row for condition in newest.conditions(wanted) for row in step_runs(*condition)]


def _load_rest(  # noqa: C901 - one line per kind of need
    loaded: Loaded, key: str, needs: Needs, resolvers: Resolvers
) -> None:
    """Load what is asked for rarely, execution by execution."""
    if needs.before:
        _load_before(loaded, key, needs.before)
    own = statements.uuids([key])
    if needs.in_motion and not loaded.in_motion:
        marks = ", ".join(["%s"] * len(_SETTLED))
        condition = f"s.execution_id = %s AND s.state NOT IN ({marks})"
        _keep({key: loaded}, step_runs(condition, [*own, *_SETTLED]))
        loaded.in_motion = True
    if needs.whole and not loaded.whole:
        known = dict(loaded.runs)
        _keep({key: loaded}, step_runs("s.execution_id = %s", own, light=True))
        loaded.runs.update(known)
        loaded.whole = True
    for position, references, _ in needs.rounds:
        marks = ", ".join(["%s"] * len(references))
        condition = f"s.execution_id = %s AND s.reference IN ({marks})"
        _keep({key: loaded}, step_runs(condition, [*own, *references]))
        loaded.rounds[position] = True
    for fork_id in needs.dynamic:
        _load_dynamic(loaded, fork_id)
    for child in needs.children:
        loaded.children[child] = resolvers.child(*child)
    for digest, raw in needs.inline_children.items():
        loaded.inline_children[digest] = resolvers.inline_child(loaded.view, raw)
    for name in needs.policies:
        loaded.policies.setdefault(name, TaskPolicy(name=name))
        loaded.policies.update(definitions.policies_of(definitions.registered_policies([name])))
    for approval_id, input_hash in needs.approvals.items():
        loaded.approvals[approval_id] = resolvers.approval_holds(approval_id, input_hash)
    loaded.polled.update(polls.domains_polled(needs.polled))
    for effect_id in needs.owners:
        loaded.owners[effect_id] = effects.owner_of(effect_id, root_id=loaded.view.root_id)
    if needs.plan and loaded.plan is None:
        loaded.plan = plans.active_plan(key)


def _load_before(loaded: Loaded, key: str, wanted: set[tuple[str, int]]) -> None:
    """Load steps as they were before others; who asks is known, since its undo is at hand."""
    epochs = {run.seq: run.epoch for run in loaded.runs.values()}
    for reference, below in sorted(wanted):
        one = Newest(execution_id=key, reference=reference, below=below, epoch=epochs.get(below))
        rows = newest.among(loaded.runs.values(), one) if loaded.complete else _newest([one])
        loaded.before[reference, below] = rows[0][1] if rows else None


def graph_of_run(loaded: Loaded, run: StepRun) -> Graph:
    """Return the graph in which a step run's step stands, loading it where it is missing."""
    if run.defined_by is None:
        return loaded.graph
    if run.defined_by not in loaded.dynamic:
        _load_dynamic(loaded, run.defined_by)
    return loaded.dynamic[run.defined_by]


_BRANCHES: dict[str, Graph] = {}
_MOST_BRANCHES = 64


def _load_dynamic(loaded: Loaded, fork_id: str) -> None:
    """Compile the branches of a dynamic fork; kept per process, since they never change."""
    graph = _BRANCHES.get(fork_id)
    if graph is None:
        fork = loaded.runs.get(fork_id)
        if fork is None or fork.is_light:
            _keep({loaded.view.id: loaded}, step_runs("s.id = %s", statements.uuids([fork_id])))
            fork = loaded.runs[fork_id]
        if fork.defined_by is not None and fork.defined_by not in loaded.dynamic:
            _load_dynamic(loaded, fork.defined_by)
        outer = loaded.graph if fork.defined_by is None else loaded.dynamic[fork.defined_by]
        graph = branches_of(outer, fork.reference, fork.dynamic or [])
        if len(_BRANCHES) >= _MOST_BRANCHES:
            _BRANCHES.clear()
        _BRANCHES[fork_id] = graph
    loaded.dynamic[fork_id] = graph
