"""The orchestrator as a Django app."""

from django.apps import AppConfig


class OrchestratorConfig(AppConfig):
    """Name and label of the app."""

    name = "orchestrator"
    label = "orchestrator"
