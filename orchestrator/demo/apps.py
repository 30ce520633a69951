"""Django app of the demo shop."""

from django.apps import AppConfig


class DemoConfig(AppConfig):
    """The shop that plays the participants of the demo workflows."""

    name = "orchestrator.demo"
    label = "demo"
    verbose_name = "Demo shop"
    default_auto_field = "django.db.models.BigAutoField"
