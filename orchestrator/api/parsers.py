"""JSON bodies, read under the limits that hold on every road in."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any

from rest_framework.parsers import BaseParser

from orchestrator.border import input as border_input

if TYPE_CHECKING:
    from collections.abc import Mapping


class LimitedJSONParser(BaseParser):
    """Reads JSON; a view says how much with `input_limits`, otherwise the usual limits hold."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,  # noqa: ARG002  # the framework's signature
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return the parsed body, or raise `InputError`."""
        view = (parser_context or {}).get("view")
        limits = getattr(view, "input_limits", border_input.DEFAULT_LIMITS)
        raw = border_input.read_capped(stream, size=limits.size)
        return border_input.parse_json(raw, limits=limits) if raw.strip() else {}
