"""Where a step run stands, and the order `->` between two of them (saga-semantics §4.1).

A place is the way down the tree to an activation: which part of a sequence, which branch, which
round, which item. The order is read from two such ways and from nothing else: no clock, no
counter, no edge that an engine stored.
"""

import dataclasses
from collections.abc import Iterator
from enum import StrEnum

from tests.model.trees import Each, Fork, Loop, Node, Seq, Switch, Workflow


class Way(StrEnum):
    """One kind of turn on the way down."""

    PART = "part"
    BRANCH = "branch"
    LOOSE = "loose"
    ROUND = "round"
    ITEM = "item"
    CASE = "case"


Turn = tuple[Way, int]
IN_TURN = frozenset({Way.PART, Way.ROUND})


@dataclasses.dataclass(frozen=True, order=True)
class Place:
    """One activation of a node: its reference name, and the turns that lead to it."""

    turns: tuple[Turn, ...]
    ref: str

    @property
    def rounds(self) -> tuple[int, ...]:
        """The rounds it stands in, from the outside in, counted from 1."""
        return tuple(n + 1 for way, n in self.turns if way is Way.ROUND)


def before(a: Place, b: Place) -> bool:
    """Whether `a -> b`: b was enabled, directly or through others, after a settled.

    Where the two ways part, the kind of the turn decides: parts of a sequence and rounds of a
    loop come one after the other, branches and items lie beside each other. What runs in a
    branch that no join waits for (`LOOSE`) is before nothing outside its branch.
    """
    for depth, (one, other) in enumerate(zip(a.turns, b.turns, strict=False)):
        if one != other:
            waited_for = all(way is not Way.LOOSE for way, _ in a.turns[depth + 1 :])
            return one[0] in IN_TURN and one[1] < other[1] and waited_for
    return False


def places(workflow: Workflow) -> Iterator[tuple[Place, Node]]:
    """Every activation of a run that goes through to its end, with its node."""
    yield from _places(workflow.body, ())


def _places(node: Node, turns: tuple[Turn, ...]) -> Iterator[tuple[Place, Node]]:
    match node:
        case Seq(parts):
            for index, part in enumerate(parts):
                yield from _places(part, (*turns, (Way.PART, index)))
            return
        case Fork(branches=branches, joined=joined):
            for index, branch in enumerate(branches):
                way = Way.BRANCH if joined is None or index in joined else Way.LOOSE
                yield from _places(branch, (*turns, (way, index)))
        case Each(items=items, body=body):
            for index in range(items):
                named = dataclasses.replace(body, ref=f"{body.ref}_{index}")
                yield from _places(named, (*turns, (Way.ITEM, index)))
        case Loop(rounds=rounds, body=body):
            for index in range(rounds):
                yield from _places(body, (*turns, (Way.ROUND, index)))
        case Switch(cases=cases, taken=taken):
            yield from _places(cases[taken], (*turns, (Way.CASE, taken)))
        case _:
            pass
    yield Place(turns=turns, ref=getattr(node, "ref", "")), node


def inside(outer: Place, inner: Place) -> bool:
    """Whether `inner` stands inside the node at `outer`."""
    return outer.turns != inner.turns and inner.turns[: len(outer.turns)] == outer.turns
