"""The plan: what is undone, in which order, and what cannot be undone (saga-semantics §5).

`make` is pure selection over the whole ledger, so that the preview is the plan (invariant 14).
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from orchestrator.engine import order
from orchestrator.engine.canonical import digest
from orchestrator.engine.definition.graph import Node
from orchestrator.engine.definition.model import Approval, EffectClass, Moment, UndoPolicy
from orchestrator.engine.snapshot import StepRun
from orchestrator.engine.states import Direction, EntryState, StepState
from orchestrator.engine.steps import windows

NodeOf = Callable[[StepRun], Node | None]

_MAY_HAVE_HAPPENED = frozenset({StepState.COMPLETED, StepState.UNKNOWN})
_LASTING = frozenset({EffectClass.IRREVERSIBLE, EffectClass.RETRIABLE, EffectClass.PIVOT})
CHOOSABLE = frozenset({EntryState.ARMED, EntryState.UNCERTAIN})
CHOOSABLE_ON_REQUEST = CHOOSABLE | {EntryState.SKIPPED}


def choosable(*, on_request: bool, override: bool = False) -> frozenset[EntryState]:
    """Return the entry states that may be chosen.

    Args:
        on_request: A person or the API asks, for an ended run (T5).
        override: Two persons have agreed, entry by entry: what is sealed too (§10.4).
    """
    states = CHOOSABLE_ON_REQUEST if on_request else CHOOSABLE
    return states | {EntryState.SEALED} if override else states


def forward_runs(runs: Mapping[str, StepRun]) -> dict[str, StepRun]:
    """Return the step runs that went forward, by id."""
    return {run.id: run for run in runs.values() if run.direction is Direction.FORWARD}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A selection of entries with their order."""

    entries: tuple[dict[str, Any], ...]
    """In an order of undo: later settled first."""
    edges: tuple[order.Edge, ...]
    cannot_be_undone: tuple[dict[str, Any], ...]
    hash: str
    missing: tuple[StepRun, ...] = ()
    """Entries that would have to be undone before a chosen one and were not chosen."""

    @property
    def is_empty(self) -> bool:
        """Tell whether there is nothing to undo."""
        return not self.entries


def make(
    runs: Mapping[str, StepRun],
    node_of: NodeOf,
    *,
    wanted: Collection[str] | None = None,
    choosable: Collection[EntryState] = CHOOSABLE,
    kept: Collection[str] = (),
    now: datetime | None = None,
) -> Plan:
    """Select what is undone.

    Args:
        runs: All step runs of the execution.
        node_of: Gives the step of a step run.
        wanted: Only these entries, or None for all that can be undone.
        choosable: Entry states that may be chosen.
        kept: Entries of the plan that this one extends, whatever their state.
        now: What has been over by then is left out, though nobody has sealed it yet.
    """
    forward = forward_runs(runs)
    nodes = {run.id: node_of(run) for run in forward.values()}
    live = {
        run.id: run
        for run in forward.values()
        if run.entry_state in choosable and not (now and windows.is_overdue(run, now))
    }
    chosen = live if wanted is None else {key: live[key] for key in wanted if key in live}
    chosen = {**{key: forward[key] for key in kept if key in forward}, **chosen}
    edges = edges_between(forward, nodes, chosen)
    ordered = sorted(chosen.values(), key=lambda run: -(run.settle_seq or 0))
    entries = tuple(_entry(run, nodes[run.id]) for run in ordered)
    lasting = _cannot_be_undone(forward, nodes)
    return Plan(
        entries=entries,
        edges=edges,
        cannot_be_undone=lasting,
        hash=digest([entries, [list(edge) for edge in edges]]),
        missing=_missing(forward, live, chosen) if wanted is not None else (),
    )


def edges_between(
    forward: Mapping[str, StepRun],
    nodes: Mapping[str, Node | None],
    chosen: Mapping[str, StepRun],
    *,
    passed: Collection[str] = (),
) -> tuple[order.Edge, ...]:
    """Return the order between chosen entries; nobody waits for those in `passed`."""
    independent = {key for key in chosen if _compensation(nodes[key], "independent")}
    return order.order_edges(
        forward,
        chosen,
        independent=independent.union(passed),
        after=_after_edges(chosen, nodes),
    )


def totals(entries: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Return the money at stake in a plan, by currency; what is no amount is left out."""
    sums: dict[str, Decimal] = {}
    for entry in entries:
        amount = entry.get("amount") or {}
        value, currency = amount.get("value"), amount.get("currency")
        if isinstance(value, int | float) and not isinstance(value, bool) and currency:
            # Added up as written: the sum of 0.1 and 0.2 is 0.3.
            sums[str(currency)] = sums.get(str(currency), Decimal(0)) + Decimal(str(value))
    return {currency: _number(total) for currency, total in sorted(sums.items())}


def _number(total: Decimal) -> int | float:
    return int(total) if total == total.to_integral_value() else float(total)


def _compensation(node: Node | None, name: str) -> Any:
    compensation = node.step.compensation if node else None
    return getattr(compensation, name) if compensation else None


def _after_edges(
    chosen: Mapping[str, StepRun], nodes: Mapping[str, Node | None]
) -> tuple[order.Edge, ...]:
    """Return the extra edges of `compensation.after`; inside a loop they hold within a round."""
    by_reference: dict[str, list[StepRun]] = {}
    for run in chosen.values():
        by_reference.setdefault(run.reference, []).append(run)
    return tuple(
        (run.id, awaited.id)
        for run in chosen.values()
        for reference in (_compensation(nodes[run.id], "after") or ())
        for awaited in by_reference.get(reference, ())
        if awaited.id != run.id and _share_rounds(run, nodes[run.id], awaited, nodes[awaited.id])
    )


def _share_rounds(run: StepRun, node: Node | None, other: StepRun, other_node: Node | None) -> bool:
    if node is None or other_node is None:
        return False
    own = zip(node.loops, node.rounds(run.position), strict=True)
    others = dict(zip(other_node.loops, other_node.rounds(other.position), strict=True))
    return all(others.get(loop, round_) == round_ for loop, round_ in own)


def _entry(run: StepRun, node: Node | None) -> dict[str, Any]:
    """Return what the plan keeps of an entry; the snapshot is held by its hash."""
    return {
        "id": run.id,
        "taskReferenceName": run.reference,
        "iteration": run.iteration,
        "policy": run.policy,
        "outcome": "UNKNOWN" if run.state is StepState.UNKNOWN else "COMPLETED",
        "policyResult": _POLICY_RESULTS[UndoPolicy(run.policy)] if run.policy else None,
        "approvers": _approvers(run, node),
        "amount": run.amount,
        "task": _task_name(node),
        **_times(node),
        "snapshotHash": digest([run.id, run.state.value, run.settle_seq, run.attempt]),
    }


_POLICY_RESULTS = {
    UndoPolicy.AUTOMATIC: "AUTOMATIC",
    UndoPolicy.APPROVAL: "APPROVAL",
    UndoPolicy.MANUAL: "MANUAL",
    # The rule is asked when the entry is ready, over what will really be sent.
    UndoPolicy.APPROVAL_IF: "UNDECIDED",
}


def _approvers(run: StepRun, node: Node | None) -> dict[str, Any] | None:
    """Return whom the undo asks, or may ask."""
    approval: Approval | None = _compensation(node, "approval")
    if approval is None or run.policy not in (UndoPolicy.APPROVAL, UndoPolicy.APPROVAL_IF):
        return None
    return {"groups": list(approval.groups), "quorum": approval.quorum}


def _times(node: Node | None) -> dict[str, Any]:
    """Return the business times of an undo as they are declared; most have none (§10.2)."""
    declared: dict[str, Moment | None] = {
        "notBefore": _compensation(node, "not_before"),
        "notAfter": _compensation(node, "not_after"),
    }
    found: dict[str, Any] = {}
    for name, moment in declared.items():
        if moment is not None:
            written = {"at": moment.at, "lead": moment.lead, "zone": moment.zone}
            found[name] = {key: value for key, value in written.items() if value is not None}
    return found


def _task_name(node: Node | None) -> str | None:
    tasks = _compensation(node, "tasks")
    return tasks[0].name if tasks else None


def _cannot_be_undone(
    forward: Mapping[str, StepRun], nodes: Mapping[str, Node | None]
) -> tuple[dict[str, Any], ...]:
    found: list[dict[str, Any]] = []
    for run in sorted(forward.values(), key=lambda run: run.seq):
        node = nodes[run.id]
        if node is None or run.entry_state is not None or run.state not in _MAY_HAVE_HAPPENED:
            continue
        if node.effect in _LASTING:
            happened = run.state is StepState.COMPLETED
            found.append(
                {
                    "stepId": run.id,
                    "taskReferenceName": run.reference,
                    "iteration": run.iteration,
                    "effect": node.effect.value,
                    "note": "happened" if happened else "may have happened",
                }
            )
    return tuple(found)


def _missing(
    forward: Mapping[str, StepRun], live: Mapping[str, StepRun], chosen: Mapping[str, StepRun]
) -> tuple[StepRun, ...]:
    """Return live entries that came after a chosen one and are not chosen (invariant 10)."""
    later = order.successors(forward, tuple(chosen))
    return tuple(
        sorted(
            (run for key, run in live.items() if key in later and key not in chosen),
            key=lambda run: run.seq,
        )
    )
