"""The draft of a workflow: what people are editing before they publish it."""

from django.conf import settings
from django.db import models


class Draft(models.Model):
    """A document being edited; `revision` counts its saves.

    While nothing was saved since `base` was published, the newest version is the draft, whoever
    published it and however: see `designer.selectors`.
    """

    workflow = models.OneToOneField(
        "orchestrator.Workflow", primary_key=True, on_delete=models.CASCADE, related_name="draft"
    )
    document = models.JSONField()
    revision = models.PositiveIntegerField(default=1)
    is_dirty = models.BooleanField(default=True, help_text="Saved since it was last published.")
    base = models.BigIntegerField(
        null=True, help_text="Key of the version it was published as or last begun from."
    )
    updated_at = models.DateTimeField(auto_now=True)
    updated_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.workflow_id} r{self.revision}"
