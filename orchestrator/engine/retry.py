"""Again, and when? Forward attempts by Conductor's rules, undo attempts by their own policy.

Jitter is derived from the attempt's id: spread like chance, yet the same whenever it is decided
again.
"""

import hashlib

from orchestrator.engine.definition.model import RetryLogic, TaskPolicy, UndoRetry

LONGEST_DELAY = 2**31 - 1
FREE_TRIES = 3
"""Lost calls that are made again without using up a retry (reliability.md §2.6)."""


def spread(seed: str) -> float:
    """Return a number in [0, 1) that looks like chance but belongs to the seed."""
    raw = hashlib.blake2b(seed.encode(), digest_size=6).digest()
    return int.from_bytes(raw, "big") / float(1 << 48)


def attempts_allowed(policy: TaskPolicy, retry_count: int | None) -> int:
    """Return how many attempts a step has; the step's own `retryCount` wins."""
    return 1 + (policy.retry_count if retry_count is None else retry_count)


def forward_delay(policy: TaskPolicy, attempt: int, seed: str) -> float:
    """Return seconds until the next attempt (conductor/definitions.md §7.1).

    `attempt` is the number of the attempt that failed, from 1.
    """
    retries = attempt - 1
    base = policy.retry_delay_seconds
    match policy.retry_logic:
        case RetryLogic.FIXED:
            delay = base
        case RetryLogic.LINEAR_BACKOFF:
            delay = base * policy.backoff_scale_factor * (retries + 1)
        case RetryLogic.EXPONENTIAL_BACKOFF:
            delay = base * (1 << min(retries, 40))
    delay = min(delay, LONGEST_DELAY)
    if policy.max_retry_delay_seconds > 0:
        delay = min(delay, policy.max_retry_delay_seconds)
    return delay + spread(seed) * policy.backoff_jitter_ms / 1000


def undo_delay(policy: UndoRetry, attempt: int, seed: str) -> float:
    """Return seconds until the next undo attempt: exponential, capped, full jitter (§9)."""
    growth = policy.backoff_coefficient ** min(attempt - 1, 60)
    ceiling = min(policy.initial_interval_seconds * growth, policy.maximum_interval_seconds)
    return spread(seed) * ceiling
