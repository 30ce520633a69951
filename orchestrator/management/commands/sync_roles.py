"""`manage.py sync_roles`: bring the rights of everybody in step with the table of roles."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from orchestrator.services.grants import sync_roles


class Command(BaseCommand):
    """Needed after an upgrade that changed what a role may do."""

    help = "Write the rights of all roles anew."

    def handle(self, *args: Any, **options: Any) -> None:  # Django's signature
        """Write them, and say how many rows changed."""
        self.stdout.write(f"{sync_roles()} rows changed.")
