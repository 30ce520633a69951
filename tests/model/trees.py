"""Definitions as trees: only what the rules of undo ask about."""

import dataclasses
from collections.abc import Iterator
from enum import StrEnum
from typing import Protocol


class Effect(StrEnum):
    """What an author says a step does to the world (saga-semantics §1)."""

    NONE = "NONE"
    REVERSIBLE = "REVERSIBLE"
    PIVOT = "PIVOT"
    RETRIABLE = "RETRIABLE"
    IRREVERSIBLE = "IRREVERSIBLE"


class Printer(Protocol):
    """What Hypothesis prints a drawn value with."""

    def text(self, obj: str, /) -> None:
        """Print as it is."""


class Short:
    """Prints only what differs from the defaults: a failing tree should be read at a glance."""

    def __repr__(self) -> str:
        fields = dataclasses.fields(self)  # type: ignore[arg-type]  # every heir is one
        said = [
            f"{field.name}={value!r}"
            for field in fields
            if (value := getattr(self, field.name)) != field.default
        ]
        return f"{type(self).__name__}({', '.join(said)})"

    def _repr_pretty_(self, printer: Printer, _cycle: object) -> None:
        printer.text(repr(self))


class Policy(StrEnum):
    """Who lets an undo go (saga-semantics §6)."""

    AUTOMATIC = "AUTOMATIC"
    APPROVAL = "APPROVAL"
    MANUAL = "MANUAL"


class OnFailure(StrEnum):
    """What a scope does when a step of it fails for good (saga-semantics §11)."""

    BACKWARD = "BACKWARD"
    FORWARD = "FORWARD"
    ASK = "ASK"
    NONE = "NONE"


@dataclasses.dataclass(frozen=True, repr=False)
class Undo(Short):
    """The compensation of a node, with the knobs of saga-semantics §4.3, §6 and §9."""

    policy: Policy = Policy.AUTOMATIC
    safe: bool = True
    reads_output: bool = False
    goes_on: bool = False
    independent: bool = False
    after: tuple[str, ...] = ()
    attempts: int = 2
    parts: int = 1


@dataclasses.dataclass(frozen=True, repr=False)
class Step(Short):
    """One call to the outside; `on_unknown` holds what the author allows, in his order."""

    ref: str
    effect: Effect = Effect.REVERSIBLE
    undo: Undo | None = None
    retries: int = 0
    on_unknown: tuple[str, ...] = ("RETRY", "COMPENSATE", "ASK")
    optional: bool = False
    savepoint: bool = False


@dataclasses.dataclass(frozen=True, repr=False)
class Back(Short):
    """A COMPENSATE node: to a step, to a savepoint, or the whole scope."""

    ref: str
    step: str | None = None
    savepoint: str | None = None


@dataclasses.dataclass(frozen=True, repr=False)
class Seq(Short):
    """One part after the other."""

    parts: tuple["Node", ...]


@dataclasses.dataclass(frozen=True, repr=False)
class Scope(Short):
    """Settings of a run or of an explicit block."""

    on_failure: OnFailure = OnFailure.BACKWARD
    max_retries: int | None = None
    serial: bool = False


@dataclasses.dataclass(frozen=True, repr=False)
class Fork(Short):
    """Branches beside each other; the join waits for those of `joined`, or for all."""

    ref: str
    branches: tuple[Seq, ...]
    joined: tuple[int, ...] | None = None
    scope: Scope | None = None


@dataclasses.dataclass(frozen=True, repr=False)
class Each(Short):
    """A dynamic fork: the same step for each item, beside each other."""

    ref: str
    items: int
    body: Step


@dataclasses.dataclass(frozen=True, repr=False)
class Loop(Short):
    """The body, a number of times; `once` replaces the entries of its rounds when complete."""

    ref: str
    rounds: int
    body: Seq
    once: Undo | None = None
    scope: Scope | None = None


@dataclasses.dataclass(frozen=True, repr=False)
class Switch(Short):
    """One of the cases, known to the model beforehand."""

    ref: str
    cases: tuple[Seq, ...]
    taken: int
    scope: Scope | None = None


@dataclasses.dataclass(frozen=True, repr=False)
class Sub(Short):
    """Another definition, called; with an undo of its own it is a black box."""

    ref: str
    child: "Workflow"
    undo: Undo | None = None


@dataclasses.dataclass(frozen=True, repr=False)
class Workflow(Short):
    """A definition version: what it does, and the settings of its run scope."""

    name: str
    body: Seq
    scope: Scope = Scope()
    quiesce: int = 60
    confirms_plan: bool = False


Node = Step | Back | Seq | Fork | Each | Loop | Switch | Sub


def children(node: Node) -> tuple[Node, ...]:
    """What stands directly inside a node of the same definition."""
    match node:
        case Seq(parts):
            return parts
        case Fork(branches=branches):
            return branches
        case Each(body=body):
            return (body,)
        case Loop(body=body):
            return (body,)
        case Switch(cases=cases):
            return cases
        case _:
            return ()


def walk(node: Node) -> Iterator[Node]:
    """Every node of one definition, parents first; sub-workflows are not entered."""
    yield node
    for child in children(node):
        yield from walk(child)


def has_undo(workflow: Workflow) -> bool:
    """Whether a run of it can have an entry (saga-semantics §3, sub-workflows)."""
    return any(
        (isinstance(node, Step) and node.undo is not None)
        or (isinstance(node, Loop) and node.once is not None)
        or (isinstance(node, Sub) and (node.undo is not None or has_undo(node.child)))
        for node in walk(workflow.body)
    )
