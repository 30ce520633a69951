"""Drafts an actor may see."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from designer.models import Draft
from orchestrator.selectors import workflows

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    from orchestrator.engine.canonical import JSONValue


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftView:
    """A draft as it stands."""

    revision: str
    """Opaque; another one as soon as the draft is another."""
    definition: Mapping[str, "JSONValue"]
    is_dirty: bool
    """Something was saved that is in no version."""
    base: int | None
    """Key of the version it stands on."""

    def public(self) -> dict[str, object]:
        """Return the draft as the API shows it."""
        return {
            "revision": self.revision,
            "definition": dict(self.definition),
            "changed": self.is_dirty,
        }


def draft_of(*, actor: "User | None", name: str) -> DraftView:
    """Return the draft of a workflow.

    Raises:
        NotFound: There is no such workflow to be seen.
    """
    return present_draft(workflows.find_workflow(actor=actor, name=name))


def present_draft(workflow: Any) -> DraftView:
    """Return what the draft of a workflow is now; the caller has found the workflow.

    A draft in which nothing was saved since it was published follows the newest version: what a
    client registers over the wire is then what people go on editing. One with unpublished work
    stays as it is.
    """
    saved = Draft.objects.filter(workflow=workflow).first()
    newest = workflows.newest_version(workflow=workflow)
    count = saved.revision if saved is not None else 0
    if saved is not None and (saved.is_dirty or newest is None):
        return DraftView(
            revision=f"{count}.{saved.base or 0}",
            definition=saved.document,
            is_dirty=saved.is_dirty,
            base=saved.base,
        )
    if newest is None:
        empty: dict[str, JSONValue] = {"name": workflow.name, "version": 1, "tasks": []}
        return DraftView(revision="0.0", definition=empty, is_dirty=False, base=None)
    return DraftView(
        revision=f"{count}.{newest.pk}",
        definition=newest.document,
        is_dirty=False,
        base=newest.pk,
    )
