"""Random definitions: sequences, forks, switches, loops, dynamic forks and sub-workflows.

They are drawn with a seed and a size, not choice by choice: that gives large ones often, and a
smaller size is all the shrinking that a failure needs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

from hypothesis import strategies as st

from tests.unit.engine.definitions import (
    Document,
    child,
    dynamic,
    fork,
    loop,
    saga,
    switch,
    task,
    undone,
)


@dataclass
class Shaper:
    """Makes one definition and the children that it uses."""

    random: Random
    left: int
    """How many leaves may still be made."""
    children: list[Document] = field(default_factory=list)
    names: int = 0

    def definition(self, depth: int) -> Document:
        """Make a definition."""
        tasks: list[Document] = []
        while self.left > 0:
            tasks += self.sequence(depth)
        settings = {
            "mode": self.random.choice(["PARALLEL", "PARALLEL", "SERIAL"]),
            "maxParallel": self.random.randint(1, 4),
            "onFailure": self.random.choice(["BACKWARD"] * 5 + ["ASK", "NONE"]),
        }
        return saga(tasks, settings=settings)

    def sequence(self, depth: int) -> list[Document]:
        """Make one to three elements in a row."""
        found: list[Document] = []
        for _ in range(self.random.randint(1, 3)):
            found += self.element(depth)
        return found

    def element(self, depth: int) -> list[Document]:
        """Make a leaf or a container."""
        kinds = ["leaf"] * 5
        if depth > 0 and self.left > 0:
            kinds += ["fork", "fork", "switch", "loop", "loop", "dynamic", "child"]
        kind = self.random.choice(kinds)
        name = self.name("c")
        if kind == "fork":
            branches = [self.branch(depth - 1) for _ in range(self.random.randint(1, 3))]
            return fork(name, *branches)
        if kind == "switch":
            cases = {"x": self.sequence(depth - 1), "y": self.sequence(depth - 1)}
            return [switch(name, self.random.choice("xyz"), cases)]
        if kind == "loop":
            rounds = list(range(self.random.randint(0, 3)))
            return [loop(name, rounds, self.sequence(depth - 1))]
        if kind == "dynamic":
            return dynamic(name, [self.leaf() for _ in range(self.random.randint(0, 3))])
        return [self.sub_workflow(depth, name) if kind == "child" else self.leaf()]

    def branch(self, depth: int) -> list[Document]:
        """Make a branch of a fork; a JOIN that waits for a SWITCH would not wait for its cases."""
        found = self.sequence(depth)
        return [*found, task(self.name("s"), "NOOP")] if found[-1]["type"] == "SWITCH" else found

    def sub_workflow(self, depth: int, reference: str) -> Document:
        """Make a child, with or without an undo of its own (a black box)."""
        name = self.name("w")
        below = self.sequence(depth - 1)
        on_failure = self.random.choice(["BACKWARD", "BACKWARD", "NONE"])
        self.children.append(saga(below, name=name, settings={"onFailure": on_failure}))
        keys: dict[str, Any] = {"retryCount": self.random.randint(0, 1)}
        if self.random.random() < 0.3:
            undo: Document = {"tasks": [task(f"un_{reference}")], "safeIfNotApplied": True}
            undo["cascade"] = self.random.random() < 0.5
            keys |= {"effect": "REVERSIBLE", "compensation": undo}
        return child(reference, name, **keys)

    def leaf(self) -> Document:
        """Make a step without others inside."""
        self.left -= 1
        reference = self.name("s")
        kinds = ["undone"] * 9 + ["none", "lasting", "human", "noop", "variable"]
        kind = self.random.choice(kinds)
        keys: dict[str, Any] = {}
        if kind == "human":
            if self.random.random() < 0.3:
                undo = {"tasks": [task(f"un_{reference}")], **self.undo(reference)}
                keys["compensation"] = undo
            return task(reference, "HUMAN", **keys)
        if kind == "variable":
            return task(reference, "SET_VARIABLE", inputParameters={reference: 1})
        if kind == "noop":
            return task(reference, "NOOP")
        keys = {
            "optional": self.random.random() < 0.1,
            "permissive": self.random.random() < 0.08,
            "retryCount": self.random.randint(0, 1),
            "onStop": self.random.choice(["WAIT", "WAIT", "ABANDON"]),
        }
        if kind == "undone":
            return undone(reference, undo=self.undo(reference), **keys)
        return task(reference, effect="NONE" if kind == "none" else "IRREVERSIBLE", **keys)

    def undo(self, reference: str) -> Document:
        """Make the `compensation` keys of a step."""
        undo: Document = {"safeIfNotApplied": self.random.random() < 0.5}
        if self.random.random() < 0.2:
            undo["tasks"] = [task(f"un_{reference}"), task(f"un2_{reference}")]
        undo["policy"] = self.random.choice(["AUTOMATIC"] * 7 + ["APPROVAL", "MANUAL"])
        undo["retry"] = {"maximumAttempts": self.random.randint(1, 3)}
        undo["independent"] = self.random.random() < 0.1
        undo["onFailure"] = self.random.choice(["BLOCK", "BLOCK", "CONTINUE"])
        return undo

    def name(self, kind: str) -> str:
        """Return a name that was not given yet."""
        self.names += 1
        return f"{kind}{self.names}"


@st.composite
def definitions(draw: st.DrawFn) -> tuple[Document, list[Document]]:
    """Draw a definition and the children that it uses."""
    size, depth, seed = draw(st.integers(1, 10)), draw(st.integers(0, 3)), draw(st.integers(0))
    shaper = Shaper(Random(seed), size)  # noqa: S311 - a game, not a secret
    return shaper.definition(depth), shaper.children
