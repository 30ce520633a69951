"""Lists on the wire: `{"results": […], "next": …, "previous": …}`, paged by cursor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.http import QueryDict
from rest_framework.response import Response

from orchestrator.selectors.errors import Malformed
from orchestrator.selectors.paging import DEFAULT_LIMIT, check_limit

if TYPE_CHECKING:
    from collections.abc import Collection

    from rest_framework.request import Request

    from orchestrator.selectors.paging import Page


@dataclass(frozen=True, slots=True, kw_only=True)
class PageQuery:
    """Which page is asked for."""

    cursor: str | None
    limit: int


def page_query(request: Request) -> PageQuery:
    """Read `cursor` and `limit`, or raise `Malformed`."""
    text = request.query_params.get("limit", "") or str(DEFAULT_LIMIT)
    if not text.isascii() or not text.isdecimal() or len(text) > 9:
        raise Malformed("The limit is not a whole number.")
    cursor = request.query_params.get("cursor") or None
    return PageQuery(cursor=cursor, limit=check_limit(int(text)))


def check_parameters(request: Request, allowed: Collection[str]) -> None:
    """Raise `Malformed` when the query has a parameter that this list does not know."""
    unknown = sorted(set(request.query_params) - {"cursor", "limit", *allowed})
    if unknown:
        names = ", ".join(sorted({"cursor", "limit", *allowed}))
        raise Malformed(f"There is no parameter {unknown[0]!r} here; there are {names}.")


def page_answer(request: Request, page: Page[Any]) -> Response:
    """Answer one page; `next` and `previous` are addresses that keep the filters."""
    return Response(
        {
            "results": page.results,
            "next": _address(request, page.next),
            "previous": _address(request, page.previous),
        }
    )


def _address(request: Request, cursor: str | None) -> str | None:
    if cursor is None:
        return None
    query = QueryDict(mutable=True)
    query.update(request.query_params)
    query["cursor"] = cursor
    # A path, not a whole address: it holds behind any proxy.
    return f"{request.path}?{query.urlencode()}"
