"""Two at once: who publishes, registers, creates or saves first, and what the other is told."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from designer import selectors, services
from orchestrator.access.errors import Refusal
from orchestrator.models import Workflow, WorkflowVersion
from orchestrator.services import versions

pytestmark = pytest.mark.django_db(transaction=True)


def a_definition(**fields: Any) -> dict[str, Any]:
    task = {"name": "only", "taskReferenceName": "only", "type": "NOOP"}
    return {"name": "orders", "version": 1, "tasks": [task], **fields}


def at_once(*acts: Callable[[], object]) -> list[str]:
    """Run the acts in threads that begin together; return how each ended, in order."""
    barrier = threading.Barrier(len(acts))
    ends = ["never ended"] * len(acts)

    def run(index: int, act: Callable[[], object]) -> None:
        try:
            barrier.wait(timeout=10)
            act()
            ends[index] = "done"
        except Refusal as refusal:
            ends[index] = refusal.code
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=item) for item in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    return ends


def saving(revision: str, text: str) -> Callable[[], object]:
    definition = a_definition(description=text)
    return lambda: services.save_draft(
        actor=None, name="orders", revision=revision, definition=definition
    )


def test_of_two_saves_of_one_revision_one_wins() -> None:
    revision = services.create_workflow(actor=None, name="orders").revision

    ends = at_once(saving(revision, "one"), saving(revision, "two"))

    assert sorted(ends) == ["conflict", "done"]
    winner = ["one", "two"][ends.index("done")]
    kept = selectors.draft_of(actor=None, name="orders").definition
    assert kept["description"] == winner


def test_of_two_publications_of_one_revision_one_wins() -> None:
    revision = services.create_workflow(
        actor=None, name="orders", definition=a_definition()
    ).revision

    def publish() -> None:
        services.publish_draft(actor=None, name="orders", revision=revision)

    ends = at_once(publish, publish)

    assert sorted(ends) == ["conflict", "done"]
    assert list(WorkflowVersion.objects.values_list("number", flat=True)) == [1]


def test_the_same_registered_by_many_is_one_version() -> None:
    def register() -> None:
        versions.register(actor=None, document=a_definition())

    ends = at_once(register, register, register, register)

    assert ends == ["done"] * 4
    assert Workflow.objects.count() == 1
    assert list(WorkflowVersion.objects.values_list("number", flat=True)) == [1]


def test_of_two_who_create_one_name_one_wins() -> None:
    def create() -> None:
        services.create_workflow(actor=None, name="orders")

    assert sorted(at_once(create, create)) == ["conflict", "done"]
    assert Workflow.objects.count() == 1
