"""`manage.py web`: pages and API, for production; any number of processes beside each other."""

import os
import socket
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from orchestrator.management.commands.serve import is_loopback
from orchestrator.worker import multiprocess
from orchestrator.worker.children import ChildSpec, python
from orchestrator.worker.server import WebServer, listen, serve
from orchestrator.worker.supervisor import replace_process

NOTICE_SECONDS = 5.0


class Command(BaseCommand):
    """Serve pages and API until SIGTERM."""

    help = "Serve pages and API (production); workers run beside it with `manage.py worker`."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare address and number of processes."""
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=settings.AMENDS_PORT)
        parser.add_argument("--workers", type=int, default=1, help="processes on the same port")
        parser.add_argument(
            "--notice-seconds",
            type=float,
            default=NOTICE_SECONDS,
            help="how long readyz says no before the port closes",
        )
        parser.add_argument("--fd", type=int, help="listen on an inherited socket instead")

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve in this process, or become the supervisor of several that share the socket."""
        host, port = options["host"], options["port"]
        if settings.AMENDS_DEMO and not is_loopback(host):
            raise CommandError("AMENDS_DEMO is on, so this serves 127.0.0.1 only; drop --host.")
        if options["fd"] is not None:
            self._serve(socket.socket(fileno=options["fd"]), options["notice_seconds"])
            return
        try:
            listener = listen(host=host, port=port)
        except OSError as error:
            raise CommandError(f"Cannot listen on {host}:{port}: {error.strerror}.") from error
        self.stdout.write(f"Amends web: http://{host}:{port}/")
        if options["workers"] == 1:
            self._serve(listener, options["notice_seconds"])
        else:
            self._supervise(listener, options)

    def _serve(self, listener: socket.socket, notice_seconds: float) -> None:
        serve(WebServer(notice_seconds=notice_seconds), listener)

    def _supervise(self, listener: socket.socket, options: dict[str, Any]) -> None:
        manage = Path(settings.BASE_DIR) / "manage.py"
        arguments = python(
            str(manage),
            "web",
            f"--fd={listener.fileno()}",
            f"--notice-seconds={options['notice_seconds']}",
        )
        multiprocess.share_metrics("web")
        os.environ["AMENDS_ROLE"] = "web"
        replace_process(
            specs=[
                ChildSpec(name=f"web-{number}", arguments=arguments)
                for number in range(1, options["workers"] + 1)
            ],
            shutdown_seconds=settings.AMENDS_SHUTDOWN_SECONDS,
            root=settings.BASE_DIR,
        )
