"""Why a service refuses; delivery layers turn each into its status code (product.md §4).

A refused call has changed nothing. What the rights refuse is the same refusal here, so that a
caller catches `Forbidden` whether a service or the policy raised it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.access.errors import Forbidden, NotFound, Refusal, TooMany, Unauthenticated

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "Conflict",
    "Forbidden",
    "Invalid",
    "Malformed",
    "NotFound",
    "ServiceError",
    "TooMany",
    "Unauthenticated",
]

ServiceError = Refusal


class Conflict(Refusal):
    """Wrong state or stale revision (409)."""

    code = "conflict"


class Malformed(Refusal):
    """The request cannot be read (400)."""

    code = "malformed"


class Invalid(Refusal):
    """The content is readable but wrong (422); `problems` says what and where."""

    code = "invalid"

    def __init__(
        self, message: str, problems: Sequence[Mapping[str, object]] = (), **details: object
    ) -> None:
        super().__init__(message, **details)
        self.problems = tuple(problems)
