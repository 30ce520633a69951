"""Due moments of executions, and what one execution tells another."""

from django.db import models

from orchestrator.models.execution import Execution


class Timer(models.Model):
    """A due moment; at most one live row per purpose (saga-semantics §10.1, invariant 40)."""

    execution = models.ForeignKey(Execution, on_delete=models.CASCADE, db_index=False)
    purpose = models.CharField(max_length=24)
    subject = models.CharField(max_length=64, blank=True, help_text="Step run id, or empty.")
    due_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(
                fields=("execution", "purpose", "subject"), name="timer_once_per_purpose"
            ),
        )
        indexes = (models.Index(fields=("due_at",), name="timer_due"),)


class Notice(models.Model):
    """What one execution tells another: its row is never written under the sender's lock.

    The receiver takes its notices in its own next transition; repair rings for old ones.
    """

    id = models.UUIDField(primary_key=True)
    execution_id = models.UUIDField(db_index=True)
    kind = models.CharField(max_length=24)
    data = models.JSONField(default=dict)
    wake_at = models.DateTimeField(db_index=True)

    class Meta:
        default_permissions = ()
