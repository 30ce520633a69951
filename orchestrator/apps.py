"""The orchestrator as a Django app."""

from django.apps import AppConfig
from django.conf import settings


class OrchestratorConfig(AppConfig):
    """Name and label of the app."""

    name = "orchestrator"
    label = "orchestrator"

    def ready(self) -> None:
        """Import the handlers, so that they register: our own and those of `AMENDS_HANDLERS`."""
        from orchestrator.handlers import registry  # noqa: PLC0415 - apps must be ready first

        registry.load_modules(["orchestrator.handlers.builtin.http", *settings.AMENDS_HANDLERS])
