"""Sub-workflows of a definition: which versions they resolve to, and whether they can be undone."""

from collections.abc import Iterable, Mapping
from functools import reduce
from operator import or_

from django.db.models import F, OuterRef, Q, Subquery

from orchestrator.engine.definition import document as documents
from orchestrator.engine.definition import graph
from orchestrator.engine.definition.model import Definition, Kind, SubWorkflow
from orchestrator.engine.definition.visits import every_visit
from orchestrator.models import Rollout, WorkflowVersion


def find_version(*, name: str, number: int | None = None) -> WorkflowVersion | None:
    """Return a version that can be started: the given one, else stable, else the highest."""
    rows = WorkflowVersion.objects.select_related("workflow").filter(
        workflow__name=name, number__isnull=False, is_deleted=False
    )
    if number:
        return rows.filter(number=number).first()
    # One look-up, since every start makes it: the stable one of all that may be started.
    stable = Rollout.objects.filter(workflow=OuterRef("workflow")).values("stable")[:1]
    wanted = rows.annotate(stable=Subquery(stable)).filter(
        Q(stable__isnull=True) | Q(number=F("stable"))
    )
    return wanted.order_by("-number").first()


def resolve_lock(definition: Definition, *, number: int | None) -> dict[str, int]:
    """Return child name → version for the children that name none (saga-semantics §1).

    A plain definition resolves at its start instead. A name made by an expression is resolved when
    the step is scheduled, and a child that is not there yet is left out likewise.
    """
    if definition.kind is Kind.PLAIN:
        return {}
    lock: dict[str, int] = {}
    for child in _called(definition):
        name = _literal_name(child)
        if name is None or name in lock or not _names_no_version(child):
            continue
        found = number if name == definition.name else _number_of(name)
        if found is not None:
            lock[name] = found
    return lock


def can_be_undone(definition: Definition, *, lock: Mapping[str, int]) -> bool:
    """Tell whether a run of this definition may have something to undo, in it or in a child."""
    if definition.kind is Kind.PLAIN:
        return False
    if any(step.compensation is not None for step in graph.inner_steps(definition.tasks)):
        return True
    if any(_undoable_inline(child) for child in _called(definition)):
        return True
    wanted = {
        (name, lock.get(name) if _names_no_version(child) else child.version)
        for child in _called(definition)
        if (name := _literal_name(child)) is not None
    }
    pairs = [
        Q(workflow__name=name, number=version)
        for name, version in wanted
        if isinstance(version, int) and not isinstance(version, bool)
    ]
    if not pairs:
        return False
    return WorkflowVersion.objects.filter(reduce(or_, pairs), has_undo=True).exists()


def _called(definition: Definition) -> Iterable[SubWorkflow]:
    return [
        visit.step.sub_workflow
        for visit in every_visit(definition.tasks)
        if visit.step.sub_workflow is not None
    ]


def _literal_name(child: SubWorkflow) -> str | None:
    """Return the name, unless an expression gives it or the definition stands inline."""
    if child.definition is not None or not child.name or "$" in child.name:
        return None
    return child.name


def _names_no_version(child: SubWorkflow) -> bool:
    return child.version in (None, 0, "")


def _number_of(name: str) -> int | None:
    found = find_version(name=name)
    return found.number if found is not None else None


def _undoable_inline(child: SubWorkflow) -> bool:
    if not isinstance(child.definition, Mapping):
        return False
    parsed = documents.parse(dict(child.definition), inline=True)
    return parsed.definition is not None and can_be_undone(
        parsed.definition, lock=resolve_lock(parsed.definition, number=None)
    )
