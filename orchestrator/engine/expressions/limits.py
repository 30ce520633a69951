"""What an expression may cost: the bounds of reliability.md §13.2, and their error."""

from typing import Final

from orchestrator.engine.errors import EngineError

MAX_DEPTH: Final = 50
"""Templates, brackets and filters inside each other."""
MAX_TEXT: Final = 8 * 1024
"""Characters of one template string in a definition."""
MAX_BUILT: Final = 256 * 1024
"""Characters of JSON of one value that an expression makes: embedded text, lists of matches."""
MAX_RESULT: Final = 5 * 1024 * 1024
"""Characters of JSON of all that one template draws in, values passed on unchanged included."""
MAX_VISITS: Final = 500_000
"""Values looked at by one expression."""


class ExpressionTooLarge(EngineError):
    """The value of an expression is larger, or costs more to find, than is allowed."""

    def __init__(self, what: str, limit: int) -> None:
        super().__init__(f"The expression is too large: {what}, and {limit} is the limit.")
        self.what = what
        self.limit = limit
