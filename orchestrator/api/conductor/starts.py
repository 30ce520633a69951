"""Starting runs over the Conductor face."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrator.api.conductor import base
from orchestrator.api.conductor.base import BadRequest, ConductorView
from orchestrator.services import executions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.http import HttpRequest, HttpResponse
    from rest_framework.request import Request

    from orchestrator.services.executions import Started

STRATEGIES = frozenset({"FAIL", "RETURN_EXISTING", "FAIL_ON_RUNNING"})


class StartView(ConductorView):
    """Start by a request object."""

    def post(self, request: Request) -> HttpResponse:
        """Start a run and answer its id."""
        return base.bare(start(request, base.mapping_of(request)).id)


class StartVersionView(ConductorView):
    """Start a version by name; the body is the input."""

    def post(self, request: Request, name: str, version: int) -> HttpResponse:
        """Start a run and answer its id."""
        return start_by_name(request, name, version)


def start_by_name(request: Request, name: str, version: int | None = None) -> HttpResponse:
    """Start a run with the body as its input and answer its id; the query says the rest."""
    query = request.query_params
    wanted = {
        "name": name,
        "version": version or base.number(query, "version", 0),
        "input": base.mapping_of(request),
        "correlationId": base.text(query, "correlationId"),
        "priority": base.number(query, "priority", 0),
    }
    return base.bare(start(request, wanted).id)


def start(request: Request | HttpRequest, wanted: Mapping[str, Any]) -> Started:
    """Start what a StartWorkflowRequest describes; headers may name the idempotency key."""
    actor: Any = request.user  # somebody: the door let nobody else in
    definition = wanted.get("workflowDef")
    name = wanted.get("name")
    if isinstance(definition, dict):
        name = definition.get("name") or name
    base.required({"name": name}, "name")
    headers = request.headers
    key = wanted.get("idempotencyKey") or headers.get("X-Idempotency-key") or ""
    strategy = wanted.get("idempotencyStrategy") or headers.get("X-on-conflict")
    return executions.start_execution(
        actor=actor,
        workflow_name=str(name),
        version=_number(wanted, "version") or None,
        input=_object(wanted, "input"),
        correlation_id=str(wanted.get("correlationId") or ""),
        idempotency_key=str(key),
        strategy=_strategy(strategy),
        definition=definition,
        priority=_number(wanted, "priority"),
        task_to_domain=_object(wanted, "taskToDomain"),
    )


def _strategy(given: object) -> str:
    if not given:
        return "RETURN_EXISTING"
    if given not in STRATEGIES:
        raise BadRequest(
            f"There is no idempotency strategy {str(given)[:40]!r}; "
            f"there are {', '.join(sorted(STRATEGIES))}."
        )
    return str(given)


def _object(wanted: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = wanted.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadRequest(f"{name} must be a JSON object.", [{"path": name, "message": "no object"}])
    return value


def _number(wanted: Mapping[str, Any], name: str) -> int:
    value = wanted.get(name)
    if value is None or value == "":
        return 0
    try:
        return int(value)
    except (TypeError, ValueError):
        raise BadRequest(
            f"{name} must be a whole number.", [{"path": name, "message": "no number"}]
        ) from None
