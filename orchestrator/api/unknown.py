"""What is asked for under /api/ and does not exist: last in the URL conf, so that it is JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from django.urls import re_path
from django.views.decorators.csrf import csrf_exempt

from orchestrator.access.errors import NotFound

if TYPE_CHECKING:
    from django.http import HttpRequest


@csrf_exempt
def unknown(request: HttpRequest) -> NoReturn:
    """Say that there is no such address."""
    raise NotFound(f"There is no {request.method} {request.path}.")


urlpatterns = [re_path(r"^api/", unknown, name="api-unknown")]
