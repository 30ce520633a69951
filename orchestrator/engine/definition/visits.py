"""Every step of a definition in document order, with what it stands in."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from orchestrator.engine.definition.model import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One step and its place."""

    step: Step
    role: str = "forward"
    """`forward`, `undo`, `probe` or `confirm`."""
    owner: Step | None = None
    """The forward step that an undo, probe or confirm belongs to."""
    around: tuple[Step, ...] = ()
    """The forks, switches and loops around it, outermost first."""


def forward_visits(steps: Iterable[Step], around: tuple[Step, ...] = ()) -> Iterator[Visit]:
    """Give the forward steps at any depth, outer ones first."""
    for step in steps:
        yield Visit(step=step, around=around)
        for inner in inner_sequences(step):
            yield from forward_visits(inner, (*around, step))


def every_visit(steps: Iterable[Step]) -> Iterator[Visit]:
    """Give every step, undos, probes and confirms after the step that they belong to."""
    for visit in forward_visits(steps):
        yield visit
        yield from attached_visits(visit.step, visit.around)


def attached_visits(step: Step, around: tuple[Step, ...] = ()) -> Iterator[Visit]:
    """Give the steps that are attached to one."""
    for role, attached in (
        ("undo", undo_steps(step)),
        ("probe", (step.probe,) if step.probe is not None else ()),
        ("confirm", step.confirm),
    ):
        for inner in attached:
            yield Visit(step=inner, role=role, owner=step, around=around)


def undo_steps(step: Step) -> tuple[Step, ...]:
    """Return the tasks of a step's undo, the alternate ones included."""
    if step.compensation is None:
        return ()
    return (*step.compensation.tasks, *step.compensation.alternate)


def inner_sequences(step: Step) -> tuple[tuple[Step, ...], ...]:
    """Return the sequences inside a control-flow step."""
    return (*step.cases.values(), step.default_case, *step.branches, step.body)
