"""TaskDefs: all or none, once, and by whom."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission as PermissionRow
from django.contrib.auth.models import User

from orchestrator.access.errors import Forbidden, NotFound
from orchestrator.audit.models import AuditEntry
from orchestrator.models import TaskDefinition
from orchestrator.selectors.task_definitions import find_task_definition, task_definitions
from orchestrator.services.errors import Invalid
from orchestrator.services.task_definitions import (
    delete_task_definition,
    save_task_definitions,
)


def actions() -> list[tuple[str, str]]:
    return list(AuditEntry.objects.order_by("seq").values_list("action", "subject"))


def test_saving_creates_and_replaces(db: None) -> None:
    save_task_definitions(actor=None, documents=[{"name": "a", "retryCount": 2}, {"name": "b"}])
    rows = save_task_definitions(
        actor=None, documents=[{"name": "a", "retryCount": 5, "colour": "green"}, {"name": "b"}]
    )

    assert [row.name for row in rows] == ["a", "b"]
    assert find_task_definition(name="a").document == {
        "name": "a",
        "retryCount": 5,
        "colour": "green",
    }
    assert [row.name for row in task_definitions()] == ["a", "b"]
    saved = "task_definition.save"
    assert actions() == [(saved, "a"), (saved, "b"), (saved, "a")]


BAD: list[Any] = [
    {"name": "x", "retryLogic": "SOMETIMES"},
    {"name": "x", "timeoutSeconds": 5, "responseTimeoutSeconds": 10},
    {"name": "x", "retryCount": -1},
    {"retryCount": 1},
    "text",
    None,
]


@pytest.mark.parametrize("document", BAD)
def test_one_bad_document_refuses_all(db: None, document: Any) -> None:
    with pytest.raises(Invalid) as refused:
        save_task_definitions(actor=None, documents=[{"name": "good"}, document])

    assert all(str(row["path"]).startswith("/1") for row in refused.value.problems)
    assert not TaskDefinition.objects.exists()
    assert actions() == []


def test_deleting(db: None) -> None:
    save_task_definitions(actor=None, documents=[{"name": "a"}])

    delete_task_definition(actor=None, name="a")

    with pytest.raises(NotFound):
        find_task_definition(name="a")
    with pytest.raises(NotFound):
        delete_task_definition(actor=None, name="a")


def test_the_right_goes_with_creating_workflows(make_user: Callable[[str], User]) -> None:
    creator, other = make_user("creator"), make_user("other")
    creator.user_permissions.add(PermissionRow.objects.get(codename="create_workflow"))
    save_task_definitions(actor=creator, documents=[{"name": "a"}])

    with pytest.raises(Forbidden):
        save_task_definitions(actor=other, documents=[{"name": "a", "retryCount": 9}])
    with pytest.raises(Forbidden):
        delete_task_definition(actor=other, name="a")

    assert TaskDefinition.objects.get().document == {"name": "a"}
