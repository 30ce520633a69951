"""Random trees for Hypothesis: drawn choice by choice, so that a failure shrinks to a small one."""

import dataclasses

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

    draw: st.DrawFn
    names: int = 0
    left: int = 8

    def workflow(self, depth: int) -> Workflow:
        """Draw a definition."""
        self.names += 1
        name = f"w{self.names}"
        body = self.with_savepoint(self.seq(depth, longest=4))
        scope = Scope(
            on_failure=self.draw(
                st.sampled_from(
                    [OnFailure.BACKWARD] * 5
                    + [OnFailure.FORWARD, OnFailure.FORWARD, OnFailure.ASK, OnFailure.NONE]
                )
            ),
            max_retries=self.draw(st.integers(0, 2)),
            serial=self.draw(st.sampled_from([False, False, False, True])),
        )
        asks = self.draw(st.sampled_from([False] * 5 + [True]))
        return Workflow(name=name, body=body, scope=scope, confirms_plan=asks)

    def with_savepoint(self, body: Seq) -> Seq:
        """Make one step of the trunk a savepoint, sometimes."""
        steps = [index for index, part in enumerate(body.parts) if isinstance(part, Step)]
        if not steps or not self.draw(st.booleans()):
            return body
        chosen = self.draw(st.sampled_from(steps))
        parts = [
            dataclasses.replace(part, savepoint=True)
            if index == chosen and isinstance(part, Step)
            else part
            for index, part in enumerate(body.parts)
        ]
        return Seq(tuple(parts))

    def seq(self, depth: int, longest: int = 3) -> Seq:
        """Draw one part after the other."""
        count = self.draw(st.integers(min(2, longest), longest))
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
        kind = self.draw(st.sampled_from(kinds))
        self.names += 1
        ref = f"{kind[:2]}{self.names}"
        match kind:
            case "fork":
                branches = tuple(
                    self.ended(self.seq(depth - 1, 2)) for _ in range(self.draw(st.integers(2, 3)))
                )
                return Fork(ref, branches)
            case "loop":
                rounds = self.draw(st.integers(1, 3))
                once = self.undo() if self.draw(st.integers(0, 3)) == 0 else None
                return Loop(ref, rounds, self.seq(depth - 1, 2), once)
            case "switch":
                cases = (self.seq(depth - 1, 2), self.seq(0, 1))
                return Switch(ref, cases, self.draw(st.integers(0, 1)))
            case "each":
                return Each(ref, self.draw(st.integers(1, 3)), self.step(f"s{ref}"))
            case "sub":
                black_box = self.undo() if self.draw(st.integers(0, 2)) == 0 else None
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
        effect = self.draw(
            st.sampled_from([Effect.REVERSIBLE] * 6 + [Effect.NONE, Effect.IRREVERSIBLE])
        )
        undo = self.undo() if effect is Effect.REVERSIBLE else None
        return Step(
            ref,
            effect=effect,
            undo=undo,
            retries=self.draw(st.sampled_from([0, 0, 1, 2])),
            on_unknown=self.draw(st.sampled_from(ON_UNKNOWN)),
            optional=self.draw(st.integers(0, 9)) == 0,
        )

    def undo(self) -> Undo:
        """Draw a compensation."""
        draw = self.draw
        return Undo(
            policy=draw(st.sampled_from([Policy.AUTOMATIC] * 5 + [Policy.APPROVAL, Policy.MANUAL])),
            safe=draw(st.booleans()),
            goes_on=draw(st.sampled_from([False, False, True])),
            independent=draw(st.sampled_from([False] * 7 + [True])),
            attempts=draw(st.integers(1, 3)),
            parts=draw(st.sampled_from([1, 1, 1, 2])),
        )


@st.composite
def workflows(draw: st.DrawFn) -> Workflow:
    """Draw a definition with what it calls."""
    grower = Grower(draw, left=draw(st.integers(3, 12)))
    workflow = grower.workflow(draw(st.integers(0, 3)))
    if draw(st.integers(0, 3)):
        return workflow
    parts = list(workflow.body.parts)
    decides = Step("pivot", Effect.PIVOT, retries=draw(st.integers(0, 1)))
    parts.insert(draw(st.integers(0, len(parts))), decides)
    return dataclasses.replace(workflow, body=Seq(tuple(parts)))
