"""How often something may be asked: counters in fixed windows, shared through the cache."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass

from django.core.cache import cache

from orchestrator.access.errors import TooMany


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """At most so many per window and subject."""

    name: str
    times: int
    seconds: int

    def hit(self, subject: str) -> bool:
        """Count one; return whether the limit is passed by it."""
        key = self._key(subject)
        # add + incr are each atomic: reading and writing back would lose counts under load.
        cache.add(key, 0, timeout=2 * self.seconds)
        try:
            return cache.incr(key) > self.times
        except ValueError:  # evicted between the two calls: the window begins anew
            cache.set(key, 1, timeout=2 * self.seconds)
            return False

    def is_reached(self, subject: str) -> bool:
        """Return whether one more would pass the limit; counts nothing."""
        return int(cache.get(self._key(subject), 0)) >= self.times

    @property
    def retry_after(self) -> int:
        """Seconds until the next window begins."""
        return self.seconds - int(time.time()) % self.seconds

    def refusal(self) -> TooMany:
        """Return the refusal of who passed the limit."""
        return TooMany(
            f"That was too often; try again in {self.retry_after} seconds.",
            retry_after=self.retry_after,
        )

    def _key(self, subject: str) -> str:
        digest = hashlib.sha256(subject.encode("utf-8", "replace")).hexdigest()[:32]
        return f"limit:{self.name}:{int(time.time()) // self.seconds}:{digest}"


def take(limit: Limit, subject: str) -> None:
    """Count one and raise `TooMany` when the limit is passed."""
    if limit.hit(subject):
        raise limit.refusal()
