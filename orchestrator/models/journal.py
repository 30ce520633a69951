"""The journal: append-only facts about executions, numbered per execution."""

from django.db import models


class ExecutionEvent(models.Model):
    """One fact; what the trace, the time slider and the event stream read."""

    pk = models.CompositePrimaryKey("execution_id", "seq")
    execution_id = models.UUIDField()
    seq = models.PositiveIntegerField()
    at = models.DateTimeField()
    type = models.CharField(max_length=48)
    reference = models.CharField(max_length=255, blank=True)
    step_run_id = models.UUIDField(null=True)
    data = models.JSONField(default=dict)

    class Meta:
        default_permissions = ()
