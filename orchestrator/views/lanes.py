"""The saga view of a run: each step in the forward lane, its undo beside it in the undo lane."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.selectors.outline import HIDDEN, Line
from orchestrator.selectors.words import NOT_REACHED, Look, kind, look

Row = Mapping[str, Any]
ROUNDS_SHOWN = 20
_ROUND_SUFFIX = re.compile(r"__\d+$")
PLANNED = Look(tone="neutral", icon="ring", word="Not needed so far")


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One box of a lane."""

    title: str
    look: Look
    spoken: str
    step_id: str = ""
    """Which step run the box opens; empty where there is none."""
    run: Row = field(default_factory=dict)
    """The step run as the API gives it."""
    entry: Row = field(default_factory=dict)
    """The ledger entry, on boxes of the undo lane."""
    order: int | None = None
    """The place in the plan: 1 is undone first."""
    note: str = ""
    epoch: int | None = None
    """Told where the step ran in several: the run went back to a savepoint."""

    @property
    def is_quiet(self) -> bool:
        """Tell whether nothing happened here, so that it is drawn faintly."""
        return not self.step_id or self.entry.get("state") == "VOID"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One line of the view: a heading, or a step with its undo."""

    depth: int
    heading: str = ""
    forward: Node | None = None
    undo: Node | None = None


def lanes(*, lines: Iterable[Line], detail: Row) -> tuple[Pair, ...]:
    """Put a run onto the outline of its definition; steps the outline lacks follow at the end."""
    drawing = _Drawing(detail)
    pairs = [pair for line in lines for pair in drawing.pairs(line)]
    rest = list(drawing.rest())
    if rest and pairs:
        pairs.append(Pair(depth=0, heading="Steps given as data"))
    return (*pairs, *rest)


def named_plan(*, lines: Iterable[Line], plan: Row | None) -> Row | None:
    """Return a plan whose entries carry the name of their undo beside that of the step."""
    if plan is None:
        return None
    names = {
        line.step.reference: {"undo": line.undo.name, "step": line.step.name}
        for line in lines
        if line.step and line.undo
    }
    entries = [
        {**entry, **names.get(_bare(entry["taskReferenceName"]), {})} for entry in plan["entries"]
    ]
    return {**plan, "entries": entries}


class _Drawing:
    """The run's rows, sorted so that each line of the outline finds its own."""

    def __init__(self, detail: Row) -> None:
        self._forward: dict[str, list[Row]] = defaultdict(list)
        self._undone_by: dict[str, Row] = {}
        for step in detail["steps"]:
            if step["direction"] == "FORWARD":
                self._forward[_bare(step["taskReferenceName"])].append(step)
            elif step["direction"] == "COMPENSATION" and step["compensates"]:
                self._undone_by[str(step["compensates"])] = step
        self._entries = {str(entry["id"]): entry for entry in detail["ledger"]}
        plan = detail["plan"]
        entries: Sequence[Row] = plan["entries"] if plan else ()
        self._order = {str(entry["id"]): place for place, entry in enumerate(entries, start=1)}

    def pairs(self, line: Line) -> Iterator[Pair]:
        """Return the pairs of one line: one per round that ran, or the step as not reached."""
        if line.step is None:
            yield Pair(depth=line.depth, heading=line.heading)
            return
        runs = self._forward.pop(line.step.reference, [])
        if not runs:
            yield Pair(depth=line.depth, forward=_unreached(line), undo=_possible(line))
        for run in runs[:ROUNDS_SHOWN]:
            yield self._pair(run, line=line, among=runs)
        if len(runs) > ROUNDS_SHOWN:
            more = len(runs) - ROUNDS_SHOWN
            yield Pair(depth=line.depth, heading=f"{more} more rounds, see the view Steps")

    def rest(self) -> Iterator[Pair]:
        """Return what no line asked for."""
        for runs in self._forward.values():
            for run in runs:
                if run["type"] not in HIDDEN:
                    yield self._pair(run, line=None, among=runs)

    def _pair(self, run: Row, *, line: Line | None, among: Sequence[Row]) -> Pair:
        return Pair(
            depth=line.depth if line else 0,
            forward=_forward_node(run, among=among),
            undo=self._undo_node(run, line),
        )

    def _undo_node(self, run: Row, line: Line | None) -> Node | None:
        entry = self._entries.get(str(run["id"]))
        undo = self._undone_by.get(str(run["id"]))
        named = line.undo if line else None
        if entry is None or (named is None and undo is None and entry["state"] == "VOID"):
            return None
        title = named.name if named else undo["name"] if undo else f"Undo of {run['name']}"
        shown = look("entry", entry["state"])
        order = self._order.get(str(run["id"]))
        words = [title, f"undo of {run['name']}"]
        if order:
            words.append(f"order {order}")
        return Node(
            title=title,
            look=shown,
            spoken=", ".join([*words, shown.word]),
            step_id=str(undo["id"] if undo else run["id"]),
            run=undo or {},
            entry=entry,
            order=order,
            note=(undo or {}).get("reason") or "",
        )


def _forward_node(run: Row, *, among: Sequence[Row]) -> Node:
    """Return the box of a step run; `among` are all of its step, by rounds and epochs."""
    shown = look("step", run["state"])
    title = run["name"]
    # Rounds count from 1 in loops and stay 0 outside.
    if len(among) > 1 and run["iteration"]:
        title = f"{title}, round {run['iteration']}"
    epoch = run["epoch"] if len({other["epoch"] for other in among}) > 1 else None
    words = [title, kind(run["type"]), *([f"epoch {epoch}"] if epoch else []), shown.word]
    return Node(
        title=title,
        look=shown,
        spoken=", ".join(words),
        step_id=str(run["id"]),
        run=run,
        note=run["reason"] or "",
        epoch=epoch,
    )


def _unreached(line: Line) -> Node | None:
    if line.step is None:
        return None
    spoken = f"{line.step.name}, {kind(line.step.type)}, {NOT_REACHED.word}"
    return Node(title=line.step.name, look=NOT_REACHED, spoken=spoken)


def _possible(line: Line) -> Node | None:
    if line.undo is None or line.step is None:
        return None
    spoken = f"{line.undo.name}, undo of {line.step.name}, {PLANNED.word}"
    return Node(title=line.undo.name, look=PLANNED, spoken=spoken)


def _bare(reference: str) -> str:
    """Return a reference without the round that Conductor appends inside loops."""
    return _ROUND_SUFFIX.sub("", reference)
