"""Register Conductor TaskDefs: how tasks of one name are retried, timed out and rationed."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from django.db import transaction

from orchestrator.access import policy
from orchestrator.access.permissions import GlobalPermission
from orchestrator.audit import log
from orchestrator.engine.definition.problems import to_public
from orchestrator.engine.definition.task_policy import parse_task_policy
from orchestrator.models import TaskDefinition
from orchestrator.services.errors import Invalid, NotFound
from orchestrator.store.locks import locked

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    from orchestrator.engine.canonical import JSONValue

NAME_LIMIT = 255


@transaction.atomic(durable=True)
def save_task_definitions(
    *, actor: "User | None", documents: Sequence["JSONValue"]
) -> list[TaskDefinition]:
    """Create or replace TaskDefs, all or none; the same content again changes nothing.

    Executions that run keep what was registered when they started.

    Raises:
        Forbidden: The actor may not create workflows, which this right goes with.
        Invalid: A document breaks one of Conductor's rules.
    """
    policy.require_global(actor, GlobalPermission.CREATE_WORKFLOW)
    named = _checked(documents)
    present = {
        row.name: row
        for row in locked(TaskDefinition.objects.filter(name__in=named)).order_by("pk")
    }
    changed = [
        name
        for name, document in named.items()
        if name not in present or present[name].document != document
    ]
    for name in changed:
        row = present.get(name) or TaskDefinition(name=name, created_by=actor)
        row.document = named[name]
        row.save()
        present[name] = row
    for name in changed:
        log.record("task_definition.save", name, actor)
    return [present[name] for name in named]


@transaction.atomic(durable=True)
def delete_task_definition(*, actor: "User | None", name: str) -> None:
    """Forget a TaskDef; steps of that name get Conductor's defaults from the next start on."""
    policy.require_global(actor, GlobalPermission.CREATE_WORKFLOW)
    deleted, _ = TaskDefinition.objects.filter(name=name).delete()
    if not deleted:
        raise NotFound(f"There is no task definition {name[:NAME_LIMIT]!r}.")
    log.record("task_definition.delete", name, actor)


def _checked(documents: Sequence["JSONValue"]) -> dict[str, dict[str, "JSONValue"]]:
    problems = []
    named: dict[str, dict[str, JSONValue]] = {}
    for index, document in enumerate(documents):
        parsed, found = parse_task_policy(document, f"/{index}" if len(documents) > 1 else "")
        problems += [to_public(problem) for problem in found if problem.severity == "error"]
        if parsed is not None and isinstance(document, Mapping):
            named[parsed.name] = dict(document)
    too_long = [name for name in named if len(name) > NAME_LIMIT]
    if too_long:
        raise Invalid(
            f"A name has at most {NAME_LIMIT} characters: {too_long[0][:40]!r}… is longer."
        )
    if problems:
        raise Invalid(str(problems[0]["message"]), problems)
    return named
