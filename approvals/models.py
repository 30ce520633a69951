"""Requests to approve an undo, and the votes on them."""

from django.conf import settings
from django.db import models


class ApprovalRequest(models.Model):
    """What is asked: bound to exactly what would be sent (saga-semantics §7)."""

    PENDING = "PENDING"
    APPROVED = "APPROVED"
    SKIPPED = "SKIPPED"
    STALE = "STALE"

    id = models.UUIDField(primary_key=True)
    workflow = models.ForeignKey(
        "orchestrator.Workflow", on_delete=models.CASCADE, related_name="+"
    )
    workflow_name = models.CharField(max_length=255)
    execution_id = models.UUIDField(db_index=True)
    correlation_id = models.CharField(max_length=255, blank=True)
    entry_id = models.UUIDField(db_index=True)
    reference = models.CharField(max_length=255)
    round = models.PositiveSmallIntegerField()
    undo_input = models.JSONField()
    original_input = models.JSONField(
        null=True, help_text="What the definition maps, where an operator amended it."
    )
    input_hash = models.CharField(max_length=64)
    endpoint = models.CharField(max_length=255)
    amount = models.JSONField(null=True)
    rule = models.JSONField(help_text="The approval of the definition, as it stood.")
    definition_hash = models.CharField(max_length=64)
    plan_hash = models.CharField(max_length=64)
    starter = models.CharField(max_length=150, blank=True)
    starter_is_person = models.BooleanField()
    triggerer = models.CharField(max_length=150, blank=True)
    publisher = models.CharField(max_length=150, blank=True)
    quorum = models.PositiveSmallIntegerField()
    level = models.PositiveSmallIntegerField(default=0)
    state = models.CharField(max_length=12, default=PENDING)
    revision = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField()
    deadline_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()
        indexes = (
            models.Index(fields=("state", "deadline_at"), name="approval_by_deadline"),
            models.Index(fields=("workflow", "state"), name="approval_by_workflow"),
        )

    def __str__(self) -> str:
        return f"{self.reference} of {self.execution_id}"


class ApprovalVote(models.Model):
    """One approver's answer; never changed afterwards."""

    request = models.ForeignKey(ApprovalRequest, on_delete=models.CASCADE, related_name="votes")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    decision = models.CharField(max_length=16)
    reason = models.TextField(blank=True)
    at = models.DateTimeField()
    counted = models.BooleanField(default=True)

    class Meta:
        default_permissions = ()
        ordering = ("id",)
        constraints = (
            models.UniqueConstraint(
                fields=("request", "user"),
                condition=models.Q(counted=True),
                name="one_counted_vote_each",
            ),
        )
