"""`manage.py doctor`: what is wrong with this installation, and what to do about it."""

import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from orchestrator.selectors import readiness
from orchestrator.worker import health, storage

MARKS = {health.Level.OK: "ok  ", health.Level.DEGRADED: "warn", health.Level.FAILED: "FAIL"}


class Command(BaseCommand):
    """Print every check; exit code 1 if one failed."""

    help = "Check this installation: database, migrations, broker, disk, timers, limits."

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the checks and print a line for each."""
        self._facts()
        found = health.report()
        for check in found.checks:
            self.stdout.write(f"{MARKS[check.level]}  {check.name:<10}  {check.sentence}")
        if not found.is_ready:
            raise CommandError("This installation cannot work; see the lines marked FAIL.")

    def _facts(self) -> None:
        python = ".".join(str(part) for part in sys.version_info[:3])
        broker = "in process (embedded)" if settings.AMENDS_EMBEDDED else "shared"
        kind = storage.file_system_of(settings.AMENDS_DATA_DIR) or "unknown file system"
        self.stdout.write(f"      python      {python}")
        self.stdout.write(f"      database    {readiness.database_version()}")
        self.stdout.write(f"      broker      {broker}")
        self.stdout.write(f"      data        {settings.AMENDS_DATA_DIR} ({kind})")
        self.stdout.write(
            f"      handlers    {', '.join(settings.AMENDS_HANDLERS) or 'built-in only'}"
        )
