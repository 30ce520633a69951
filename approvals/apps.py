"""Approvals as a Django app."""

from django.apps import AppConfig


class ApprovalsConfig(AppConfig):
    """Name and label of the app."""

    name = "approvals"
    label = "approvals"

    def ready(self) -> None:
        """Hold the waits of the orchestrator."""
        from approvals import gate  # noqa: PLC0415 - apps must be ready first
        from orchestrator import gate as port  # noqa: PLC0415

        port.register(gate.ApprovalGate())
