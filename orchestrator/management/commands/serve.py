"""`manage.py serve`: web, worker and timers in one process, for one machine."""

import ipaddress
import os
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from orchestrator.services import recovery
from orchestrator.worker import queues, storage
from orchestrator.worker.embedded import Embedded, leave

CONCURRENCY = 16
DEMO_LOGINS = "admin editor publisher operator approver approver2 viewer"


class Command(BaseCommand):
    """Run everything here until Ctrl-C."""

    help = "Serve web, worker and timers in one process (embedded; no Redis needed)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare address and size."""
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=settings.AMENDS_PORT)
        parser.add_argument("--concurrency", type=int, default=CONCURRENCY, help="steps at a time")

    def handle(self, *args: Any, **options: Any) -> None:
        """Check what could go wrong, then serve."""
        host, port = options["host"], options["port"]
        if settings.AMENDS_DEMO and not is_loopback(host):
            raise CommandError("AMENDS_DEMO is on, so this serves 127.0.0.1 only; drop --host.")
        embedded = Embedded(
            tick=recovery.tick,
            queues=queues.known_queues(),
            concurrency=options["concurrency"],
            shutdown_seconds=settings.AMENDS_SHUTDOWN_SECONDS,
        )
        is_alone = settings.DATABASES["default"]["ENGINE"].endswith("sqlite3")
        try:
            if is_alone:
                storage.refuse_network_file_system(settings.AMENDS_DATA_DIR)
            with storage.exclusive(settings.AMENDS_DATA_DIR):
                if is_alone:
                    recovery.release_own_leases()
                embedded.run(host=host, port=port, on_ready=lambda: self._greet(host, port))
        except storage.StorageError as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            raise CommandError(f"Cannot listen on {host}:{port}: {error.strerror}.") from error
        leave(os.EX_OK)

    def _greet(self, host: str, port: int) -> None:
        lines = [f"Amends is ready: http://{host}:{port}/   (Ctrl-C stops everything)"]
        if settings.AMENDS_DEMO:
            lines += [
                f"  logins   {DEMO_LOGINS} (password: demo)",
                "  API key  demo-key / demo-secret",
            ]
        self.stdout.write("\n".join(lines))
        self.stdout.flush()


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
