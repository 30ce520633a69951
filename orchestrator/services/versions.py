"""Publish definitions as numbered versions that never change, by Conductor's rules of registration.

A row of a version is never updated in what it says: a version that nobody ever started may be
replaced by another row of the same number, one that was started keeps its row for good.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from django.db import transaction

from orchestrator import dispatch
from orchestrator.access import grants, policy
from orchestrator.access.permissions import GlobalPermission, Permission
from orchestrator.audit import log
from orchestrator.engine.canonical import JSONValue, digest
from orchestrator.engine.definition.model import Definition, Kind
from orchestrator.models import Execution, Workflow, WorkflowVersion
from orchestrator.services import checks, children, subscriptions
from orchestrator.services.checks import Checked
from orchestrator.services.errors import Conflict, Invalid, NotFound
from orchestrator.store.locks import locked

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    Actor: TypeAlias = User | None

# What says when and by whom a copy was made, not what it does.
_NOT_CONTENT = frozenset({"version", "createTime", "updateTime", "createdBy", "updatedBy"})


class UnusableDefinition(Exception):
    """A definition that came with a step cannot be run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """What came of a registration."""

    version: WorkflowVersion
    created: bool
    """False when the same content was there already."""
    problems: Sequence[Mapping[str, object]] = field(default_factory=tuple)
    """Warnings; an error would have refused it."""


def register(
    *,
    actor: "Actor",
    document: JSONValue,
    overwrite: bool = True,
    note: str = "",
    samples: Sequence[Mapping[str, JSONValue]] | None = None,
) -> Registered:
    """Publish a definition under the number it names, making the workflow when it is new.

    Registering the same content again changes nothing. A version that was started is never
    replaced: the new content becomes the next number.

    Raises:
        Forbidden: The actor may not create workflows, or not publish this one.
        Conflict: The number exists and `overwrite` is false, or the workflow is archived.
        Invalid: The definition has errors.
    """
    name = document.get("name") if isinstance(document, Mapping) else None
    _require_registering(actor, Workflow.objects.filter(name=name).first())
    checked = checks.examine(document=document, publisher=name_of(actor))
    definition = checks.require_sound(checked)
    with transaction.atomic(durable=True):
        workflow, is_new = _workflow_locked(actor, definition)
        if not is_new:
            policy.require(actor, Permission.PUBLISH_VERSION, workflow)
        registered = _register_locked(workflow, actor, checked, overwrite=overwrite, note=note)
        _complete_workflow(workflow, definition, samples)
    return registered


def publish_locked(
    *, workflow: Workflow, actor: "Actor", checked: Checked, note: str, number: int | None = None
) -> WorkflowVersion:
    """Publish a sound document as a new version of a workflow whose row the caller has locked.

    Without `number` it gets the next one. Writes the audit row of `workflow.publish`.
    """
    definition = checks.require_sound(checked)
    number = number or next_number(workflow)
    lock = children.resolve_lock(definition, number=number)
    version = WorkflowVersion.objects.create(
        workflow=workflow,
        number=number,
        document={**checked.document, "name": workflow.name, "version": number},
        checksum=content_digest(checked.document),
        kind=definition.kind.value,
        lock=lock,
        note=note,
        problems=checks.public(checked.problems),
        has_undo=children.can_be_undone(definition, lock=lock),
        published_by=actor,
    )
    subscriptions.declare(version, definition)
    if definition.kind is not Kind.PLAIN:
        dispatch.ring_simulation(version.pk)
    log.record(
        "workflow.publish",
        workflow.name,
        actor,
        workflow=workflow.name,
        reason=note,
        changes={"version": number, "hash": version.checksum},
    )
    return version


def inline_version(*, actor: "Actor", document: JSONValue) -> WorkflowVersion:
    """Return the version of a definition that came with a start; part of the caller's transaction.

    The same document gives the same version, unless its sub-workflows resolve differently by now.
    A name nobody used becomes the actor's own unlisted workflow. Scripts are not parsed here, in a
    transaction: a broken one fails its step.

    Raises:
        Forbidden: The actor may neither start this workflow nor create one.
        Invalid: The definition has errors.
    """
    name = document.get("name") if isinstance(document, Mapping) else None
    workflow = Workflow.objects.filter(name=name).first()
    if workflow is not None:
        require_live(workflow)
        policy.require(actor, Permission.START_EXECUTION, workflow)
        known = _known_inline(workflow, document)
        if known is not None:
            return known
    else:
        policy.require_global(actor, GlobalPermission.CREATE_WORKFLOW)
    checked = checks.examine_rules(document=document, inline=True, publisher=name_of(actor))
    definition = checks.require_sound(checked)
    if workflow is None:
        workflow, _ = _create_workflow(actor, definition.name, is_listed=False)
    return _store_inline(workflow, actor, checked, definition)


def inline_child_locked(*, parent_name: str, document: JSONValue) -> WorkflowVersion:
    """Return the version of a definition that a SUB_WORKFLOW step brought along.

    Part of a transition, under the lock of the parent. It is kept with the parent's workflow,
    whatever its name: who may see the parent may see the child, and nobody gets into a workflow
    of others by naming it.

    Raises:
        UnusableDefinition: The document has errors; the message names the first.
    """
    workflow = find_workflow(parent_name)
    known = _known_inline(workflow, document)
    if known is not None:
        return known
    checked = checks.examine_rules(document=document, inline=True)
    try:
        definition = checks.require_sound(checked)
    except Invalid as error:
        raise UnusableDefinition(error.message) from error
    return _store_inline(workflow, None, checked, definition)


def resolve(name: str, version: int | None = None) -> WorkflowVersion:
    """Return the version a start gets: the given one, or (None, 0) stable, else the highest.

    Raises:
        NotFound: There is no such workflow or version to start.
        Conflict: The workflow is archived.
    """
    found = children.find_version(name=name, number=version)
    if found is None:
        wanted = f"version {version} of " if version else "a published version of "
        raise NotFound(f"There is no {wanted}the workflow {name!r}.")
    require_live(found.workflow)
    return found


@transaction.atomic(durable=True)
def delete_version(*, actor: "Actor", name: str, number: int, reason: str = "") -> None:
    """Hide a version from reads and new starts; its executions keep it."""
    workflow = lock_workflow(name)
    policy.require(actor, Permission.DELETE_WORKFLOW, workflow)
    changed = WorkflowVersion.objects.filter(
        workflow=workflow, number=number, is_deleted=False
    ).update(is_deleted=True)
    if not changed:
        raise NotFound(f"The workflow {name!r} has no version {number}.")
    log.record(
        "workflow.delete_version",
        name,
        actor,
        workflow=name,
        reason=reason,
        changes={"version": number},
    )


def find_workflow(name: str) -> Workflow:
    """Return a workflow by name, whoever may see it, or raise `NotFound`."""
    found = Workflow.objects.filter(name=name).first()
    if found is None:
        raise NotFound(f"There is no workflow named {name[:255]}.")
    return found


def lock_workflow(name: str) -> Workflow:
    """Return a workflow whose row stays locked until the caller's transaction ends.

    Everything that makes versions or changes the draft takes this lock; starts do not wait for it.
    """
    found = locked(Workflow.objects.filter(name=name)).first()
    if found is None:
        raise NotFound(f"There is no workflow named {name[:255]}.")
    return found


def create_workflow_locked(*, actor: "Actor", name: str, description: str = "") -> Workflow:
    """Create a listed workflow owned by the actor, or raise `Conflict` when the name is taken."""
    policy.require_global(actor, GlobalPermission.CREATE_WORKFLOW)
    workflow, is_new = _create_workflow(actor, name, is_listed=True)
    if not is_new:
        raise Conflict(f"There is already a workflow named {name!r}.")
    if description:
        workflow.description = description
        workflow.save(update_fields=["description"])
    return workflow


def require_live(workflow: Workflow) -> None:
    """Raise `Conflict` when the workflow is archived."""
    if workflow.archived_at is not None:
        raise Conflict(f"The workflow {workflow.name!r} is archived and takes nothing new.")


def next_number(workflow: Workflow) -> int:
    """Return the number after the highest that was ever given."""
    highest = (
        WorkflowVersion.objects.filter(workflow=workflow, number__isnull=False)
        .order_by("-number")
        .values_list("number", flat=True)
        .first()
    )
    return (highest or 0) + 1


def content_digest(document: JSONValue) -> str:
    """Return the hash of what a document does: its number and who stored it when do not count."""
    if not isinstance(document, Mapping):
        return digest(document)
    return digest({key: value for key, value in document.items() if key not in _NOT_CONTENT})


def name_of(actor: "Actor") -> str:
    """Return the user name of an actor; the system has none."""
    return actor.get_username() if actor is not None else ""


def _register_locked(
    workflow: Workflow, actor: "Actor", checked: Checked, *, overwrite: bool, note: str
) -> Registered:
    definition = checks.require_sound(checked)
    problems = checks.public(checked.problems)
    number = max(definition.version, 1)
    checksum = content_digest(checked.document)
    present = WorkflowVersion.objects.filter(workflow=workflow, number=number).first()
    if present is not None:
        if not overwrite and not present.is_deleted:
            raise Conflict(f"Version {number} of {workflow.name!r} exists already.")
        same = _same_content(present, checksum)
        if same is not None:
            return Registered(version=same, created=False, problems=problems)
        if _was_started(present):
            number = next_number(workflow)
        else:
            present.delete()
    version = publish_locked(
        workflow=workflow, actor=actor, checked=checked, note=note, number=number
    )
    return Registered(version=version, created=True, problems=problems)


def _same_content(present: WorkflowVersion, checksum: str) -> WorkflowVersion | None:
    """Return the version that already says this: the named one, or what became of it."""
    if present.checksum == checksum:
        if present.is_deleted:
            WorkflowVersion.objects.filter(pk=present.pk).update(is_deleted=False)
            present.is_deleted = False
        return present
    newest = (
        WorkflowVersion.objects.filter(
            workflow_id=present.workflow_id, number__gt=present.number, is_deleted=False
        )
        .order_by("-number")
        .first()
    )
    return newest if newest is not None and newest.checksum == checksum else None


def _was_started(version: WorkflowVersion) -> bool:
    return Execution.objects.filter(version=version).exists()


def _store_inline(
    workflow: Workflow, actor: "Actor", checked: Checked, definition: Definition
) -> WorkflowVersion:
    lock = children.resolve_lock(definition, number=None)
    version = WorkflowVersion.objects.create(
        workflow=workflow,
        number=None,
        document=dict(checked.document),
        checksum=content_digest(checked.document),
        kind=definition.kind.value,
        lock=lock,
        problems=checks.public(checked.problems),
        has_undo=children.can_be_undone(definition, lock=lock),
        published_by=actor,
    )
    subscriptions.declare(version, definition)
    return version


def _known_inline(workflow: Workflow, document: JSONValue) -> WorkflowVersion | None:
    number = document.get("version", 1) if isinstance(document, Mapping) else 1
    rows = WorkflowVersion.objects.filter(
        workflow=workflow, number__isnull=True, checksum=content_digest(document)
    ).order_by("-pk")
    for row in rows:
        if row.document.get("version", 1) == number and _lock_holds(row.lock):
            return row
    return None


def _lock_holds(lock: Mapping[str, int]) -> bool:
    for name, number in lock.items():
        found = children.find_version(name=name)
        if found is None or found.number != number:
            return False
    return True


def _workflow_locked(actor: "Actor", definition: Definition) -> tuple[Workflow, bool]:
    found = locked(Workflow.objects.filter(name=definition.name)).first()
    if found is not None:
        require_live(found)
        return found, False
    return _create_workflow(actor, definition.name, is_listed=True)


def _create_workflow(actor: "Actor", name: str, *, is_listed: bool) -> tuple[Workflow, bool]:
    """Create a workflow and make its creator the admin of it; safe against a twin."""
    workflow, is_new = Workflow.objects.get_or_create(
        name=name, defaults={"is_listed": is_listed, "created_by": actor}
    )
    if is_new:
        if actor is not None:
            grants.make_admin(actor, workflow)
        log.record("workflow.create", name, actor, workflow=name)
    return workflow, is_new


def _complete_workflow(
    workflow: Workflow,
    definition: Definition,
    samples: Sequence[Mapping[str, JSONValue]] | None,
) -> None:
    described = definition.document.get("description")
    wanted: dict[str, object] = {"is_listed": True}
    if isinstance(described, str):
        wanted["description"] = described
    if samples is not None:
        wanted["samples"] = [dict(sample) for sample in samples]
    changed = [name for name, value in wanted.items() if getattr(workflow, name) != value]
    for name in changed:
        setattr(workflow, name, wanted[name])
    if changed:
        workflow.save(update_fields=changed)


def _require_registering(actor: "Actor", workflow: Workflow | None) -> None:
    if workflow is None:
        policy.require_global(actor, GlobalPermission.CREATE_WORKFLOW)
    else:
        policy.require(actor, Permission.PUBLISH_VERSION, workflow)
