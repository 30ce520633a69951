"""Loaded into Celery's prefork workers: what a fresh pool child has to do first."""

from celery.signals import worker_process_init, worker_process_shutdown

from orchestrator import metrics
from orchestrator.worker.children import die_with_parent


@worker_process_init.connect
def prepare(**_: object) -> None:
    """Die with the worker: a child without its parent would hold leases and hear no doorbell."""
    die_with_parent()


@worker_process_shutdown.connect
def leave(pid: int, **_: object) -> None:
    """Forget the gauges of this child, which nobody will update again."""
    metrics.forget_process(pid)
