"""What the rules need to know beyond the document: children, groups, registered tasks."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestrator.engine.canonical import JSONValue
from orchestrator.engine.definition.model import TaskPolicy

ChildKey = tuple[str, int | None]
"""Name and version of a workflow; None is the version a start without one would get."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildFacts:
    """What is known about a workflow that this one starts."""

    exists: bool = True
    has_undo: bool = False
    """Some step of it has an undo, so that its own ledger can undo it."""
    has_effects: bool = False
    """It does something to the outside."""
    undoable: int = 0
    """How many of its effects can be undone."""
    effects: int = 0
    """How many effects it has, those of its own children included."""
    has_output_schema: bool = False
    output_schema: Mapping[str, JSONValue] | None = None
    contains: frozenset[str] = frozenset()
    """Names of the workflows that it starts whatever happens, through others too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The surroundings of a definition, as the service has loaded them."""

    children: Mapping[ChildKey, ChildFacts] = field(default_factory=dict)
    """For every key of `needed_children`; what is not in here does not exist."""
    groups: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Names of the active members, for every name of `needed_groups` that exists."""
    approvers: frozenset[str] | None = None
    """Who may approve for this workflow; None while that cannot be said."""
    publisher: str = ""
    """Who is about to publish; empty while nobody is."""
    policies: Mapping[str, TaskPolicy] = field(default_factory=dict)
    """Registered task definitions by name."""
    coverage_floor: float = 0.5
    """The least share of steps with an effect that must be undoable (W12)."""
