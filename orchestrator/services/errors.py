"""Why a service refuses; delivery layers turn each into its status code (product.md §4).

A refused call has changed nothing.
"""

from collections.abc import Mapping, Sequence


class ServiceError(Exception):
    """A refusal, in a whole sentence for the person who asked."""

    code = "error"

    def __init__(self, message: str, **details: object) -> None:
        super().__init__(message)
        self.message = message
        self.details: Mapping[str, object] = details


class NotFound(ServiceError):
    """There is no such thing, or the actor may not see it (404)."""

    code = "not_found"


class Forbidden(ServiceError):
    """The actor lacks a right (403); `permission` names it."""

    code = "forbidden"


class Conflict(ServiceError):
    """Wrong state or stale revision (409)."""

    code = "conflict"


class Malformed(ServiceError):
    """The request cannot be read (400)."""

    code = "malformed"


class Invalid(ServiceError):
    """The content is readable but wrong (422); `problems` says what and where."""

    code = "invalid"

    def __init__(
        self, message: str, problems: Sequence[Mapping[str, object]] = (), **details: object
    ) -> None:
        super().__init__(message, **details)
        self.problems = tuple(problems)
