"""Random trees for Hypothesis.

Grown from a seed and a size: drawn choice by choice, Hypothesis gives the same few small ones again
and again. A failure shrinks by its size and by what happens in the play.
"""

import dataclasses
from random import Random

from hypothesis import strategies as st

from tests.model.trees import (
    Each,
    Effect,
    Fork,
    Loop,
    Node,
    OnFailure,
    Policy,
    Scope,
    Seq,
    Step,
    Sub,
    Switch,
    Undo,
    Workflow,
)

ON_UNKNOWN = [
    ("RETRY", "COMPENSATE", "ASK"),
    ("RETRY", "COMPENSATE", "ASK"),
    ("COMPENSATE", "ASK"),
    ("RETRY", "ASK"),
    ("ASK",),
]


@dataclasses.dataclass
class Grower:
    """Draws one definition, and the ones that it calls."""

    random: Random
    names: int = 0
    left: int = 8

    def workflow(self, depth: int) -> Workflow:
        """Draw a definition."""
        self.names += 1
        name = f"w{self.names}"
        body = self.with_savepoint(self.seq(depth, longest=4))
        goes_back = any(isinstance(part, Step) and part.savepoint for part in body.parts)
        ways = [OnFailure.BACKWARD] * 5 + [OnFailure.FORWARD, OnFailure.ASK, OnFailure.NONE]
        scope = Scope(
            on_failure=self.random.choice([OnFailure.FORWARD] * 20 * goes_back + ways),
            max_retries=self.random.choice([1, 2, 0]),
            serial=self.random.choice([False, False, False, True]),
        )
        asks = self.random.choice([False] * 5 + [True])
        return Workflow(name=name, body=body, scope=scope, confirms_plan=asks)

    def with_savepoint(self, body: Seq) -> Seq:
        """Make one step of the trunk a savepoint, sometimes."""
        steps = [
            index
            for index, part in enumerate(body.parts)
            if isinstance(part, Step) and not part.optional
        ]
        if not steps or not self.random.random() < 0.5:
            return body
        chosen = self.random.choice([steps[0], steps[0], *steps])
        parts = [
            dataclasses.replace(part, savepoint=True)
            if index == chosen and isinstance(part, Step)
            else part
            for index, part in enumerate(body.parts)
        ]
        return Seq(tuple(parts))

    def seq(self, depth: int, longest: int = 3) -> Seq:
        """Draw one part after the other."""
        count = self.random.randint(min(2, longest), longest)
        parts: list[Node] = []
        for _ in range(count):
            if self.left > 0 or not parts:
                parts.append(self.node(depth))
        return Seq(tuple(parts))

    def node(self, depth: int) -> Node:
        """Draw a step, or something that holds steps."""
        kinds = ["step"] * 4
        if depth > 0 and self.left > 1:
            kinds += ["fork", "fork", "loop", "switch", "each", "sub"]
        kind = self.random.choice(kinds)
        self.names += 1
        ref = f"{kind[:2]}{self.names}"
        match kind:
            case "fork":
                branches = tuple(
                    self.ended(self.seq(depth - 1, 2)) for _ in range(self.random.randint(2, 3))
                )
                return Fork(ref, branches)
            case "loop":
                rounds = self.random.randint(1, 3)
                once = self.undo() if self.random.randint(0, 3) == 0 else None
                return Loop(ref, rounds, self.seq(depth - 1, 2), once)
            case "switch":
                cases = (self.seq(depth - 1, 2), self.seq(0, 1))
                return Switch(ref, cases, self.random.randint(0, 1))
            case "each":
                return Each(ref, self.random.randint(1, 3), self.step(f"s{ref}"))
            case "sub":
                black_box = self.undo() if self.random.randint(0, 2) == 0 else None
                return Sub(ref, self.workflow(depth - 1), black_box)
            case _:
                return self.step(ref)

    def ended(self, seq: Seq) -> Seq:
        """End a branch with a step: a JOIN that waits for a SWITCH does not wait for its cases."""
        if isinstance(seq.parts[-1], Step | Sub | Loop):
            return seq
        self.names += 1
        return Seq((*seq.parts, self.step(f"st{self.names}")))

    def step(self, ref: str) -> Step:
        """Draw a call to the outside."""
        self.left -= 1
        effect = self.random.choice([Effect.REVERSIBLE] * 6 + [Effect.NONE, Effect.IRREVERSIBLE])
        undo = self.undo() if effect is Effect.REVERSIBLE else None
        return Step(
            ref,
            effect=effect,
            undo=undo,
            retries=self.random.choice([0, 0, 1, 2]),
            on_unknown=self.random.choice(ON_UNKNOWN),
            optional=self.random.randint(0, 9) == 0,
        )

    def undo(self) -> Undo:
        """Draw a compensation."""
        return Undo(
            policy=self.random.choice([Policy.AUTOMATIC] * 5 + [Policy.APPROVAL, Policy.MANUAL]),
            safe=self.random.random() < 0.5,
            goes_on=self.random.choice([False, False, True]),
            independent=self.random.choice([False] * 7 + [True]),
            attempts=self.random.randint(1, 3),
            parts=self.random.choice([1, 1, 1, 2]),
        )


def grow(size: int, depth: int, seed: int) -> Workflow:
    """Grow one definition, with what it calls."""
    random = Random(seed)  # noqa: S311 - a game, not a secret
    workflow = Grower(random, left=size).workflow(depth)
    if random.random() < 0.75:
        return workflow
    parts = list(workflow.body.parts)
    decides = Step("pivot", Effect.PIVOT, retries=random.randint(0, 1))
    parts.insert(random.randint(0, len(parts)), decides)
    return dataclasses.replace(workflow, body=Seq(tuple(parts)))


def workflows() -> st.SearchStrategy[Workflow]:
    """Draw a definition."""
    return st.builds(grow, st.integers(3, 12), st.integers(0, 3), st.integers(0, 2**32))
