"""The rows that rights are read from: guardian's, with direct foreign keys to the workflow.

`access` stands below `models`, so it finds the models in the registry instead of importing them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from django.apps import apps
from guardian.utils import get_group_obj_perms_model, get_user_obj_perms_model

if TYPE_CHECKING:
    from orchestrator.models import (
        Workflow,
        WorkflowGroupObjectPermission,
        WorkflowRole,
        WorkflowUserObjectPermission,
    )


def workflow_model() -> type[Workflow]:
    """Return the model of workflows."""
    return apps.get_model("orchestrator", "Workflow")


def role_model() -> type[WorkflowRole]:
    """Return the model of roles given on workflows."""
    return apps.get_model("orchestrator", "WorkflowRole")


def user_rows() -> type[WorkflowUserObjectPermission]:
    """Return the model of rights that users hold on workflows."""
    found = get_user_obj_perms_model(workflow_model())  # type: ignore[arg-type]  # guardian takes classes as well
    return cast("type[WorkflowUserObjectPermission]", found)


def group_rows() -> type[WorkflowGroupObjectPermission]:
    """Return the model of rights that groups hold on workflows."""
    found = get_group_obj_perms_model(workflow_model())  # type: ignore[arg-type]  # guardian takes classes as well
    return cast("type[WorkflowGroupObjectPermission]", found)
