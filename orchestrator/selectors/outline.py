"""A definition as the flat, indented list of lines that pages draw: each step beside its undo."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from orchestrator.engine.definition.model import Definition, EffectClass, Step

CONTROL = frozenset(
    {
        "SWITCH", "DECISION", "FORK_JOIN", "FORK_JOIN_DYNAMIC", "JOIN", "EXCLUSIVE_JOIN",
        "DO_WHILE", "SUB_WORKFLOW", "TERMINATE", "SET_VARIABLE", "NOOP", "COMPENSATE",
    }
)  # fmt: skip
HIDDEN = frozenset({"JOIN", "EXCLUSIVE_JOIN"})
"""Where branches meet again is seen from the indentation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of an outline: a step, or the heading of a branch when `step` is None."""

    depth: int
    step: Step | None = None
    heading: str = ""

    @property
    def is_control(self) -> bool:
        """Tell whether the step only steers the flow."""
        return self.step is not None and self.step.type in CONTROL

    @property
    def undo(self) -> Step | None:
        """The first task of the step's undo; the undo is named after it."""
        if self.step is None or self.step.compensation is None:
            return None
        return next(iter(self.step.compensation.tasks), None)

    @property
    def effect(self) -> str:
        """The effect class in one word; empty where nothing leaves the process."""
        if self.step is None or self.step.effect in (None, EffectClass.NONE):
            return ""
        return self.step.effect.value.lower() if self.step.effect else ""


def outline(definition: Definition) -> tuple[Line, ...]:
    """Return the lines of a definition, in the order in which it is written."""
    return tuple(_lines(definition.tasks, depth=0))


def _lines(steps: Sequence[Step], *, depth: int) -> Iterator[Line]:
    for step in steps:
        if step.type in HIDDEN:
            continue
        yield Line(depth=depth, step=step)
        for heading, inner in _parts(step):
            if heading:
                yield Line(depth=depth + 1, heading=heading)
            yield from _lines(inner, depth=depth + 1)


def _parts(step: Step) -> Iterator[tuple[str, Sequence[Step]]]:
    for number, branch in enumerate(step.branches, start=1):
        yield f"Branch {number}", branch
    for value, case in step.cases.items():
        yield f"If {value}", case
    if step.default_case:
        yield "Otherwise", step.default_case
    if step.body:
        yield "Each round", step.body
