"""Worker hosts and the pollers of task queues."""

from django.db import models


class Worker(models.Model):
    """A process that runs steps of ours."""

    host = models.CharField(max_length=255, primary_key=True)
    queues = models.JSONField(default=list)
    version = models.CharField(max_length=32, blank=True)
    last_claim_at = models.DateTimeField(null=True)
    last_tick_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()


class QueuePoll(models.Model):
    """The last poll of one worker for one task type and domain."""

    task_type = models.CharField(max_length=255)
    domain = models.CharField(max_length=255, blank=True)
    worker = models.CharField(max_length=255)
    polled_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(fields=("task_type", "domain", "worker"), name="poll_once"),
        )
