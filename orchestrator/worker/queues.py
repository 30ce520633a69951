"""Which queues our own workers read, and which pool suits which queue."""

from collections.abc import Iterable
from dataclasses import dataclass

from orchestrator.handlers import registry

THREAD_QUEUES = frozenset({registry.CALLS_QUEUE})
"""Calls that the engine makes itself keep their own deadline, so threads will do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueShare:
    """The queues of one worker process, split by pool."""

    prefork: tuple[str, ...]
    threads: tuple[str, ...]

    @property
    def all(self) -> tuple[str, ...]:
        """Every queue, in a fixed order."""
        return (*self.prefork, *self.threads)


def known_queues() -> tuple[str, ...]:
    """Return the queues of all registered handlers and of the engine's own work."""
    return tuple(sorted({registry.DEFAULT_QUEUE, registry.CALLS_QUEUE, *registry.queues()}))


def share(queues: Iterable[str]) -> QueueShare:
    """Split queues by the pool that should read them."""
    wanted = sorted(set(queues))
    return QueueShare(
        prefork=tuple(name for name in wanted if name not in THREAD_QUEUES),
        threads=tuple(name for name in wanted if name in THREAD_QUEUES),
    )
