"""`manage.py worker`: does steps and drives timers, in production, in any number."""

import os
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from orchestrator import metrics
from orchestrator.worker import multiprocess, queues
from orchestrator.worker.children import ChildSpec, python
from orchestrator.worker.supervisor import replace_process

CALLS_CONCURRENCY = 32


class Command(BaseCommand):
    """Become the supervisor of a Celery worker for each pool and of the ticker."""

    help = "Run steps (Celery) and timers until SIGTERM; a broker is needed."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare queues and sizes."""
        parser.add_argument("--queues", help="comma list; all known queues if left out")
        parser.add_argument(
            "--concurrency", type=int, default=os.cpu_count() or 1, help="processes for handlers"
        )
        parser.add_argument(
            "--calls-concurrency", type=int, default=CALLS_CONCURRENCY, help="threads for calls out"
        )
        parser.add_argument("--metrics-port", type=int, help="answer Prometheus on this port")

    def handle(self, *args: Any, **options: Any) -> None:
        """Check, then hand this process over."""
        if settings.AMENDS_EMBEDDED:
            raise CommandError(
                "A worker needs a broker it shares with the web processes: set REDIS_URL "
                "(or CELERY_BROKER_URL), or run `manage.py serve` instead."
            )
        named = [name.strip() for name in (options["queues"] or "").split(",") if name.strip()]
        share = queues.share(named or queues.known_queues())
        multiprocess.share_metrics("worker")
        if options["metrics_port"]:
            os.environ[metrics.PORT_VARIABLE] = str(options["metrics_port"])
        os.environ["AMENDS_ROLE"] = "worker"
        # Celery's soft shutdown at SIGTERM: running steps may end, nothing new is taken.
        os.environ["REMAP_SIGTERM"] = "SIGQUIT"
        replace_process(
            specs=[*_celery_children(share, options), TICKER],
            shutdown_seconds=settings.AMENDS_SHUTDOWN_SECONDS,
            root=settings.BASE_DIR,
        )


TICKER = ChildSpec(
    name="ticker", arguments=python("-m", "orchestrator.worker.ticker"), restartable=False
)


def _celery_children(share: queues.QueueShare, options: dict[str, Any]) -> list[ChildSpec]:
    pools = [
        ("prefork", share.prefork, options["concurrency"]),
        ("threads", share.threads, options["calls_concurrency"]),
    ]
    return [_celery_child(pool, names, size) for pool, names, size in pools if names]


def _celery_child(pool: str, names: tuple[str, ...], size: int) -> ChildSpec:
    return ChildSpec(
        name=pool,
        arguments=python(
            "-m",
            "celery",
            "--app=orchestrator.config.celery:app",
            "--quiet",
            "worker",
            f"--hostname={pool}-{os.getpid()}@%h",
            f"--pool={pool}",
            f"--concurrency={size}",
            f"--queues={','.join(names)}",
            "--include=orchestrator.worker.pool_child",
            "--without-gossip",
            "--without-mingle",
            "--without-heartbeat",
        ),
    )
