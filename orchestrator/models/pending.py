"""Acts that need two persons and have been asked for by one (saga-semantics §5)."""

from datetime import timedelta

from django.db import models

from orchestrator.models.execution import Execution

KEPT = timedelta(hours=24)
"""How long a first call waits for the second."""


class PendingAct(models.Model):
    """The first call of an act; the same call by somebody else within a day does it."""

    execution = models.ForeignKey(Execution, on_delete=models.CASCADE, related_name="pending_acts")
    kind = models.CharField(max_length=24)
    digest = models.CharField(max_length=64, help_text="Of what was asked for; reasons may differ.")
    body = models.JSONField(default=dict)
    actor = models.CharField(max_length=150)
    actor_id = models.BigIntegerField()
    reason = models.TextField()
    created_at = models.DateTimeField(db_index=True)

    class Meta:
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(
                fields=("execution", "kind", "digest"), name="pending_act_once"
            ),
        )
