"""The rules at publish (saga-semantics §14), applied to one definition.

E are errors in a definition with `saga`; where saga keys stand on tasks only they are warnings, but
for those that make no sense in any case. A plain definition has Conductor's rules only.
"""

from dataclasses import replace

from orchestrator.engine.definition.document import inline_definitions, parse
from orchestrator.engine.definition.model import Definition, Kind, Problem
from orchestrator.engine.definition.validation import (
    approvals,
    children,
    effects,
    findings,
    flow,
    mappings,
    money,
    order,
    running,
    scopes,
)
from orchestrator.engine.definition.validation.facts import ChildKey, Facts

NO_FACTS = Facts()


def check(definition: Definition, facts: Facts = NO_FACTS) -> tuple[Problem, ...]:
    """Return the problems of the rules E1 to E11 and W1 to W12; shapes are `parse`'s."""
    found = list(check_one(definition, facts))
    for path, inner in parsed_children(definition):
        found += [replace(problem, path=path + problem.path) for problem in check(inner, facts)]
    return tuple(found)


def check_one(definition: Definition, facts: Facts) -> tuple[Problem, ...]:
    """Check a definition without those that it brings along."""
    if definition.kind is Kind.PLAIN:
        return ()
    work = findings.start(definition, facts)
    graph = flow.build(definition.tasks)
    effects.check_effects(work, graph)
    order.check_order(work, graph)
    mappings.check_mappings(work)
    approvals.check_approvals(work)
    scopes.check_scopes(work)
    children.check_children(work)
    if definition.kind is Kind.SAGA:
        effects.warn_effects(work, graph)
        money.warn_money(work, graph)
        running.warn_running(work)
        approvals.warn_approvals(work)
        children.warn_children(work)
    return tuple(work.found)


def parsed_children(definition: Definition) -> list[tuple[str, Definition]]:
    """Return the definitions that sub-workflow steps bring along, parsed."""
    parsed = [
        (path, parse(inner, inline=True).definition)
        for path, inner in inline_definitions(definition)
    ]
    return [(path, inner) for path, inner in parsed if inner is not None]


def needed_children(definition: Definition) -> frozenset[ChildKey]:
    """Return the workflows about which `check` wants facts."""
    needed = children.needed_children(definition)
    for _, inner in parsed_children(definition):
        needed |= needed_children(inner)
    return needed


def needed_groups(definition: Definition) -> frozenset[str]:
    """Return the groups whose members `check` wants to know."""
    needed = approvals.needed_groups(definition)
    for _, inner in parsed_children(definition):
        needed |= needed_groups(inner)
    return needed


def unconditional_children(definition: Definition) -> frozenset[str]:
    """Return the workflows that every run of this one starts: `ChildFacts.contains`, one level."""
    started = children.unconditional_children(definition)
    for _, inner in parsed_children(definition):
        started |= unconditional_children(inner)
    return started


def has_undo(definition: Definition) -> bool:
    """Tell whether some step can be undone: `ChildFacts.has_undo`, one level."""
    if definition.kind is Kind.PLAIN:
        return False
    return any(step.compensation is not None for step in findings.start(definition, NO_FACTS).steps)


def has_effects(definition: Definition) -> bool:
    """Tell whether some step does something to the outside: `ChildFacts.has_effects`."""
    work = findings.start(definition, NO_FACTS)
    return any(findings.is_outside_step(step) and work.has_effect(step) for step in work.steps)
