"""What the rules at publish must know beyond the document, read from the database."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.conf import settings
from django.contrib.auth.models import User

from orchestrator.engine.definition import document as documents
from orchestrator.engine.definition.model import Definition, TaskPolicy
from orchestrator.engine.definition.task_policy import parse_task_policy
from orchestrator.engine.definition.validation import check
from orchestrator.engine.definition.validation.coverage import Coverage, coverage
from orchestrator.engine.definition.validation.facts import ChildFacts, ChildKey, Facts
from orchestrator.engine.definition.visits import every_visit
from orchestrator.models import TaskDefinition
from orchestrator.services import children

DEPTH_LIMIT = 200
"""How many workflows below a definition are looked at."""
COVERAGE_DEPTH = 8
"""How many levels of sub-workflows are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Child:
    """A stored child, read."""

    definition: Definition
    has_undo: bool
    starts: frozenset[str]


def facts_for(definition: Definition, *, publisher: str = "") -> Facts:
    """Return the surroundings of a definition.

    Who may approve for a workflow is not among them: roles are often given after the first version
    was published.
    """
    needed = check.needed_children(definition)
    found = {key: _child(key) for key in needed}
    contained = _contained(found.values())
    return Facts(
        children={
            key: _child_facts(child, contained) for key, child in found.items() if child is not None
        },
        groups=_members(check.needed_groups(definition)),
        publisher=publisher,
        policies=_policies(definition),
        coverage_floor=settings.AMENDS_COVERAGE_FLOOR,
    )


def coverage_of(definition: Definition) -> Coverage:
    """Count the effects of a definition and how many can be undone, its children included."""
    return _coverage(definition, frozenset({definition.name}), {})


def _coverage(
    definition: Definition, above: frozenset[str], known: dict[ChildKey, Coverage]
) -> Coverage:
    """Count below too; a workflow that leads back to itself counts once."""
    below: dict[ChildKey, ChildFacts] = {}
    for key in check.needed_children(definition):
        if key[0] in above or len(above) > COVERAGE_DEPTH:
            continue
        if key not in known:
            child = _child(key)
            inner = above | {key[0]}
            known[key] = _coverage(child.definition, inner, known) if child else Coverage()
        below[key] = ChildFacts(undoable=known[key].undoable, effects=known[key].effects)
    return coverage(definition, Facts(children=below))


def _child(key: ChildKey) -> _Child | None:
    version = children.find_version(name=key[0], number=key[1])
    if version is None:
        return None
    parsed = documents.parse(version.document, inline=True).definition
    if parsed is None:
        return None
    return _Child(
        definition=parsed,
        has_undo=version.has_undo,
        starts=check.unconditional_children(parsed),
    )


def _contained(found: Iterable[_Child | None]) -> dict[str, frozenset[str]]:
    """Return for every workflow below what it starts in every run, at one level."""
    starts: dict[str, frozenset[str]] = {}
    waiting = [name for child in found if child is not None for name in child.starts]
    while waiting and len(starts) < DEPTH_LIMIT:
        name = waiting.pop()
        if name in starts:
            continue
        child = _child((name, None))
        starts[name] = child.starts if child is not None else frozenset()
        waiting.extend(starts[name])
    return starts


def _child_facts(child: _Child, contained: Mapping[str, frozenset[str]]) -> ChildFacts:
    schema = child.definition.output_schema
    return ChildFacts(
        has_undo=child.has_undo,
        has_effects=check.has_effects(child.definition),
        has_output_schema=schema is not None,
        output_schema=schema,
        contains=_closure(child.starts, contained),
    )


def _closure(names: frozenset[str], contained: Mapping[str, frozenset[str]]) -> frozenset[str]:
    reached: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting.extend(contained.get(name, ()))
    return frozenset(reached)


def _members(names: frozenset[str]) -> dict[str, frozenset[str]]:
    """Return the active members of each group."""
    if not names:
        return {}
    members: dict[str, set[str]] = {}
    rows = User.objects.filter(is_active=True, groups__name__in=names)
    for group, username in rows.values_list("groups__name", "username"):
        members.setdefault(group, set()).add(username)
    return {group: frozenset(people) for group, people in members.items()}


def _policies(definition: Definition) -> dict[str, TaskPolicy]:
    names = {visit.step.name for visit in every_visit(definition.tasks)}
    rows = TaskDefinition.objects.filter(name__in=names).values_list("name", "document")
    parsed = {name: parse_task_policy(stored)[0] for name, stored in rows}
    return {name: policy for name, policy in parsed.items() if policy is not None}
