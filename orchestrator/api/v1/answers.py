"""Answers that several calls share."""

from rest_framework.response import Response

from orchestrator.selectors.times import iso
from orchestrator.services.two_persons import Waiting


def second_person(waiting: Waiting) -> Response:
    """Say that the act is kept and that another person must ask for the same."""
    shown = {"waitingFor": "second person", "by": waiting.by, "until": iso(waiting.until)}
    return Response(shown, status=202)
