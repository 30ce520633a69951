"""The books of the demo shop: what its participants were asked to do, and what came of it."""

from django.db import models


class EffectState(models.TextChoices):
    """What the books say about one forward key."""

    OPEN = "OPEN", "Nothing happened"
    APPLIED = "APPLIED", "In effect"
    REVERSED = "REVERSED", "Reversed"
    BARRED = "BARRED", "Barred"


class Effect(models.Model):
    """One line in the books: everything about one forward key at one participant."""

    step = models.CharField(max_length=64, help_text="Task name, which is also the participant.")
    forward_key = models.CharField(max_length=255, help_text="Idempotency-Key of the forward call.")
    order_key = models.CharField(max_length=255, help_text="The order it belongs to.")
    item = models.CharField(
        max_length=255, blank=True, default="", help_text="Which of several things, inside a loop."
    )
    run = models.CharField(max_length=64, blank=True, default="", help_text="X-Saga-Run.")
    state = models.CharField(
        max_length=8, choices=EffectState.choices, default=EffectState.OPEN, db_default="OPEN"
    )
    amount = models.DecimalField(max_digits=14, decimal_places=2, null=True, blank=True)
    call_count = models.PositiveIntegerField(default=0, help_text="Forward calls with this key.")
    undo_count = models.PositiveIntegerField(default=0, help_text="Undo calls for this key.")
    body = models.JSONField(default=dict, help_text="What the first forward call asked for.")
    answer = models.JSONField(null=True, help_text="First answer to the forward call.")
    undo_answer = models.JSONField(null=True, help_text="First answer to an undo.")
    created_at = models.DateTimeField(auto_now_add=True)
    applied_at = models.DateTimeField(null=True)
    reversed_at = models.DateTimeField(null=True)

    class Meta:
        """Constraints and indexes of the books."""

        constraints = [
            models.UniqueConstraint(
                fields=["step", "forward_key"], name="demo_effect_once_per_key"
            ),
            models.CheckConstraint(
                condition=models.Q(state__in=EffectState.values), name="demo_effect_state_known"
            ),
        ]
        indexes = [models.Index(fields=["order_key", "id"], name="demo_effect_order")]

    def __str__(self) -> str:
        return f"{self.step} of {self.order_key}: {self.state}"
