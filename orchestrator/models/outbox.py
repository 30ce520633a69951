"""Mail and webhooks to send once committed, and answers kept for repeated requests."""

from django.db import models


class OutboxMessage(models.Model):
    """A mail or webhook to send; delivered at least once."""

    kind = models.CharField(max_length=16)
    address = models.CharField(max_length=1024)
    payload = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)
    due_at = models.DateTimeField()
    tries = models.PositiveSmallIntegerField(default=0)
    delivered_at = models.DateTimeField(null=True)
    parked_at = models.DateTimeField(null=True)
    last_error = models.TextField(blank=True)

    class Meta:
        default_permissions = ()
        indexes = (
            models.Index(
                fields=("due_at",),
                name="outbox_due",
                condition=models.Q(delivered_at__isnull=True, parked_at__isnull=True),
            ),
        )


class StoredAnswer(models.Model):
    """The answer of an unsafe call that carried an Idempotency-Key; kept for 24 hours."""

    actor_id = models.BigIntegerField()
    key = models.CharField(max_length=255)
    request_hash = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField()
    body = models.JSONField(null=True)
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(fields=("actor_id", "key"), name="stored_answer_once"),
        )
