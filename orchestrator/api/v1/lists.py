"""The documented shape of lists: `{results, next, previous}`, and how to ask for a page."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers

from orchestrator.api.v1.serializers import CamelSerializer
from orchestrator.selectors.paging import DEFAULT_LIMIT, MAXIMUM_LIMIT

PAGE_PARAMETERS = [
    OpenApiParameter("cursor", str, description="From `next` or `previous` of another page."),
    OpenApiParameter(
        "limit", int, description=f"Rows, 1 to {MAXIMUM_LIMIT}; {DEFAULT_LIMIT} if not given."
    ),
]


def list_of(row: type[CamelSerializer]) -> type[CamelSerializer]:
    """Return the shape of a list of such rows."""
    members: dict[str, Any] = {
        "__doc__": f"A page of {row.__name__}.",
        "results": row(many=True),
        "next": serializers.CharField(allow_null=True, help_text="Address of the next page."),
        "previous": serializers.CharField(allow_null=True),
    }
    return type(f"{row.__name__}Page", (CamelSerializer,), members)
