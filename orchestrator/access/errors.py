"""Why somebody is refused; delivery layers turn each into its status code (product.md §4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Refusal(Exception):
    """A call that is refused and has changed nothing, with a whole sentence for who asked."""

    code = "error"

    def __init__(self, message: str, **details: object) -> None:
        super().__init__(message)
        self.message = message
        self.details: Mapping[str, object] = details


class Unauthenticated(Refusal):
    """Nobody is signed in, or key, secret or token are wrong (401)."""

    code = "unauthenticated"


class NotFound(Refusal):
    """There is no such thing, or the actor may not see it (404)."""

    code = "not_found"


class Forbidden(Refusal):
    """The actor lacks a right (403); `permission` names it, `ask` who could give it."""

    code = "forbidden"


class TooMany(Refusal):
    """Asked too often (429); `retry_after` seconds later it may be tried again."""

    code = "too_many_requests"

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after
