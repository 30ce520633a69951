"""Rows into what `decide` may see: executions, step runs and what a decision asked for."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from orchestrator.engine.canonical import JSONValue
from orchestrator.engine.commands import Needs
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
    StepState,
)
from orchestrator.models import (
    Execution,
)
from orchestrator.store import (
    branches,
    clock,
    definitions,
    effects,
    newest,
    plans,
    polls,
    rows,
    statements,
    wire,
)
from orchestrator.store.newest import Newest
from orchestrator.store.statements import any_of, bound, table_of

MOST_OF_SHORT = 12
"""Step runs of an execution up to which all of them are loaded together."""
MOST_NODES = 64
"""Steps of a definition up to which the newest run of each is looked up without being asked for."""
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
        if self.complete:
            self._know_all()
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

    def _know_all(self) -> None:
        """Answer before they are asked the questions that all step runs together answer."""
        self.attached.update(self.runs)
        if not self.latest and len(self.graph.nodes) <= MOST_NODES:
            self.latest = dict.fromkeys(self.graph.nodes)
            for reference in {run.reference for run in self.runs.values()}:
                one = Newest(execution_id=self.view.id, reference=reference)
                found = newest.among(self.runs.values(), one)
                self.latest[reference] = found[0][1] if found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolvers:
    """What the store must ask others for, inside the transaction."""

    child: Callable[[str, int | None], ChildVersion | None]
    inline_child: Callable[[int, JSONValue], ChildVersion | str]
    approval_holds: Callable[[str, str], bool]


NO_RESOLVERS = Resolvers(
    child=lambda _name, _number: None,
    inline_child=lambda _parent, _document: "",
    approval_holds=lambda _approval, _hash: False,
)
"""For those who only read what is stored."""


# ---- executions and step runs ----------------------------------------------------------------


def lock_executions(ids: Collection[str]) -> dict[str, Loaded]:
    """Lock executions in one order and return them; those that do not exist are left out.

    With them come the database's time and, for executions that have few, all step runs: what most
    decisions ask for, on the same way to the server.
    """
    return _executions(ids, lock=True)


def read_executions(ids: Collection[str]) -> dict[str, Loaded]:
    """Return executions without locking them, for previews."""
    return _executions(ids, lock=False)


def _executions(ids: Collection[str], *, lock: bool) -> dict[str, Loaded]:
    if not ids:
        return {}
    table = table_of(Execution)
    condition = any_of("id", len(ids))
    # No other transaction takes two executions in another order (reliability.md §5.3).
    ending = " ORDER BY id"
    if lock and connection.vendor == "postgresql":
        ending += " FOR NO KEY UPDATE"
    sql = f"SELECT {rows.execution_list()} FROM {table.name} WHERE {condition}{ending}"  # noqa: S608
    moment, parameters = clock.in_sql()
    executions, times, runs = wire.ask(
        (sql, bound(ids)),
        # Read once the locks are there: nobody who had them before can have written a later time.
        (f"SELECT {moment}", parameters),
        _short_runs(ids),
    )
    if connection.vendor == "postgresql":
        clock.hear(times[0][0])
    loaded = [new_loaded(*rows.execution_from(row)) for row in executions]
    found = {one.view.id: one for one in loaded}
    _keep_short(found, runs)
    return found


def new_loaded(view: ExecutionView, version_id: int, task_policies: dict[str, Any]) -> Loaded:
    """Return an execution of which nothing is known but its row."""
    return Loaded(
        view=view,
        version_id=version_id,
        task_policies=task_policies,
        graph=definitions.graph_of_version(version_id),
        policies=definitions.policies_of(task_policies) if task_policies else {},
    )


def loaded_from_new(row: Mapping[str, Any]) -> Loaded:
    """Return an execution that is not stored yet, from the row that will be inserted."""
    view = ExecutionView(**{name: row[name] for name in rows.EXECUTION_COLUMNS})
    loaded = new_loaded(view, row["version_id"], row["task_policies"])
    loaded.complete = loaded.whole = loaded.in_motion = True
    return loaded


def _short_runs(ids: Collection[str]) -> wire.Statement:
    """Return the statement for all step runs of executions that have few."""
    executions = table_of(Execution).name
    seq = (
        "json_extract(frontier, '$.seq')"
        if connection.vendor == "sqlite"
        else "(frontier->>'seq')::integer"
    )
    condition = (
        f"s.execution_id IN (SELECT id FROM {executions} "  # noqa: S608
        f"WHERE {any_of('id', len(ids))} AND COALESCE({seq}, 0) <= {MOST_OF_SHORT})"
    )
    return rows.select_runs(condition), bound(ids)


def _keep_short(found: Mapping[str, Loaded], runs: wire.Rows) -> None:
    _keep(found, rows.runs_from(runs))
    for loaded in found.values():
        if _is_short(loaded):
            loaded.complete = loaded.whole = loaded.in_motion = True


def keep_all(found: Mapping[str, Loaded], runs: Iterable[tuple[str, StepRun]]) -> None:
    """Keep step runs, which are all that each execution among them has."""
    for execution_id, run in runs:
        loaded = found.get(execution_id)
        if loaded is not None:
            loaded.runs[run.id] = run
            loaded.complete = loaded.whole = loaded.in_motion = True


def _is_short(loaded: Loaded) -> bool:
    return int(loaded.view.frontier.get("seq", 0)) <= MOST_OF_SHORT


def step_runs(
    condition: str, parameters: Sequence[Any], *, light: bool = False
) -> list[tuple[str, StepRun]]:
    """Return (execution id, step run) of the rows that a condition selects."""
    [found] = wire.ask((rows.select_runs(condition, light=light), parameters))
    return rows.runs_from(found, light=light)


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
    short = [key for key in wanted if not found[key].complete and _is_short(found[key])]
    if short:
        [runs] = wire.ask(_short_runs(short))
        _keep_short({key: found[key] for key in short}, runs)


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
        runs = newest.among(loaded.runs.values(), one) if loaded.complete else []
        loaded.latest[name] = runs[0][1] if runs else None
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
        branches.load_dynamic(loaded, fork_id)
    for child in needs.children:
        loaded.children[child] = resolvers.child(*child)
    for digest, raw in needs.inline_children.items():
        loaded.inline_children[digest] = resolvers.inline_child(loaded.version_id, raw)
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
    if needs.plan_entries:
        loaded.plan = plans.active_plan(key, with_entries=True)


def _load_before(loaded: Loaded, key: str, wanted: set[tuple[str, int]]) -> None:
    """Load steps as they were before others; who asks is known, since its undo is at hand."""
    epochs = {run.seq: run.epoch for run in loaded.runs.values()}
    for reference, below in sorted(wanted):
        one = Newest(execution_id=key, reference=reference, below=below, epoch=epochs.get(below))
        found = newest.among(loaded.runs.values(), one) if loaded.complete else _newest([one])
        loaded.before[reference, below] = found[0][1] if found else None
