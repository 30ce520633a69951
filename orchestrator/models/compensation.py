"""Compensation plans: stored, hashed selections of ledger entries with their order."""

from django.db import models

from orchestrator.models.execution import Execution


class CompensationPlan(models.Model):
    """What one trigger decided to undo; the hash covers entries and edges."""

    id = models.UUIDField(primary_key=True)
    execution = models.ForeignKey(Execution, on_delete=models.CASCADE, related_name="plans")
    number = models.PositiveSmallIntegerField()
    hash = models.CharField(max_length=64)
    trigger = models.CharField(max_length=24)
    triggered_by = models.CharField(max_length=150, blank=True)
    triggered_by_id = models.BigIntegerField(null=True)
    reason = models.TextField(blank=True)
    entries = models.JSONField()
    edges = models.JSONField()
    cannot_be_undone = models.JSONField(default=list)
    state = models.CharField(max_length=12, default="ACTIVE")
    created_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(fields=("execution", "number"), name="plan_number_once"),
            models.UniqueConstraint(
                fields=("execution",),
                condition=models.Q(state="ACTIVE"),
                name="plan_one_active",
            ),
        )
