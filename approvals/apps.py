"""Approvals as a Django app."""

from django.apps import AppConfig


class ApprovalsConfig(AppConfig):
    """Name and label of the app."""

    name = "approvals"
    label = "approvals"
