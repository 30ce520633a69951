"""Why a question cannot be answered."""

from orchestrator.access.errors import Refusal


class Malformed(Refusal):
    """The question cannot be read: a bad cursor, page size or filter (400)."""

    code = "malformed"
