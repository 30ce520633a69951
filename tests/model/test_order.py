"""The model's order of undo against the table of saga-semantics §4.2, shape by shape."""

import pytest

from tests.model.choice import (
    Live,
    back_to_savepoint,
    guarded,
    missing_for,
    step_and_after,
    waits_for,
)
from tests.model.paths import Place, before, places
from tests.model.trees import Each, Fork, Loop, Seq, Step, Sub, Switch, Workflow


def seq(*parts) -> Seq:
    return Seq(tuple(Step(part) if isinstance(part, str) else part for part in parts))


def named(*parts) -> dict[str, Place]:
    """Name the places of a tree: reference, and rounds counted from 1."""
    return {
        place.ref + "".join(map(str, place.rounds)): place
        for place, _ in places(Workflow("w", seq(*parts)))
    }


def ordered(*parts) -> set[str]:
    """Every pair `ab` of steps where a is before b."""
    found = named(*parts)
    steps = [name for name, place in found.items() if len(place.ref) == 1]
    return {a + b for a in steps for b in steps if before(found[a], found[b])}


FORK = Fork("fork", (seq("x", "y"), seq("z")))


@pytest.mark.parametrize(
    ("parts", "pairs"),
    [
        (["a", "b", "c"], {"ab", "bc", "ac"}),
        (["a", FORK, "d"], {"ax", "ay", "az", "ad", "xy", "xd", "yd", "zd"}),
        (["a", Switch("switch", (seq("x"), seq("y")), 1), "b"], {"ay", "yb", "ab"}),
        (
            [Loop("loop", 2, seq("x", "y"))],
            {"x1y1", "x1x2", "x1y2", "y1x2", "y1y2", "x2y2"},
        ),
        (["a", Sub("s", Workflow("child", seq("q"))), "b"], {"as", "sb", "ab"}),
        ([Fork("fork", (seq("x"), seq("z")), joined=(0,)), "d"], {"xd"}),
    ],
)
def test_what_is_before_what(parts, pairs):
    assert ordered(*parts) == pairs


def test_items_of_a_dynamic_fork_lie_beside_each_other():
    found = named("a", Each("each", 2, Step("i")), "b")

    assert not before(found["i_0"], found["i_1"])
    assert before(found["a"], found["i_1"])
    assert before(found["i_0"], found["b"])


def test_a_savepoint_cuts_by_order_and_not_by_time():
    """What runs beside the savepoint's branch is not touched, however late it ended (§11)."""
    found = named("a", FORK, "d")
    entries = [Live(found[name], "ARMED") for name in "axyz"]

    assert back_to_savepoint(entries, found["x"]) == {found["y"]}


def test_a_pivot_guards_what_is_before_and_beside_it():
    found = named("a", FORK, "d")

    assert guarded([found[name] for name in "axyzd"], found["x"]) == {found["y"], found["d"]}


def test_a_chosen_set_lacks_what_came_after_it():
    found = named("a", "b", "c")
    entries = [Live(found["a"], "ARMED"), Live(found["b"], "VOID"), Live(found["c"], "ARMED")]

    assert missing_for([found["a"]], entries) == {found["c"]}
    assert step_and_after(entries, found["b"]) == {found["c"]}


def test_nobody_waits_for_an_independent_undo_and_it_waits_itself():
    found = named("a", "b", "c")
    chosen = {found[name]: Live(found[name], "ARMED", independent=name == "b") for name in "abc"}

    edges = {(one.ref, other.ref) for one, other in waits_for(chosen)}

    assert edges == {("a", "c"), ("b", "c")}
