"""What the simulator found out about a version."""

from django.db import models

from orchestrator.models.workflow import WorkflowVersion


class VersionSimulation(models.Model):
    """The stored result of one version; it can be made again at any time."""

    version = models.OneToOneField(
        WorkflowVersion, primary_key=True, on_delete=models.CASCADE, related_name="simulation"
    )
    result = models.JSONField(help_text="All scenarios, as the API shows them.")
    coverage = models.JSONField(help_text="Effects that can be undone, of all effects.")
    made_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"simulation of {self.version_id}"
