"""Change and archive workflows; publishing is in `versions`, drafts are in `designer`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from django.db import transaction
from django.utils import timezone

from orchestrator.access import policy
from orchestrator.access.permissions import Permission
from orchestrator.audit import log
from orchestrator.services import versions
from orchestrator.services.errors import Invalid

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    from orchestrator.engine.canonical import JSONValue

DESCRIPTION_LIMIT = 10_000


@transaction.atomic(durable=True)
def change_workflow(
    *,
    actor: "User | None",
    name: str,
    description: str | None = None,
    samples: Sequence[Mapping[str, "JSONValue"]] | None = None,
) -> None:
    """Change what people read about a workflow: its description and its sample inputs.

    Raises:
        Forbidden: The actor may not publish this workflow.
        Invalid: A sample has no name or no input, or the description is too long.
    """
    workflow = versions.lock_workflow(name)
    policy.require(actor, Permission.PUBLISH_VERSION, workflow)
    changes: dict[str, object] = {}
    if description is not None:
        if len(description) > DESCRIPTION_LIMIT:
            raise Invalid(f"A description has at most {DESCRIPTION_LIMIT} characters.")
        changes["description"] = workflow.description = description
    if samples is not None:
        _check_samples(samples)
        workflow.samples = [dict(sample) for sample in samples]
        changes["samples"] = [sample["name"] for sample in samples]
    if not changes:
        return
    workflow.save(update_fields=list(changes))
    log.record("workflow.change", name, actor, changes=changes)


@transaction.atomic(durable=True)
def archive_workflow(*, actor: "User | None", name: str, reason: str = "") -> None:
    """Let a workflow take no new starts; its executions go on. Safe to call twice."""
    workflow = versions.lock_workflow(name)
    policy.require(actor, Permission.DELETE_WORKFLOW, workflow)
    if workflow.archived_at is not None:
        return
    workflow.archived_at = timezone.now()
    workflow.save(update_fields=["archived_at"])
    log.record("workflow.archive", name, actor, reason=reason)


@transaction.atomic(durable=True)
def restore_workflow(*, actor: "User | None", name: str) -> None:
    """Let an archived workflow take new starts again. Safe to call twice."""
    workflow = versions.lock_workflow(name)
    policy.require(actor, Permission.DELETE_WORKFLOW, workflow)
    if workflow.archived_at is None:
        return
    workflow.archived_at = None
    workflow.save(update_fields=["archived_at"])
    log.record("workflow.change", name, actor, changes={"archived": False})


def _check_samples(samples: Sequence[Mapping[str, "JSONValue"]]) -> None:
    problems = [
        {
            "severity": "error",
            "code": "FORMAT",
            "path": f"/samples/{index}",
            "message": "A sample has a `name` (text) and an `input` (object).",
        }
        for index, sample in enumerate(samples)
        if not isinstance(sample.get("name"), str) or not isinstance(sample.get("input"), Mapping)
    ]
    if problems:
        raise Invalid("The samples are not right.", problems)
