"""Workflows and their versions that an actor may see."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.db.models import OuterRef, QuerySet, Subquery

from orchestrator.access import policy, scoping
from orchestrator.access.errors import NotFound
from orchestrator.access.permissions import Permission
from orchestrator.models import Rollout, Workflow, WorkflowVersion
from orchestrator.selectors.errors import Malformed
from orchestrator.selectors.paging import DEFAULT_LIMIT, Order, Page, page_of
from orchestrator.selectors.times import iso

if TYPE_CHECKING:
    from django.contrib.auth.models import User

TEXT_LIMIT = 200
_HIGHEST_FIRST = Order(field="number", parse=int, falling=True)


def workflows_page(
    *,
    actor: "User | None",
    text: str = "",
    archived: bool = False,
    cursor: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Page[dict[str, object]]:
    """Return one page of the listed workflows an actor may see, by name.

    Raises:
        Malformed: The cursor, the limit or the text cannot be read.
    """
    if len(text) > TEXT_LIMIT:
        raise Malformed(f"A search text has at most {TEXT_LIMIT} characters.")
    rows = scoping.visible_to(actor, Workflow.objects.filter(is_listed=True), path="pk")
    rows = rows.filter(archived_at__isnull=not archived)
    if text:
        rows = rows.filter(name__icontains=text)
    page = page_of(_with_newest(rows), order=Order(field="name"), cursor=cursor, limit=limit)
    return Page(
        results=[workflow_row(row) for row in page.results], next=page.next, previous=page.previous
    )


def find_workflow(*, actor: "User | None", name: str) -> Workflow:
    """Return a workflow the actor may see, or raise `NotFound`."""
    rows = scoping.visible_to(actor, Workflow.objects.select_related("created_by"), path="pk")
    found = _with_newest(rows).filter(name=name).first()
    if found is None:
        raise NotFound(f"There is no workflow named {name[:255]}.")
    return found


def workflow_detail(*, actor: "User | None", name: str) -> dict[str, Any]:
    """Return a workflow with its samples, what it is now, and what the actor may do with it.

    Raises:
        NotFound: There is no such workflow to be seen.
    """
    workflow = find_workflow(actor=actor, name=name)
    return {
        **workflow_row(workflow),
        "samples": workflow.samples,
        "createdBy": workflow.created_by.get_username() if workflow.created_by else None,
        "can": rights(actor=actor, workflow=workflow),
    }


def rights(*, actor: "User | None", workflow: Workflow) -> Mapping[str, bool]:
    """Return every right on a workflow by name, and whether the actor holds it."""
    held = policy.permissions_of(actor, workflow)
    return {permission.value: permission in held for permission in Permission}


def stable_number(*, actor: "User | None", name: str) -> int | None:
    """Return the version a start without a version gets; None when nothing is published."""
    return _stable(find_workflow(actor=actor, name=name))


def versions_page(
    *,
    actor: "User | None",
    name: str,
    cursor: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Page[dict[str, object]]:
    """Return one page of a workflow's versions, the newest first, without their documents."""
    workflow = find_workflow(actor=actor, name=name)
    rows = _numbered(workflow).select_related("published_by").defer("document", "problems")
    page = page_of(rows, order=_HIGHEST_FIRST, cursor=cursor, limit=limit)
    stable = _stable(workflow)
    return Page(
        results=[version_row(row, stable=stable) for row in page.results],
        next=page.next,
        previous=page.previous,
    )


def version_detail(*, actor: "User | None", name: str, number: int) -> dict[str, Any]:
    """Return one version with its definition, problems and lock.

    Raises:
        NotFound: There is no such version to be seen.
    """
    workflow = find_workflow(actor=actor, name=name)
    version = find_version(workflow=workflow, number=number)
    return {
        **version_row(version, stable=_stable(workflow)),
        "definition": version.document,
        "problems": version.problems,
        "lock": version.lock,
    }


def newest_version(*, workflow: Workflow) -> WorkflowVersion | None:
    """Return the version with the highest number, or None; the caller has found the workflow."""
    return _numbered(workflow).order_by("-number").first()


def find_version(*, workflow: Workflow, number: int) -> WorkflowVersion:
    """Return a version of a workflow that the caller has found, or raise `NotFound`."""
    found = _numbered(workflow).select_related("published_by").filter(number=number).first()
    if found is None:
        raise NotFound(f"The workflow {workflow.name!r} has no version {number}.")
    return found


def workflow_row(workflow: Any) -> dict[str, object]:  # with its annotations
    """Return what a list shows of a workflow."""
    return {
        "name": workflow.name,
        "description": workflow.description,
        "stable": _stable(workflow),
        "latestVersion": workflow.newest,
        "kind": workflow.newest_kind,
        "hasUndo": bool(workflow.newest_has_undo),
        "archived": workflow.archived_at is not None,
        "createdAt": iso(workflow.created_at),
    }


def version_row(version: WorkflowVersion, *, stable: int | None) -> dict[str, object]:
    """Return what a list shows of a version."""
    publisher = version.published_by
    return {
        "version": version.number,
        "hash": version.checksum,
        "kind": version.kind,
        "hasUndo": version.has_undo,
        "note": version.note,
        "publishedAt": iso(version.published_at),
        "publishedBy": publisher.get_username() if publisher is not None else None,
        "isStable": version.number == stable,
    }


def _with_newest(rows: QuerySet[Workflow]) -> QuerySet[Workflow]:
    newest = WorkflowVersion.objects.filter(
        workflow=OuterRef("pk"), number__isnull=False, is_deleted=False
    ).order_by("-number")
    stable = Rollout.objects.filter(workflow=OuterRef("pk"))
    return rows.annotate(
        newest=Subquery(newest.values("number")[:1]),
        newest_kind=Subquery(newest.values("kind")[:1]),
        newest_has_undo=Subquery(newest.values("has_undo")[:1]),
        rolled_out=Subquery(stable.values("stable")[:1]),
    )


def _stable(workflow: Any) -> int | None:  # with its annotations
    number: int | None = workflow.rolled_out
    return number if number is not None else workflow.newest


def _numbered(workflow: Workflow) -> QuerySet[WorkflowVersion]:
    return WorkflowVersion.objects.filter(workflow=workflow, number__isnull=False, is_deleted=False)
