"""Runs whose undo waits for people, and the people."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, User

from approvals.models import ApprovalRequest
from orchestrator.access.grants import Grant, give
from orchestrator.access.roles import Role
from orchestrator.models import Execution, Workflow
from orchestrator.services import executions
from tests.factories.definitions import reversible, saga
from tests.fakes import refuses
from tests.integration.orchestrator.conftest import make_runtime
from tests.runtime import Runtime

RULE = "$.compensationInput.order > 1000"
Asked = tuple[Execution, ApprovalRequest]


@pytest.fixture
def runtime(db: None, monkeypatch: pytest.MonkeyPatch) -> Runtime:
    """Everything that runs an execution, called as functions."""
    return make_runtime(monkeypatch)


@pytest.fixture
def starter(db: None) -> User:
    """Who starts the runs."""
    return User.objects.create_superuser("starter")


@pytest.fixture
def ask(runtime: Runtime, starter: User) -> Callable[..., Asked]:
    """Run a saga whose only undo asks for approval, until it asks."""

    def run(
        policy: str = "APPROVAL", *, order: int = 1, expression: str = RULE, **approval: Any
    ) -> Asked:
        undo: dict[str, Any] = {"policy": policy, "approval": approval}
        if policy == "APPROVAL_IF":
            undo["approvalIf"] = {"evaluatorType": "javascript", "expression": expression}
        runtime.shop.will("b", refuses)
        runtime.publish(saga("orders", reversible("a", undo=undo), reversible("b")))
        started = executions.start_execution(
            actor=starter, workflow_name="orders", input={"order": order}
        )
        runtime.work()
        execution = Execution.objects.get(pk=started.id)
        return execution, ApprovalRequest.objects.filter(execution_id=execution.pk).first()  # type: ignore[return-value]  # None where nobody is asked

    return run


@pytest.fixture
def approver(db: None) -> Callable[..., User]:
    """Make people who hold the right to approve."""

    def make(name: str, *groups: str) -> User:
        user, _ = User.objects.get_or_create(username=name)
        for group in groups:
            user.groups.add(Group.objects.get_or_create(name=group)[0])
        workflow = Workflow.objects.get(name="orders")
        give(None, workflow, Grant(role=Role.APPROVER, user_id=user.pk, name=name))
        return user

    return make
