"""Workflows, their immutable versions, rollouts and task definitions."""

import uuid

from django.conf import settings
from django.db import models

from orchestrator.access.permissions import MODEL_PERMISSIONS


class Workflow(models.Model):
    """A named thing people own and get permissions on; has one draft and many versions."""

    name = models.CharField(max_length=255, unique=True)
    description = models.TextField(blank=True)
    is_listed = models.BooleanField(
        default=True,
        help_text="False for the home of a definition that only ever came inline with a start.",
    )
    archived_at = models.DateTimeField(null=True, blank=True)
    samples = models.JSONField(default=list, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        ordering = ("name",)
        default_permissions = ()
        permissions = MODEL_PERMISSIONS

    def __str__(self) -> str:
        return self.name


class WorkflowVersion(models.Model):
    """A published definition: numbered, never changed again.

    `number` is null for a definition that came inline with a start.
    """

    workflow = models.ForeignKey(Workflow, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField(null=True)
    document = models.JSONField()
    checksum = models.CharField(max_length=64)
    kind = models.CharField(max_length=10)
    lock = models.JSONField(
        default=dict, help_text="Sub-workflow name → version number it was resolved to."
    )
    note = models.TextField(blank=True)
    problems = models.JSONField(default=list, help_text="Warnings at publish, with waive reasons.")
    has_undo = models.BooleanField(default=False)
    is_deleted = models.BooleanField(
        default=False, help_text="Hidden from reads and new starts; its executions keep it."
    )
    published_at = models.DateTimeField(auto_now_add=True)
    published_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(fields=("workflow", "number"), name="version_number_once"),
        )
        indexes = (models.Index(fields=("workflow", "checksum"), name="version_by_checksum"),)

    def __str__(self) -> str:
        return f"{self.workflow_id} v{self.number}"


class VersionTrigger(models.Model):
    """An event that a version waits for (`saga.triggers`): who must be looked at when it comes."""

    version = models.ForeignKey(WorkflowVersion, on_delete=models.CASCADE, related_name="triggers")
    event = models.CharField(max_length=255)

    class Meta:
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(fields=("event", "version"), name="version_trigger_once"),
        )


class Rollout(models.Model):
    """Which version a start without a version gets (product.md §6)."""

    workflow = models.OneToOneField(Workflow, primary_key=True, on_delete=models.CASCADE)
    stable = models.PositiveIntegerField()

    class Meta:
        default_permissions = ()


class TaskDefinition(models.Model):
    """A Conductor TaskDef, as registered."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    name = models.CharField(max_length=255, unique=True)
    document = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        default_permissions = ()
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name
