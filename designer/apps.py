"""The designer as a Django app."""

from django.apps import AppConfig


class DesignerConfig(AppConfig):
    """Name and label of the app."""

    name = "designer"
    label = "designer"
