"""What a simulation cannot know by itself: it asks whoever runs it, and keeps the answers.

A play is a generator: it hands out a `Wanted` and takes a `Given`. So the rules stay pure, while
scripts are evaluated and stored versions are read by a service.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

from orchestrator.engine.canonical import JSONValue
from orchestrator.engine.commands import Question
from orchestrator.engine.definition.graph import Graph
from orchestrator.engine.definition.model import TaskPolicy
from orchestrator.engine.snapshot import Answer, ChildVersion

ChildKey: TypeAlias = tuple[str, int | None]
"""Name and number of a workflow; None is the version that a start without one gets."""

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A definition that can be run in memory."""

    graph: Graph
    child: ChildVersion
    """What a parent sees of it; its `version_id` names it here."""
    policies: Mapping[str, TaskPolicy] = field(default_factory=dict)
    """Registered TaskDefs of its tasks."""
    lock: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a play lacks; nothing at all is a pause in which the caller may look at its clock."""

    questions: tuple[Question, ...] = ()
    children: frozenset[ChildKey] = frozenset()
    inline: Mapping[str, JSONValue] = field(default_factory=dict)
    """Definitions that came with a step, by digest."""
    policies: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """The answer to a `Wanted`."""

    answers: Mapping[str, Answer] = field(default_factory=dict)
    children: Mapping[ChildKey, Version | None] = field(default_factory=dict)
    inline: Mapping[str, Version | str] = field(default_factory=dict)
    """By digest: the version, or why it cannot be used."""
    policies: Mapping[str, TaskPolicy] = field(default_factory=dict)
    is_over: bool = False
    """The caller has no more time; the simulation ends with what it has."""


Play: TypeAlias = Generator[Wanted, Given, Result]


@dataclass(slots=True, kw_only=True)
class Knowledge:
    """Everything asked so far; shared by all scenarios of one simulation."""

    answers: dict[str, Answer] = field(default_factory=dict)
    conditions: dict[str, Answer] = field(default_factory=dict)
    """Answers of loop conditions; a run keeps its own, since its rounds are counted."""
    children: dict[ChildKey, ChildVersion | None] = field(default_factory=dict)
    inline: dict[str, ChildVersion | str] = field(default_factory=dict)
    policies: dict[str, TaskPolicy] = field(default_factory=dict)
    versions: dict[int, Version] = field(default_factory=dict)
    """By `version_id`."""
    queues: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def take(self, given: Given) -> None:
        """Keep what was given."""
        self.answers.update(given.answers)
        self.policies.update(given.policies)
        for key, version in given.children.items():
            self.children[key] = self._kept(version) if version is not None else None
        for digest, found in given.inline.items():
            self.inline[digest] = found if isinstance(found, str) else self._kept(found)

    def _kept(self, version: Version) -> ChildVersion:
        self.versions[version.child.version_id] = version
        return version.child
