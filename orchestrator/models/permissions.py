"""Guardian rows with direct foreign keys: grants go when their workflow goes."""

from django.db import models
from guardian.models import GroupObjectPermissionBase, UserObjectPermissionBase

from orchestrator.models.workflow import Workflow


class WorkflowUserObjectPermission(UserObjectPermissionBase):
    """A permission of a user on a workflow."""

    content_object = models.ForeignKey(Workflow, on_delete=models.CASCADE)


class WorkflowGroupObjectPermission(GroupObjectPermissionBase):
    """A permission of a group on a workflow."""

    content_object = models.ForeignKey(Workflow, on_delete=models.CASCADE)


class WorkflowRole(models.Model):
    """A role given to a user or a group on a workflow; its permissions are the guardian rows."""

    workflow = models.ForeignKey(Workflow, on_delete=models.CASCADE, related_name="roles")
    user = models.ForeignKey("auth.User", null=True, on_delete=models.CASCADE, related_name="+")
    group = models.ForeignKey("auth.Group", null=True, on_delete=models.CASCADE, related_name="+")
    role = models.CharField(max_length=16)

    class Meta:
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(fields=("workflow", "user", "role"), name="role_user_once"),
            models.UniqueConstraint(fields=("workflow", "group", "role"), name="role_group_once"),
            models.CheckConstraint(
                condition=models.Q(user__isnull=False) ^ models.Q(group__isnull=False),
                name="role_of_one",
            ),
        )
