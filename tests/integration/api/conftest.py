"""Rows and callers that the tests of our own API share."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from orchestrator.access.grants import Grant, give, make_admin
from orchestrator.access.roles import Role
from orchestrator.engine.canonical import digest
from orchestrator.models import (
    Attempt,
    CompensationPlan,
    Execution,
    ExecutionEvent,
    StepRun,
    Workflow,
    WorkflowVersion,
)
from orchestrator.store import definitions

MOMENT = datetime(2026, 5, 4, 12, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def forget_definitions() -> None:
    """Forget compiled versions: a test that is rolled back gives its keys to the next one."""
    definitions.graph_of_version.cache_clear()


@pytest.fixture
def superuser(db: None) -> User:
    """Somebody who may do everything."""
    return User.objects.create_superuser("root")


@pytest.fixture
def make_user(db: None) -> Callable[[str], User]:
    """Make people."""
    return User.objects.create_user


@pytest.fixture
def make_workflow(db: None) -> Callable[..., Workflow]:
    """Make workflows with published versions 1, 2, …, one per document."""

    def make(
        name: str = "orders", *documents: dict[str, Any], admin: User | None = None, **fields: Any
    ) -> Workflow:
        workflow = Workflow.objects.create(name=name, **fields)
        for number, document in enumerate(documents, start=1):
            WorkflowVersion.objects.create(
                workflow=workflow,
                number=number,
                document={"name": name, "version": number, **document},
                checksum=digest(document),
                kind="SAGA" if "saga" in document else "PLAIN",
                has_undo="saga" in document,
            )
        if admin is not None:
            make_admin(admin, workflow)
        return workflow

    return make


@pytest.fixture
def give_role(db: None) -> Callable[[User, str, Workflow], bool]:
    """Give somebody a role on a workflow."""
    return lambda user, role, workflow: give(
        None, workflow, Grant(role=Role(role), user_id=user.pk, name=user.username)
    )


@pytest.fixture
def client_of() -> Callable[[User], Client]:
    """Sign somebody in."""

    def sign_in(user: User) -> Client:
        client = Client()
        client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
        return client

    return sign_in


def make_execution(workflow: Workflow, *, number: int = 1, **fields: Any) -> Execution:
    """Store an execution, with an id that tells its time."""
    fields = {"state": "RUNNING", "is_saga": True, "input": {"order": 7}, **fields}
    version, _ = WorkflowVersion.objects.get_or_create(
        workflow=workflow,
        number=number,
        defaults={"document": {"tasks": []}, "checksum": "0" * 64, "kind": "PLAIN"},
    )
    count = Execution.objects.count()
    return Execution.objects.create(
        id=uuid.UUID(int=(0x0198 << 112) + (count << 80) + 7),
        root_id=uuid.uuid4(),
        workflow=workflow,
        workflow_name=workflow.name,
        version=version,
        version_number=number,
        created_at=MOMENT,
        started_at=fields.pop("started_at", MOMENT),
        updated_at=MOMENT,
        **fields,
    )


def make_step(execution: Execution, reference: str, *, seq: int, **fields: Any) -> StepRun:
    """Store a step run and its last attempt."""
    fields = {
        "direction": "FORWARD",
        "state": "COMPLETED",
        "position": reference,
        "type": "SIMPLE",
        "name": reference,
        **fields,
    }
    step = StepRun.objects.create(
        id=uuid.uuid4(),
        execution=execution,
        reference=reference,
        seq=seq,
        attempt_id=uuid.uuid4(),
        scheduled_at=MOMENT + timedelta(seconds=seq),
        first_scheduled_at=MOMENT,
        updated_at=MOMENT,
        **fields,
    )
    Attempt.objects.create(
        id=step.attempt_id,
        step_run=step,
        execution_id=execution.pk,
        number=step.attempt,
        state="SUCCEEDED",
        worker="host-1",
        scheduled_at=MOMENT,
    )
    return step


def make_event(execution: Execution, seq: int, type_: str, **fields: Any) -> ExecutionEvent:
    """Write one line of a journal."""
    return ExecutionEvent.objects.create(
        execution_id=execution.pk,
        seq=seq,
        at=MOMENT + timedelta(seconds=seq),
        type=type_,
        **fields,
    )


def make_plan(execution: Execution, number: int = 1, **fields: Any) -> CompensationPlan:
    """Store a plan."""
    return CompensationPlan.objects.create(
        id=uuid.uuid4(),
        execution=execution,
        number=number,
        hash="f" * 64,
        trigger="T5",
        triggered_by="root",
        reason="returned",
        entries=fields.pop("entries", []),
        edges=fields.pop("edges", []),
        created_at=MOMENT,
        **fields,
    )
