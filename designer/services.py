"""Save, discard and publish drafts; whoever is late is told, and nothing of theirs is lost."""

from typing import TYPE_CHECKING, Any

from django.db import transaction

from designer import selectors
from designer.models import Draft
from designer.selectors import DraftView
from orchestrator.access import policy
from orchestrator.access.permissions import Permission
from orchestrator.audit import log
from orchestrator.services import checks, versions
from orchestrator.services.errors import Conflict, Invalid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.contrib.auth.models import User

    from orchestrator.engine.canonical import JSONValue

NAME_LIMIT = 255


@transaction.atomic(durable=True)
def create_workflow(
    *, actor: "User | None", name: str, definition: "Mapping[str, JSONValue] | None" = None
) -> DraftView:
    """Create a workflow that has a draft and no version; the actor becomes its admin.

    Raises:
        Forbidden: The actor may not create workflows.
        Conflict: The name is taken.
        Invalid: The name cannot be one, or the definition names another workflow.
    """
    _check_name(name)
    document = _document(name, definition or {"tasks": []})
    described = document.get("description")
    workflow = versions.create_workflow_locked(
        actor=actor, name=name, description=described if isinstance(described, str) else ""
    )
    Draft.objects.create(workflow_id=workflow.pk, document=document, updated_by=actor)
    return selectors.present_draft(workflow)


@transaction.atomic(durable=True)
def save_draft(
    *, actor: "User | None", name: str, revision: str, definition: "Mapping[str, JSONValue]"
) -> DraftView:
    """Replace the draft if it is still the one the actor has seen.

    Raises:
        Forbidden: The actor may not edit this workflow.
        Conflict: Somebody else was faster; `draft` holds what they saved.
        Invalid: The definition names another workflow.
    """
    workflow = versions.lock_workflow(name)
    policy.require(actor, Permission.EDIT_DRAFT, workflow)
    present = _present(workflow, revision)
    saved, _ = Draft.objects.get_or_create(
        workflow_id=workflow.pk, defaults={"document": {}, "revision": 0}
    )
    saved.document = _document(name, definition)
    saved.revision += 1
    saved.is_dirty = True
    saved.base = present.base
    saved.updated_by = actor
    saved.save()
    log.record("draft.save", name, actor, changes={"revision": saved.revision})
    return selectors.present_draft(workflow)


@transaction.atomic(durable=True)
def discard_draft(*, actor: "User | None", name: str, revision: str) -> DraftView:
    """Throw unpublished work away: the draft is the newest version again.

    Raises:
        Conflict: Somebody else was faster, or nothing was ever published.
    """
    workflow = versions.lock_workflow(name)
    policy.require(actor, Permission.EDIT_DRAFT, workflow)
    present = _present(workflow, revision)
    if versions.next_number(workflow) == 1:
        raise Conflict("Nothing was published yet, so there is nothing to go back to.")
    if present.is_dirty:
        saved = Draft.objects.get(workflow_id=workflow.pk)
        saved.is_dirty = False
        saved.revision += 1
        saved.save()
        log.record("draft.discard", name, actor, changes={"revision": saved.revision})
    return selectors.present_draft(workflow)


def publish_draft(
    *, actor: "User | None", name: str, revision: str, note: str = ""
) -> dict[str, object]:
    """Publish the draft as the next version and return `{version, hash, problems}`.

    Raises:
        Forbidden: The actor may not publish this workflow.
        Conflict: The draft is another one by now, or the workflow is archived.
        Invalid: The definition has errors.
    """
    workflow = versions.find_workflow(name)
    policy.require(actor, Permission.PUBLISH_VERSION, workflow)
    checked = checks.examine(
        document=dict(_present(workflow, revision).definition), publisher=versions.name_of(actor)
    )
    checks.require_sound(checked)
    with transaction.atomic(durable=True):
        workflow = versions.lock_workflow(name)
        policy.require(actor, Permission.PUBLISH_VERSION, workflow)
        versions.require_live(workflow)
        _present(workflow, revision)
        version = versions.publish_locked(
            workflow=workflow, actor=actor, checked=checked, note=note
        )
        Draft.objects.filter(workflow_id=workflow.pk).update(is_dirty=False, base=version.pk)
    return {
        "version": version.number,
        "hash": version.checksum,
        "problems": checks.public(checked.problems),
    }


def _present(workflow: Any, revision: str) -> DraftView:
    """Return the draft if it still is the one named, or raise `Conflict` with the newer one."""
    present = selectors.present_draft(workflow)
    if present.revision != revision:
        raise Conflict("The draft was changed in the meantime.", draft=present.public())
    return present


def _document(name: str, definition: "Mapping[str, JSONValue]") -> dict[str, "JSONValue"]:
    """Return the document under the workflow's own name, which cannot be changed by editing."""
    named = definition.get("name", name)
    if named != name:
        raise Invalid(
            f"The definition is named {str(named)[:80]!r}, but the workflow is {name!r}.",
            [_problem("/definition/name", "The name must be that of the workflow.")],
        )
    return {**definition, "name": name}


def _check_name(name: str) -> None:
    if not name.strip() or ":" in name or "/" in name or len(name) > NAME_LIMIT:
        raise Invalid(
            f"A name has 1 to {NAME_LIMIT} characters, without `:` and `/`.",
            [_problem("/name", "This cannot be the name of a workflow.")],
        )


def _problem(path: str, message: str) -> dict[str, object]:
    return {"severity": "error", "code": "FORMAT", "path": path, "message": message}
